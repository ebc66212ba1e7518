import { parentPort } from 'node:worker_threads';
import { snapshotJobs } from '../snapshot/jobs/jobs.ts';
import { runJobs } from '../snapshot/thread-loop.ts';
import { BlobFolder } from '../store/blob-folder.ts';

// A snapshot thread of a server: what would hold up the event loop, with the store's folder of blobs.
runJobs(
  parentPort!,
  snapshotJobs((dir) => new BlobFolder(dir)),
);
