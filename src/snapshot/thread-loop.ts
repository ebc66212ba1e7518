import type { MessagePort } from 'node:worker_threads';
import { RunyardError, type ErrorBody } from '../api/errors.ts';
import { giveBackMemory } from './memory.ts';
import { withCancellation } from './git.ts';
import { canceled, type Job, type JobContext, type Progress } from './jobs/context.ts';

export interface JobMessage {
  id: number;
  job: string;
  args: unknown;
  /** One Int32: not 0 once the job is to end. */
  cancel: SharedArrayBuffer;
}

export type JobReply =
  | { id: number; progress: Progress }
  | { id: number; part: Uint8Array }
  | { id: number; result: unknown }
  | { id: number; error: ErrorBody; stack: string | undefined };

const progressMs = 100;

/** Does jobs as they come. They take their turns, for each may block. */
export function runJobs(port: MessagePort, jobs: Record<string, Job<never, unknown>>): void {
  const handle = async ({ id, job, args, cancel }: JobMessage): Promise<void> => {
    const flag = new Int32Array(cancel);
    let reported = 0;
    const context: JobContext = {
      throwIfCanceled: () => {
        if (Atomics.load(flag, 0) !== 0) throw canceled();
      },
      progress: (progress) => {
        const now = performance.now();
        if (now - reported < progressMs) return;
        reported = now;
        port.postMessage({ id, progress } satisfies JobReply);
      },
      emit: (part) => port.postMessage({ id, part } satisfies JobReply, [part.buffer as ArrayBuffer]),
    };
    try {
      context.throwIfCanceled();
      const work = jobs[job];
      if (!work) throw new Error(`there is no job ${job}`);
      port.postMessage({
        id,
        result: await withCancellation(context.throwIfCanceled, () => work(args as never, context)),
      } satisfies JobReply);
    } catch (error) {
      const known =
        error instanceof RunyardError
          ? error
          : new RunyardError('internal', `Something went wrong inside Runyard: ${(error as Error).message}`, {
              action: 'See the server log, and report it.',
            });
      const stack = (error as Error).stack;
      port.postMessage({ id, error: known.toBody(), stack } satisfies JobReply);
    }
  };
  let last: Promise<void> = Promise.resolve();
  port.on('message', (message: JobMessage) => {
    // A job leaves tables of many megabytes: they go now, not when the thread happens to need room.
    last = last.then(() => handle(message)).then(giveBackMemory);
  });
}
