import { open, readdir, readlink, realpath, stat } from 'node:fs/promises';
import type { Dirent } from 'node:fs';
import path from 'node:path';
import { RunyardError, systemErrorCode } from '../api/errors.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import { IgnoreRules } from './ignore-rules.ts';
import { encodeManifest, manifestSize } from './manifest.ts';

/** Where blobs go (the store's `Blobs`): content in, SHA-256 out, atomically. */
export interface BlobSink {
  put(content: Uint8Array): Promise<string>;
  writer(): Promise<{
    write(part: Uint8Array): Promise<void>;
    finish(): Promise<{ hash: string; size: number }>;
    discard(): Promise<void>;
  }>;
}

export interface Snapshot {
  /** SHA-256 of the manifest, which is a blob as well. */
  id: string;
  entries: ManifestEntry[];
  files: number;
  bytes: number;
}

export interface SnapshotOptions {
  /** Left out if it lies inside the folder. */
  home?: string;
  signal?: AbortSignal;
  progress?: (files: number, bytes: number) => void;
}

/** Read again this often when a file changes under the reader. */
const mostReads = 5;
const readSize = 1024 * 1024;

/**
 * Stores a folder: every file that is not ignored as a blob, and a manifest. Throws `not_found` when the
 * folder is not there, `bad_request` for a link that points outside or a file that cannot be read.
 */
export async function takeSnapshot(
  folder: string,
  blobs: BlobSink,
  options: SnapshotOptions = {},
): Promise<Snapshot> {
  const root = await existingFolder(folder);
  const entries: ManifestEntry[] = [];
  let bytes = 0;

  const visit = async (dir: string, prefix: string, above: IgnoreRules): Promise<void> => {
    options.signal?.throwIfAborted();
    const rules = await above.inside(dir);
    for (const child of await list(dir)) {
      const file = path.join(dir, child.name);
      const name = prefix + child.name;
      if (rules.leavesOut(file, child.isDirectory())) continue;
      if (child.isDirectory()) {
        const before = entries.length;
        await visit(file, `${name}/`, rules);
        if (entries.length === before && (await isEmptyFolder(file))) entries.push({ path: name, dir: true });
      } else if (child.isSymbolicLink()) {
        entries.push({ path: name, link: await linkInside(root, file, name) });
      } else if (child.isFile()) {
        const entry = await storeFile(file, name, blobs, options.signal);
        if (!entry) continue;
        entries.push(entry);
        bytes += entry.size;
        options.progress?.(entries.length, bytes);
      }
    }
  };
  await visit(root, '', await IgnoreRules.of(root, options.home));
  const id = await blobs.put(encodeManifest(entries));
  return { id, entries, ...manifestSize({ entries }) };
}

/** The folder's real path. Throws RunyardError when it is none or cannot be read. */
export async function existingFolder(folder: string): Promise<string> {
  try {
    const root = await realpath(folder);
    if ((await stat(root)).isDirectory()) return root;
  } catch (cause) {
    if (systemErrorCode(cause) === 'EACCES') {
      throw new RunyardError('not_permitted', `The folder ${folder} cannot be read.`, { cause });
    }
    throw new RunyardError('not_found', `The folder ${folder} is not there.`, { cause });
  }
  throw new RunyardError('bad_request', `${folder} is not a folder.`);
}

async function list(dir: string): Promise<Dirent[]> {
  try {
    return await readdir(dir, { withFileTypes: true });
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') return [];
    throw unreadable(dir, cause);
  }
}

async function isEmptyFolder(dir: string): Promise<boolean> {
  return (await list(dir)).length === 0;
}

async function linkInside(root: string, file: string, name: string): Promise<string> {
  const target = await readlink(file);
  const resolved = path.resolve(path.dirname(file), target);
  if (path.isAbsolute(target) || !(resolved + path.sep).startsWith(root + path.sep)) {
    throw new RunyardError('bad_request', `The link ${name} points outside the folder (to ${target}).`, {
      action: `Replace it by what it points to, or add "${name}" to .amlignore or .gitignore.`,
    });
  }
  return target;
}

/** Stores one file; undefined when it vanished meanwhile. Reads again when it changed while it was read. */
async function storeFile(
  file: string,
  name: string,
  blobs: BlobSink,
  signal: AbortSignal | undefined,
): Promise<Extract<ManifestEntry, { hash: string }> | undefined> {
  for (let read = 1; ; read++) {
    let handle;
    try {
      handle = await open(file, 'r');
    } catch (cause) {
      if (systemErrorCode(cause) === 'ENOENT') return undefined;
      throw unreadable(file, cause);
    }
    const writer = await blobs.writer().catch(async (error: unknown) => {
      await handle.close();
      throw error;
    });
    try {
      const before = await handle.stat();
      const buffer = Buffer.allocUnsafe(Math.max(1, Math.min(readSize, before.size)));
      for (;;) {
        signal?.throwIfAborted();
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
        if (bytesRead === 0) break;
        await writer.write(buffer.subarray(0, bytesRead));
      }
      const after = await handle.stat();
      const changed = before.mtimeMs !== after.mtimeMs || before.size !== after.size;
      if (changed && read < mostReads) {
        await writer.discard();
        continue;
      }
      if (changed) {
        throw new RunyardError('conflict', `The file ${name} keeps changing while it is read.`, {
          action: 'Stop what writes it, or add it to .amlignore or .gitignore.',
        });
      }
      const { hash, size } = await writer.finish();
      return { path: name, mode: before.mode & 0o100 ? 0o755 : 0o644, size, hash };
    } catch (error) {
      await writer.discard();
      throw error;
    } finally {
      await handle.close();
    }
  }
}

function unreadable(file: string, cause: unknown): RunyardError {
  return new RunyardError(
    'not_permitted',
    `${file} cannot be read (${systemErrorCode(cause) ?? 'unknown error'}).`,
    {
      action: 'Change its rights, or add it to .amlignore or .gitignore.',
      cause,
    },
  );
}
