import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import type { BlobFolder } from './blob-folder.ts';
import { failedWrite } from './failed-write.ts';

/** Holes are found in steps of this size (bytes): what file systems give out at a time. */
const pageBytes = 1 << 16;
const zeros = Buffer.alloc(pageBytes);

/** A blob while it is written; pages of zeros become holes. */
export class TemporaryBlob {
  private readonly blobs: BlobFolder;
  private readonly path: string;
  private fd: number | undefined;
  private size = 0;
  private hole = false;

  constructor(blobs: BlobFolder) {
    this.blobs = blobs;
    this.path = blobs.temporary();
    this.fd = guarded(blobs, () => openSync(this.path, 'wx', 0o600));
  }

  write(part: Buffer): void {
    guarded(this.blobs, () => {
      if (part.length < pageBytes) return this.put(part);
      for (let at = 0; at < part.length;) {
        const page = part.subarray(at, at + pageBytes);
        if (page.length === pageBytes && page.equals(zeros)) {
          this.size += pageBytes;
          this.hole = true;
          at += pageBytes;
          continue;
        }
        let end = at + page.length;
        while (end < part.length && !isHole(part, end)) end += pageBytes;
        this.put(part.subarray(at, Math.min(end, part.length)));
        at = end;
      }
    });
  }

  adopt(hash: string): boolean {
    return guarded(this.blobs, () => {
      if (this.hole) ftruncateSync(this.fd!, this.size);
      closeSync(this.fd!);
      this.fd = undefined;
      return this.blobs.adopt(this.path, hash, this.size);
    });
  }

  /** Removes what was not adopted. */
  discard(): void {
    if (this.fd === undefined) return;
    closeSync(this.fd);
    this.fd = undefined;
    rmSync(this.path, { force: true });
  }

  private put(part: Buffer): void {
    for (let at = 0; at < part.length;) at += writeSync(this.fd!, part, at, part.length - at, this.size + at);
    this.size += part.length;
    this.hole = false;
  }
}

function isHole(part: Buffer, at: number): boolean {
  return at + pageBytes <= part.length && part.subarray(at, at + pageBytes).equals(zeros);
}

/** What cannot be written is said as such. */
function guarded<T>(blobs: BlobFolder, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw failedWrite(cause, blobs.dir);
  }
}
