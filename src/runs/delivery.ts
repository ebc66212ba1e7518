import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunyardError } from '../api/errors.ts';
import type { AgentChannel } from '../compute/channel.ts';
import type { Host } from '../compute/host.ts';
import { missingBlobs, sendMissingBlobs, type BlobSource } from '../compute/upload.ts';
import type { Spec } from '../protocol/messages.ts';
import { readManifest } from '../snapshot/manifest.ts';
import type { Blobs } from '../store/blobs.ts';

/** Tries to hand a run to a host whose agent ends in the middle, and the pause between them. */
const mostTries = 5;
const retryMs = 300;
/** A question of so many hashes is small enough to be put together between two other requests. */
const hashesPerQuestion = 8000;

/** The host was told to take the run and could not answer: only it knows whether it has it. */
export class Unanswered extends Error {}

export interface Delivery {
  request: { spec: Spec; environment: Record<string, string> };
  /** Manifests of files that the environment is built of. */
  contexts: readonly string[];
  signal: AbortSignal;
  log(line: string): void;
  /** The host cannot be used now: the run waits for it. */
  waits(problem: RunyardError): void;
  /** Bytes sent, of how many. */
  progress(sent: number, total: number): void;
}

/**
 * Sends a run and the blobs that its host lacks. An agent that ends in the middle is no failure of the run:
 * each step may be done twice, so it is tried again over a new channel. Throws Unanswered when it is aborted
 * at a moment when the host may have the run.
 */
export async function deliver(
  host: Host,
  blobs: Blobs,
  snapshot: string,
  { request, contexts, signal, log, waits, progress }: Delivery,
): Promise<void> {
  let told = false;
  for (let tries = 1; ; tries++) {
    let channel: AgentChannel | undefined;
    try {
      signal.throwIfAborted();
      channel = host.sharesFiles ? await host.connect() : await whenReachable(host, signal, waits);
      if (!host.sharesFiles) {
        const missing: BlobSource[] = [];
        for (const manifest of new Set([snapshot, ...contexts])) {
          for (const blob of await blobsThatLack(channel, blobs, manifest, signal)) missing.push(blob);
        }
        await sendMissingBlobs(channel, missing, progress, signal);
      }
      signal.throwIfAborted();
      // Another machine has an environment of its own: what it has after the set-up lines.
      const more = host.sharesFiles ? { blobs: [path.resolve(blobs.dir)] } : { environment: undefined };
      told = true;
      await channel.request('run.submit', { ...request, ...more });
      return;
    } catch (error) {
      if (signal.aborted) throw told ? new Unanswered('The host could not answer.', { cause: error }) : error;
      // What the agent itself refuses, it refuses again.
      if (channel?.isOpen) throw error;
      // A bad line may break as often as it likes; a program on this machine should not.
      if (host.sharesFiles && tries === mostTries) throw error;
      log(`handing ${request.spec.run} to ${host.name}: ${(error as Error).message}; tried again`);
      await sleep(retryMs * Math.min(tries, mostTries), undefined, { signal }).catch(() => undefined);
    }
  }
}

/** The channel of a host that may be away for long; says why there is none yet. */
export async function whenReachable(
  host: Host,
  signal: AbortSignal,
  waits: (problem: RunyardError) => void,
): Promise<AgentChannel> {
  const first = await host.connect().catch((error: RunyardError) => waits(error));
  if (first) return first;
  const aborted = new Promise<undefined>((resolve) =>
    signal.addEventListener('abort', () => resolve(undefined)),
  );
  const channel = await Promise.race([host.reconnect(() => !signal.aborted, waits), aborted]);
  signal.throwIfAborted();
  if (!channel) throw new RunyardError('unavailable', 'The server is ending.');
  return channel;
}

/** Blobs of a snapshot that the host lacks, the manifest among them; asked for some thousand at a time. */
async function blobsThatLack(
  channel: AgentChannel,
  blobs: Blobs,
  snapshot: string,
  signal: AbortSignal,
): Promise<BlobSource[]> {
  const manifest = { hash: snapshot, size: await blobs.size(snapshot), file: blobs.pathOf(snapshot) };
  const missing: BlobSource[] = [];
  let batch: BlobSource[] = [manifest];
  const ask = async () => {
    signal.throwIfAborted();
    for (const blob of await missingBlobs(channel, batch)) missing.push(blob);
    batch = [];
  };
  for await (const entries of readManifest(blobs, snapshot)) {
    for (const entry of entries) {
      if ('hash' in entry) batch.push({ hash: entry.hash, size: entry.size, file: blobs.pathOf(entry.hash) });
    }
    if (batch.length >= hashesPerQuestion) await ask();
  }
  if (batch.length > 0) await ask();
  return missing;
}

/** Whether the host has an attempt: a kill may have come after it had taken it. */
export async function hostHas(host: Host, run: string, attempt: number): Promise<boolean> {
  return channelHas(await host.connect(), run, attempt);
}

/** The same, of a host that may be away for long; a line that breaks meanwhile is waited for. */
export async function hostHasInTheEnd(
  host: Host,
  run: string,
  attempt: number,
  { signal, waits }: Pick<Delivery, 'signal' | 'waits'>,
): Promise<boolean> {
  for (;;) {
    const channel = await whenReachable(host, signal, waits);
    try {
      return await channelHas(channel, run, attempt);
    } catch (error) {
      if (channel.isOpen) throw error;
    }
  }
}

async function channelHas(channel: AgentChannel, run: string, attempt: number): Promise<boolean> {
  try {
    await channel.request('run.status', { run, attempt });
    return true;
  } catch (error) {
    if ((error as RunyardError).code === 'not_found') return false;
    throw error;
  }
}
