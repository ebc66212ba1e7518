import { readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Garbage } from '../api/entities.ts';
import { systemErrorCode } from '../api/errors.ts';
import { blobGeneration, generationFile } from './blob-folder.ts';
import { blobPath, type Blobs } from './blobs.ts';

/** Removals at a time: others who want to write wait for no more than these. */
const removalsAtOnce = 200;

/**
 * Gives what is owned, as hashes; called again when somebody has come to own something meanwhile. Throwing ends
 * the collection before anything is removed.
 */
export type Owned = () => AsyncIterable<string>;

/**
 * Removes every blob that nothing owns, and what killed writers left. What is written meanwhile is safe: whoever
 * relies on blobs says so by `Blobs.using`, and the owners are asked again after each such use. `forgetCaches` removes
 * every stat cache: done where the disk is too full to tell them of the removal.
 */
export async function collectGarbage(
  blobs: Blobs,
  owned: Owned,
  { signal, forgetCaches }: { signal?: AbortSignal; forgetCaches: () => Promise<void> },
): Promise<Garbage> {
  const marks = new Marks(blobs, owned);
  const garbage: Garbage = { blobs: 0, bytes: 0, kept: 0 };
  await marks.update();
  let countedAt = -1;
  const forgetWhenFull = async (error: unknown) => {
    // To collect garbage is how room is made.
    if (!['ENOSPC', 'EDQUOT'].includes(systemErrorCode(error) ?? '')) throw error;
    await forgetCaches();
  };
  const remove = async (files: { file: string; hash: string | undefined }[]): Promise<void> => {
    await blobs.removing(async () => {
      // Inside, nobody writes: what is owned now is all that there is to keep.
      await marks.update();
      const doomed = files.filter(({ hash }) => hash === undefined || !marks.has(hash));
      garbage.kept += files.length - doomed.length;
      if (doomed.length === 0) return;
      // A snapshot that was taken since the last part knows that part's number, but not of this removal.
      if (countedAt !== blobs.uses) await countRemoval(blobs.dir).catch(forgetWhenFull);
      countedAt = blobs.uses;
      for (const { file, hash } of doomed) {
        const { size } = await stat(file).catch(() => ({ size: 0 }));
        await rm(file, { force: true });
        if (hash === undefined) continue;
        garbage.blobs++;
        garbage.bytes += size;
      }
    });
  };
  for (const folder of await namesIn(blobs.dir)) {
    signal?.throwIfAborted();
    const inside = path.join(blobs.dir, folder);
    if (folder === 'tmp') {
      await remove(
        (await namesIn(inside)).map((name) => ({ file: path.join(inside, name), hash: undefined })),
      );
      continue;
    }
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    const hashes = (await namesIn(inside)).map((name) => folder + name).filter((hash) => hash.length === 64);
    const unmarked = hashes.filter((hash) => !marks.has(hash));
    garbage.kept += hashes.length - unmarked.length;
    for (let at = 0; at < unmarked.length; at += removalsAtOnce) {
      signal?.throwIfAborted();
      const some = unmarked.slice(at, at + removalsAtOnce);
      await remove(some.map((hash) => ({ hash, file: blobPath(blobs.dir, hash) })));
    }
    await new Promise(setImmediate);
  }
  return garbage;
}

/**
 * The owned hashes by their first 48 bits: a number takes a tenth of the memory, and two hashes that share them
 * cost no more than a blob that stays.
 */
class Marks {
  private readonly blobs: Blobs;
  private readonly owned: Owned;
  private readonly marks = new Set<number>();
  private uses = -1;

  constructor(blobs: Blobs, owned: Owned) {
    this.blobs = blobs;
    this.owned = owned;
  }

  async update(): Promise<void> {
    if (this.uses === this.blobs.uses) return;
    const uses = this.blobs.uses;
    for await (const hash of this.owned()) this.marks.add(markOf(hash));
    this.uses = uses;
  }

  has(hash: string): boolean {
    return this.marks.has(markOf(hash));
  }
}

function markOf(hash: string): number {
  return Number.parseInt(hash.slice(0, 12), 16);
}

/** Before the first removal: stat caches that are older look whether their blobs are still there. */
async function countRemoval(dir: string): Promise<void> {
  const file = path.join(dir, generationFile);
  try {
    await writeFile(`${file}.tmp`, String(blobGeneration(dir) + 1));
    await rename(`${file}.tmp`, file);
  } catch (error) {
    await rm(`${file}.tmp`, { force: true });
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
}
