import type { Run } from '../api/entities.ts';

/** Names one run of this home. Tree nodes and run pages are both such references. */
export interface RunRef {
  readonly workspace: string;
  readonly runId: string;
  /** What is known of it, when the reference comes from something that shows it. */
  readonly run?: Run | undefined;
}

/** Whether a command's argument names a run. */
export function isRunRef(value: unknown): value is RunRef {
  const ref = value as Partial<RunRef> | undefined;
  return typeof ref?.workspace === 'string' && typeof ref.runId === 'string';
}

/** One string for each run, for maps. */
export function runKey(ref: RunRef): string {
  return `${ref.workspace}/${ref.runId}`;
}
