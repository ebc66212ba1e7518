import { isRefusal } from '../compute/host.ts';
import type { Hosts } from '../compute/hosts.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import type { Writer } from '../store/writer.ts';
import { onlyThere, untoldAttempts } from './queries.ts';
import type { RunWrites } from './writes.ts';

export interface AcknowledgementOptions {
  workspace: OpenWorkspace;
  writer: Writer;
  hosts: Hosts;
  log(line: string): void;
}

const atOnce = 200;

/**
 * Tells hosts which attempts are collected, and what of them exists only there: what a host may clean up. One
 * that is away is told when it is back.
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
