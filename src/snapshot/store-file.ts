import { createHash, hash as hashOf } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { RunyardError, systemErrorCode } from '../api/errors.ts';
import type { BlobFolder } from './blob-folder.ts';
import { failedWrite } from './failed-write.ts';
import { unreadable } from './folder.ts';
import { fsPath, textOf } from './path-text.ts';
import { TemporaryBlob } from './temporary-blob.ts';

/** Read again this often when a file changes under the reader. */
const mostReads = 5;
const partBytes = 1 << 20;

const readFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
const buffer = Buffer.allocUnsafeSlow(partBytes);

export interface StoredFile {
  /** As it was before and after it was read. */
  stat: Stats;
  /** SHA-256, hex. */
  hash: string;
  /** False when the blob was there before. */
  stored: boolean;
}

/**
 * Reads a file (a binary path), and stores its content where `blobs` are given. Undefined when it vanished, or is
 * no file any more. Reads again when it changed meanwhile. Throws `conflict` when it keeps changing,
 * `not_permitted`, `no_space`; `check` may throw to end it.
 */
export function storeFile(
  absolute: string,
  name: string,
  blobs: BlobFolder | undefined,
  check: () => void,
): StoredFile | undefined {
  for (let read = 1; ; read++) {
    const fd = openFile(absolute);
    if (fd === undefined) return undefined;
    let temporary: TemporaryBlob | undefined;
    try {
      const before = fstatSync(fd);
      if (!before.isFile()) return undefined;
      const first = fill(fd, absolute, before.size);
      const small = first < partBytes;
      let hash: string;
      if (small) {
        hash = hashOf('sha256', buffer.subarray(0, first), 'hex');
      } else {
        const whole = createHash('sha256');
        temporary = blobs && new TemporaryBlob(blobs);
        for (let length = first; length > 0; length = fill(fd, absolute, Infinity)) {
          check();
          const part = buffer.subarray(0, length);
          whole.update(part);
          temporary?.write(part);
        }
        hash = whole.digest('hex');
      }
      const after = fstatSync(fd);
      if (
        before.mtimeMs !== after.mtimeMs ||
        before.size !== after.size ||
        before.ctimeMs !== after.ctimeMs
      ) {
        if (read < mostReads) continue;
        throw new RunyardError('conflict', `The file ${textOf(name)} keeps changing while it is read.`, {
          action: 'Stop what writes it, or leave it out by .amlignore or .gitignore.',
        });
      }
      const stored = small
        ? blobs !== undefined && storeSmall(buffer.subarray(0, first), hash, blobs)
        : (temporary?.adopt(hash) ?? false);
      return { stat: after, hash, stored };
    } finally {
      temporary?.discard();
      closeSync(fd);
    }
  }
}

function openFile(absolute: string): number | undefined {
  try {
    return openSync(fsPath(absolute), readFlags);
  } catch (cause) {
    // ELOOP: a link has taken the file's place; ENXIO: a socket.
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'].includes(systemErrorCode(cause) ?? '')) return undefined;
    throw unreadable(absolute, cause);
  }
}

/**
 * Reads until the buffer is full or the file ends; how many bytes there are. With `expected` of them it is taken
 * to end: if it does not, its times have changed.
 */
function fill(fd: number, absolute: string, expected: number): number {
  let length = 0;
  try {
    while (length < partBytes) {
      const got = readSync(fd, buffer, length, partBytes - length, null);
      length += got;
      if (got === 0 || length === expected) break;
    }
  } catch (cause) {
    throw unreadable(absolute, cause);
  }
  return length;
}

function storeSmall(bytes: Buffer, hash: string, blobs: BlobFolder): boolean {
  // Asked first: it is cheaper than an attempt to write that fails.
  if (blobs.holds(hash, bytes.length)) return false;
  try {
    return blobs.place(hash, bytes);
  } catch (error) {
    throw failedWrite(error, blobs.dir);
  }
}

/** Stores bytes that are at hand; their hash, and whether they were new. */
export function storeBytes(bytes: Buffer, blobs: BlobFolder): { hash: string; stored: boolean } {
  const hash = hashOf('sha256', bytes, 'hex');
  if (blobs.holds(hash, bytes.length)) return { hash, stored: false };
  const temporary = new TemporaryBlob(blobs);
  try {
    temporary.write(bytes);
    return { hash, stored: temporary.adopt(hash) };
  } finally {
    temporary.discard();
  }
}
