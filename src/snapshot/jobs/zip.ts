import { createWriteStream, rmSync, statSync } from 'node:fs';
import { failedWrite } from '../failed-write.ts';
import { snapshotItems, writeZip, type ZipItem } from '../zip.ts';
import type { Job } from './context.ts';
import type { JobTools } from './tools.ts';

export interface ZipArgs {
  /** Folder of the workspace's blobs. */
  blobs: string;
  snapshot: { id: string; prefix: string } | null;
  /** After the snapshot, in this order. */
  items: ZipItem[];
}

export interface Zipped {
  /** A temporary file, which whoever asked for it removes. */
  file: string;
  size: number;
}

/** A zip as a file. Its directory at the end alone would hold up an event loop for seconds. */
export function zip({ open }: Pick<JobTools, 'open'>): Job<ZipArgs, Zipped> {
  return async ({ blobs, snapshot, items }, context) => {
    const folder = open(blobs);
    const file = folder.temporary();
    async function* all(): AsyncGenerator<ZipItem> {
      if (snapshot) yield* snapshotItems(folder, snapshot.id, snapshot.prefix);
      yield* items;
    }
    try {
      await writeZip(all(), createWriteStream(file, { mode: 0o600 }), () => context.throwIfCanceled());
      return { file, size: statSync(file).size };
    } catch (error) {
      rmSync(file, { force: true });
      throw failedWrite(error, blobs);
    }
  };
}
