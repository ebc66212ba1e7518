import type { BlobFolder } from '../blob-folder.ts';
import type { Crew } from '../crew.ts';

/** What the jobs of a snapshot thread work with. */
export interface JobTools {
  /** The folder of blobs of a path. */
  open(dir: string): BlobFolder;
  /** Threads that help with many files. */
  crew: Crew;
}
