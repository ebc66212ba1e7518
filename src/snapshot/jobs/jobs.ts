import type { BlobFolder } from '../blob-folder.ts';
import type { Job } from './context.ts';
import { dryRun } from './dry-run.ts';
import { preview } from './preview.ts';
import { take } from './take.ts';

/** Every job of the snapshot thread. `open` makes the folder of blobs of a path. */
export function snapshotJobs(open: (dir: string) => BlobFolder) {
  return {
    take: take(open),
    preview,
    dryRun,
  } satisfies Record<string, Job<never, unknown>>;
}

export type SnapshotJobs = ReturnType<typeof snapshotJobs>;
