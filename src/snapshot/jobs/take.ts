import type { GitFacts } from '../../api/entities.ts';
import type { BlobFolder } from '../blob-folder.ts';
import type { Job } from './context.ts';

export interface TakeArgs {
  folder: string;
  /** Folder of the workspace's blobs. */
  blobs: string;
  /** Folder of the stat caches. */
  cache: string;
  home: string;
}

/** A snapshot that was taken. */
export interface Taken {
  /** SHA-256 of the manifest, which is a blob as well. */
  id: string;
  files: number;
  bytes: number;
  git: GitFacts | null;
  /** What was not there before. */
  stored: { blobs: number; bytes: number };
  /** What a person should know: sockets and pipes that were left out. */
  warnings: string[];
}

export function take(_open: (dir: string) => BlobFolder): Job<TakeArgs, Taken> {
  return () => {
    throw new Error('not yet');
  };
}
