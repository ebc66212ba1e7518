import { setTimeout as sleep } from 'node:timers/promises';
import type { RunyardError } from '../api/errors.ts';
import type { AgentChannel } from '../compute/channel.ts';
import type { Host } from '../compute/host.ts';
import { sendMissingBlobs } from '../compute/upload.ts';
import type { Spec } from '../protocol/messages.ts';
import type { Snapshot } from '../snapshot/take.ts';
import type { Blobs } from '../store/blobs.ts';

/** Tries to hand a run to a host whose agent ends in the middle, and the pause between them. */
const mostTries = 5;
const retryMs = 300;

export interface Delivery {
  request: { spec: Spec; environment: Record<string, string> };
  signal: AbortSignal;
  log(line: string): void;
}

/**
 * Sends a run and the blobs that its host lacks. An agent that ends in the middle is no failure of the run:
 * each step may be done twice, so it is tried again over a new channel.
 */
export async function deliver(
  host: Host,
  blobs: Blobs,
  snapshot: Snapshot,
  { request, signal, log }: Delivery,
): Promise<void> {
  const files = snapshot.entries.flatMap((entry) => ('hash' in entry ? [entry] : []));
  const manifest = { hash: snapshot.id, size: await blobs.size(snapshot.id) };
  const wanted = [...files, manifest].map(({ hash, size }) => ({ hash, size, file: blobs.pathOf(hash) }));
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted();
    let channel: AgentChannel | undefined;
    try {
      channel = await host.connect();
      await sendMissingBlobs(channel, wanted, () => {}, signal);
      signal.throwIfAborted();
      await channel.request('run.submit', request);
      return;
    } catch (error) {
      // What the agent itself refuses, it refuses again.
      if (channel?.isOpen || signal.aborted || tries === mostTries) throw error;
      log(`handing ${request.spec.run} to ${host.name}: ${(error as Error).message}; tried again`);
      await sleep(retryMs * tries, undefined, { signal });
    }
  }
}

/** Whether the host has an attempt: a kill may have come after it had taken it. */
export async function hostHas(host: Host, run: string, attempt: number): Promise<boolean> {
  if (attempt === 0) return false;
  const channel = await host.connect();
  try {
    await channel.request('run.status', { run, attempt });
    return true;
  } catch (error) {
    if ((error as RunyardError).code === 'not_found') return false;
    throw error;
  }
}
