import type { RunyardError } from '../api/errors.ts';
import { isRefusal } from '../compute/host.ts';
import type { Hosts } from '../compute/hosts.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import type { Writer } from '../store/writer.ts';
import type { AgentChannel } from '../compute/channel.ts';
import { onlyThere, removalsOn, untoldAttempts } from './queries.ts';
import type { RunWrites } from './writes.ts';

export interface AcknowledgementOptions {
  workspace: OpenWorkspace;
  writer: Writer;
  hosts: Hosts;
  log(line: string): void;
}

const atOnce = 200;

/**
 * Tells hosts which attempts are collected, and what of them exists only there: what a host may clean up; and which
 * runs were deleted. One that is away is told when it is back.
 */
export class Acknowledgement {
  private readonly options: AcknowledgementOptions;
  private readonly telling = new Map<string, { again: boolean }>();
  private stopped = false;

  constructor(options: AcknowledgementOptions) {
    this.options = options;
  }

  /** There may be something to tell this host. */
  soon(compute: string): void {
    const current = this.telling.get(compute);
    if (current) {
      current.again = true;
      return;
    }
    const mine = { again: false };
    this.telling.set(compute, mine);
    void this.tell(compute)
      .catch((error: Error) => this.options.log(`telling ${compute} what is collected: ${error.message}`))
      .finally(() => {
        this.telling.delete(compute);
        if (mine.again) this.soon(compute);
      });
  }

  stop(): void {
    this.stopped = true;
  }

  private async tell(compute: string): Promise<void> {
    await this.tellDeleted(compute);
    await this.tellCollected(compute);
  }

  private async tellDeleted(compute: string): Promise<void> {
    const { workspace, hosts, log } = this.options;
    for (const run of removalsOn(workspace.reader, compute)) {
      const host = this.stopped ? undefined : hosts.find(compute);
      if (!host?.reachable) return;
      await this.remove(await host.connect(), run).catch((error: RunyardError) => {
        if (!isRefusal(error)) throw error;
        log(`${run} stays on ${compute}: ${error.message}`);
      });
    }
  }

  /** Removes what a host has of a deleted run. Throws what keeps it from that. */
  async remove(channel: AgentChannel, run: string): Promise<void> {
    const { workspace, writer } = this.options;
    await channel.request('run.delete', { run }).catch((error: RunyardError) => {
      if (error.code !== 'not_found') throw error;
    });
    await writer.write<RunWrites, 'runs.removed'>(workspace.file, 'runs.removed', { run });
  }

  private async tellCollected(compute: string): Promise<void> {
    const { workspace, writer, hosts } = this.options;
    for (;;) {
      const attempts = this.stopped ? [] : untoldAttempts(workspace.reader, compute, atOnce);
      const host = attempts.length > 0 ? hosts.find(compute) : undefined;
      // Nobody connects only for this.
      if (!host?.reachable) return;
      const channel = await host.connect();
      for (const { run_seq, run, attempt } of attempts) {
        try {
          await channel.request('run.collected', {
            run,
            attempt,
            only_here: onlyThere(workspace.reader, run_seq),
          });
        } catch (error) {
          // What the host refuses (it does not know the run any more) it refuses for ever; a full disk does not.
          if (!isRefusal(error) || (error as { code?: string }).code === 'no_space') throw error;
        }
        await writer.write<RunWrites, 'runs.told'>(workspace.file, 'runs.told', { run, attempt, told: true });
      }
    }
  }
}
