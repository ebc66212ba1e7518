import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { blobPath } from './blobs.ts';

/** The blocking face of a folder of blobs, for threads: see `Blobs` for the other. */
export class BlobFolder {
  readonly dir: string;
  private readonly folders = new Set<string>();

  constructor(dir: string) {
    this.dir = dir;
  }

  pathOf(hash: string): string {
    return blobPath(this.dir, hash);
  }

  has(hash: string): boolean {
    return existsSync(this.pathOf(hash));
  }

  read(hash: string): Promise<Buffer> {
    return readFile(this.pathOf(hash));
  }

  temporary(): string {
    const folder = path.join(this.dir, 'tmp');
    this.makeFolder(folder);
    return path.join(folder, `${process.pid}-${randomBytes(8).toString('hex')}`);
  }

  holds(hash: string, size: number): boolean {
    return statSync(this.pathOf(hash), { throwIfNoEntry: false })?.size === size;
  }

  place(hash: string, bytes: Uint8Array): boolean {
    const target = this.pathOf(hash);
    this.makeFolder(path.dirname(target));
    let fd: number;
    try {
      fd = openSync(target, 'wx', 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      return this.replace(hash, bytes);
    }
    try {
      writeAll(fd, bytes);
    } catch (error) {
      // Another thread may have put the whole one in its place meanwhile.
      if (!this.holds(hash, bytes.length)) rmSync(target, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
    return true;
  }

  /** Where a blob is already: it stays if it is whole; otherwise its place is taken. */
  private replace(hash: string, bytes: Uint8Array): boolean {
    if (this.holds(hash, bytes.length)) return false;
    const temporary = this.temporary();
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      writeAll(fd, bytes);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    } finally {
      closeSync(fd);
    }
    return this.adopt(temporary, hash, bytes.length);
  }

  adopt(temporary: string, hash: string, size: number): boolean {
    if (this.holds(hash, size)) {
      rmSync(temporary);
      return false;
    }
    const target = this.pathOf(hash);
    this.makeFolder(path.dirname(target));
    renameSync(temporary, target);
    return true;
  }

  generation(): number {
    return blobGeneration(this.dir);
  }

  private makeFolder(folder: string): void {
    if (this.folders.has(folder)) return;
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    this.folders.add(folder);
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
}

/** How often blobs have been removed from a folder. */
export function blobGeneration(dir: string): number {
  try {
    return Number(readFileSync(path.join(dir, generationFile), 'utf8')) || 0;
  } catch {
    return 0;
  }
}

export const generationFile = 'generation';
