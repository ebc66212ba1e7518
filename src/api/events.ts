import * as z from 'zod';
import { promptSchema } from './compute.ts';
import { experimentSchema, runSchema } from './entities.ts';

/**
 * What the event stream of a workspace (`GET /v1/workspaces/:workspace/events`) says. Numbered events
 * (`id:` in the stream) are stored: a client that comes back with `Last-Event-ID` misses none of them, or
 * is told `reset` when they are no longer kept. `metrics`, `log`, `files`, `compute` are hints without a
 * number ("look again"): after a reconnect a client looks again anyway.
 */
export const serverEventSchema = z.discriminatedUnion('type', [
  /** First on every connection. `reset`: events were missed; fetch everything again. */
  z.object({ type: z.literal('hello'), reset: z.boolean() }),
  z.object({ type: z.literal('run'), run: runSchema }),
  z.object({ type: z.literal('run.deleted'), runId: z.string(), experiment: z.string() }),
  z.object({ type: z.literal('experiment'), experiment: experimentSchema }),
  z.object({ type: z.literal('experiment.deleted'), name: z.string() }),
  z.object({ type: z.literal('metrics'), runId: z.string(), names: z.array(z.string()) }),
  /** `size`: bytes of the log that are there now. */
  z.object({ type: z.literal('log'), runId: z.string(), path: z.string(), size: z.number() }),
  /** Parameters, tags, properties, documents, images or files of the run changed. */
  z.object({ type: z.literal('details'), runId: z.string() }),
  /** How far the snapshot of a run that starts is, and its way to the host. */
  z.object({
    type: z.literal('progress'),
    runId: z.string(),
    stage: z.enum(['listing', 'storing', 'sending']),
    files: z.number(),
    bytes: z.number(),
    /** Null while it is not known. */
    totalFiles: z.number().nullable(),
    totalBytes: z.number().nullable(),
  }),
  /** A target came, went or changed: its state, its settings. */
  z.object({ type: z.literal('compute'), name: z.string() }),
  /** How far the files are that are fetched from the host on demand; the last one has `done: true`. */
  z.object({
    type: z.literal('fetch'),
    runId: z.string(),
    path: z.string(),
    bytes: z.number(),
    totalBytes: z.number(),
    done: z.boolean(),
  }),
  /** A question for a person; after a reconnect a client asks for the list again. */
  z.object({ type: z.literal('prompt'), prompt: promptSchema }),
  /** Answered, dismissed, or of no use any more. */
  z.object({ type: z.literal('prompt.gone'), id: z.string() }),
  /** Environments were registered or deleted. */
  z.object({ type: z.literal('environments') }),
  z.object({ type: z.literal('workspaces') }),
  /** The server ends; reconnect finds or starts the next one. */
  z.object({ type: z.literal('bye'), reason: z.string() }),
]);
export type ServerEvent = z.infer<typeof serverEventSchema>;
