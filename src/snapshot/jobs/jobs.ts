import { compare } from './compare.ts';
import type { Job } from './context.ts';
import { dryRun } from './dry-run.ts';
import { preview } from './preview.ts';
import { restore } from './restore.ts';
import { search } from './search.ts';
import { take } from './take.ts';
import type { JobTools } from './tools.ts';
import { zip } from './zip.ts';

/** Every job of the snapshot thread. */
export function snapshotJobs(tools: JobTools) {
  return {
    take: take(tools),
    preview: preview(tools),
    dryRun: dryRun(tools),
    compare: compare(tools),
    restore: restore(tools),
    search: search(tools),
    zip: zip(tools),
  } satisfies Record<string, Job<never, unknown>>;
}

export type SnapshotJobs = ReturnType<typeof snapshotJobs>;
