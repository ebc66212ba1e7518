import { RunyardError } from '../../api/errors.ts';

/** Files and bytes so far, and of how many; null while that is not known. */
export interface Progress {
  stage: 'listing' | 'storing';
  files: number;
  bytes: number;
  totalFiles: number | null;
  totalBytes: number | null;
}

/** What a job of the snapshot thread may use while it works. */
export interface JobContext {
  /** Throws `canceled` once somebody has asked for the end; to be called between steps. */
  throwIfCanceled(): void;
  /** Reports at most ten times a second. */
  progress(now: Progress): void;
  /** Bytes that are an answer's stream (a dry run); resolves when there is room for more. */
  emit(part: Uint8Array): void;
}

/** A job by its name. Runs beside the event loop, so that it may block. */
export type Job<Args, Result> = (args: Args, context: JobContext) => Promise<Result> | Result;

export function canceled(): RunyardError {
  return new RunyardError('canceled', 'It was canceled.');
}
