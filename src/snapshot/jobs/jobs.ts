import type { Job } from './context.ts';
import { dryRun } from './dry-run.ts';
import { preview } from './preview.ts';
import { take } from './take.ts';
import type { JobTools } from './tools.ts';

/** Every job of the snapshot thread. */
export function snapshotJobs(tools: JobTools) {
  return {
    take: take(tools),
    preview: preview(tools),
    dryRun: dryRun(tools),
  } satisfies Record<string, Job<never, unknown>>;
}

export type SnapshotJobs = ReturnType<typeof snapshotJobs>;
