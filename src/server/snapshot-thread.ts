import { parentPort, workerData } from 'node:worker_threads';
import { Crew, runCrewMember } from '../snapshot/crew.ts';
import { snapshotJobs } from '../snapshot/jobs/jobs.ts';
import { runJobs } from '../snapshot/thread-loop.ts';
import { BlobFolder } from '../store/blob-folder.ts';

// A snapshot thread of a server: what would hold up the event loop. With many files it starts itself again as
// its own helper.
const open = (dir: string) => new BlobFolder(dir);
if ((workerData as { crew?: boolean } | null)?.crew) runCrewMember(parentPort!, open);
else runJobs(parentPort!, snapshotJobs({ open, crew: new Crew(new URL(import.meta.url), open) }));
