import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import { environmentFactsSchema, type BuildLine } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import type { Host } from '../compute/host.ts';
import { sendMissingBlobs, type BlobSource } from '../compute/upload.ts';
import { contextsOf, type SpecEnvironment } from '../protocol/messages.ts';
import { readManifest } from '../snapshot/manifest.ts';
import type { Blobs } from '../store/blobs.ts';

/** How often a build's log is asked for. */
const pollMs = 250;

const begunSchema = z.object({ key: z.string(), build: z.number() });
const polledSchema = z.object({
  state: z.enum(['building', 'ready', 'failed', 'canceled']),
  reason: z.string().nullish(),
  size: z.number(),
  error: z
    .object({
      code: z.string(),
      message: z.string(),
      action: z.string().nullish(),
      tail: z.string().default(''),
    })
    .nullish(),
  facts: environmentFactsSchema.nullish(),
});

export interface BuildOptions {
  host: Host;
  blobs: Blobs;
  rebuild: boolean;
  /** The submitter's variables, for this machine only. */
  variables: Record<string, string> | undefined;
  signal: AbortSignal;
}

/**
 * Builds an environment on a host (or joins a build that goes on) and says how it goes: its log from the first line,
 * then its result or its error. When `signal` aborts, the build ends, unless a run waits for it too.
 */
export async function* buildOn(
  environment: SpecEnvironment,
  { host, blobs, rebuild, variables, signal }: BuildOptions,
): AsyncGenerator<BuildLine> {
  const channel = await host.connect({ person: true });
  for (const context of contextsOf(environment.recipe)) {
    if (!host.sharesFiles) {
      yield { reason: `Sending files to ${host.name}` };
      await sendMissingBlobs(channel, await manifestBlobs(blobs, context), () => undefined, signal);
    }
  }
  signal.throwIfAborted();
  const shared = host.sharesFiles ? { blobs: [blobs.dir], ...(variables ? { variables } : {}) } : {};
  const begun = begunSchema.parse(
    (await channel.request('environment.build', { environment, rebuild, ...shared })).result,
  );
  const decoder = new TextDecoder();
  let offset = 0;
  let said = '';
  try {
    for (;;) {
      signal.throwIfAborted();
      const { result, payload } = await channel.request('environment.poll', { ...begun, offset });
      const polled = polledSchema.parse(result);
      offset += payload.byteLength;
      if (payload.byteLength > 0) yield { log: decoder.decode(payload, { stream: true }) };
      if (offset < polled.size) continue;
      if (polled.reason && polled.reason !== said) yield { reason: (said = polled.reason) };
      if (polled.state === 'ready') {
        yield { result: polled.facts ?? {} };
        return;
      }
      if (polled.state !== 'building') {
        yield {
          error: polled.error ?? {
            code: 'environment',
            message: polled.state === 'canceled' ? 'The build was canceled.' : 'The build failed.',
            tail: '',
          },
        };
        return;
      }
      await sleep(pollMs, undefined, { signal }).catch(() => undefined);
    }
  } finally {
    if (channel.isOpen) await channel.request('environment.release', begun).catch(() => undefined);
  }
}

async function manifestBlobs(blobs: Blobs, id: string): Promise<BlobSource[]> {
  const found: BlobSource[] = [{ hash: id, size: await blobs.size(id), file: blobs.pathOf(id) }];
  for await (const entries of readManifest(blobs, id)) {
    for (const entry of entries) {
      if ('hash' in entry) found.push({ hash: entry.hash, size: entry.size, file: blobs.pathOf(entry.hash) });
    }
  }
  return found;
}

/** Throws `bad_request` for an environment that nothing is built of. */
export function mustBeBuilt(environment: SpecEnvironment | null, label: string): SpecEnvironment {
  if (environment?.recipe) return environment;
  throw new RunyardError('bad_request', `There is nothing to build for ${label}: it is used as it is.`);
}
