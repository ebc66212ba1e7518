import { createHash } from 'node:crypto';
import { closeSync, constants, fchmodSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { RunyardError, systemErrorCode } from '../api/errors.ts';
import { fsPath } from './path-text.ts';

const bufferSize = 1024 * 1024;
/** A run of zeros this long, at such a place, is left as a hole: what file systems can leave out. */
const holeSize = 4096;
const zeros = Buffer.alloc(holeSize);

const onlyNew = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** Copies contents of blobs into new files. Blocks: for threads. */
export class BlobCopier {
  private readonly buffer = Buffer.allocUnsafe(bufferSize);

  /**
   * Makes the file `target` (binary), which must not be there, with exactly this mode. `made` is called once it is
   * there; it stays when this throws: `conflict` when the blob is not what its hash says.
   */
  copy(
    blob: string,
    target: string,
    entry: { hash: string; mode: number; path: string },
    steps: { made: () => void; between: () => void },
  ): number {
    const from = openBlob(blob, entry.path);
    try {
      const to = openSync(fsPath(target), onlyNew, 0o600);
      try {
        steps.made();
        const size = this.pour(from, to, entry, steps.between);
        fchmodSync(to, entry.mode);
        return size;
      } finally {
        closeSync(to);
      }
    } finally {
      closeSync(from);
    }
  }

  private pour(from: number, to: number, entry: { hash: string; path: string }, between: () => void): number {
    const hash = createHash('sha256');
    let size = 0;
    let written = 0;
    for (;;) {
      const length = readSync(from, this.buffer, 0, bufferSize, null);
      if (length === 0) break;
      const part = this.buffer.subarray(0, length);
      hash.update(part);
      for (const [start, end] of dataIn(part)) {
        writeAll(to, part.subarray(start, end), size + start);
        written = size + end;
      }
      size += length;
      between();
    }
    if (written < size) ftruncateSync(to, size);
    if (hash.digest('hex') !== entry.hash) throw changedContent(entry.path);
    return size;
  }
}

/** SHA-256 of a blob is what it should be. Throws `conflict`. */
export function verifyBlob(blob: string, hash: string, what: string): void {
  const from = openBlob(blob, what);
  try {
    const digest = createHash('sha256');
    const buffer = Buffer.allocUnsafe(bufferSize);
    for (let length; (length = readSync(from, buffer, 0, bufferSize, null)) > 0;) {
      digest.update(buffer.subarray(0, length));
    }
    if (digest.digest('hex') !== hash) throw changedContent(what);
  } finally {
    closeSync(from);
  }
}

export function changedContent(what: string): RunyardError {
  return new RunyardError('conflict', `The stored content of ${what} was changed.`, {
    action: 'Put the workspace back from a backup.',
  });
}

/** The error for content that a workspace should have. */
export function missingContent(what: string): RunyardError {
  return new RunyardError('conflict', `The stored content of ${what} is not there any more.`, {
    action: 'Put the workspace back from a backup.',
  });
}

function openBlob(blob: string, what: string): number {
  try {
    return openSync(blob, 'r');
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') throw missingContent(what);
    throw cause;
  }
}

/** The parts of a buffer that are not holes. */
function* dataIn(part: Buffer): Generator<[number, number]> {
  let start = -1;
  for (let at = 0; at < part.length; at += holeSize) {
    const isHole = at + holeSize <= part.length && part.compare(zeros, 0, holeSize, at, at + holeSize) === 0;
    if (!isHole && start < 0) start = at;
    if (isHole && start >= 0) {
      yield [start, at];
      start = -1;
    }
  }
  if (start >= 0) yield [start, part.length];
}

function writeAll(to: number, part: Buffer, position: number): void {
  for (let at = 0; at < part.length;) at += writeSync(to, part, at, part.length - at, position + at);
}
