import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, existsSync, type ReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { RunyardError, systemErrorCode } from '../api/errors.ts';

const hashForm = /^[0-9a-f]{64}$/;

/** Where the content of a hash is in a folder of blobs. Throws `bad_request` when it is no hash. */
export function blobPath(dir: string, hash: string): string {
  if (!hashForm.test(hash)) throw new RunyardError('bad_request', `"${hash}" is not a SHA-256.`);
  return `${dir}/${hash.slice(0, 2)}/${hash.slice(2)}`;
}

/** Content by SHA-256 under `blobs/<2>/<62>`, written once and atomically. */
export class Blobs {
  readonly dir: string;
  /** How often somebody has ended relying on blobs. */
  uses = 0;
  private users = 0;
  private readonly idle: (() => void)[] = [];
  private removal: Promise<void> | undefined;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** Where the content of a hash is, or would be. Throws `bad_request` when it is no hash. */
  pathOf(hash: string): string {
    return blobPath(this.dir, hash);
  }

  has(hash: string): boolean {
    return existsSync(this.pathOf(hash));
  }

  async size(hash: string): Promise<number> {
    return (await stat(this.pathOf(hash))).size;
  }

  /** Stores bytes; the hash is the result. */
  async put(content: Uint8Array): Promise<string> {
    const hash = createHash('sha256').update(content).digest('hex');
    if (await isWhole(this.pathOf(hash), content.length)) return hash;
    const writer = await BlobWriter.create(this);
    await writer.write(content);
    return (await writer.finish()).hash;
  }

  /**
   * Does what relies on blobs that nothing owns yet: until it ends, none is removed. It waits for a removal that
   * is under way.
   */
  async using<T>(work: () => Promise<T>): Promise<T> {
    this.users++;
    try {
      await this.removal;
      return await work();
    } finally {
      this.users--;
      // What it came to own was not asked for before.
      this.uses++;
      if (this.users === 0) for (const wake of this.idle.splice(0)) wake();
    }
  }

  /** Does a short piece of removal while nobody relies on blobs. */
  async removing<T>(work: () => Promise<T>): Promise<T> {
    while (this.users > 0 || this.removal) {
      await (this.removal ?? new Promise<void>((resolve) => this.idle.push(resolve)));
    }
    const done = work();
    this.removal = done.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await done;
    } finally {
      this.removal = undefined;
    }
  }

  /** Removes what a killed server had not finished to write; before the first blob is written. */
  async sweep(): Promise<void> {
    await rm(path.join(this.dir, 'tmp'), { recursive: true, force: true });
  }

  /** For content that comes in parts. Call `finish` or `discard`. */
  writer(): Promise<BlobWriter> {
    return BlobWriter.create(this);
  }

  read(hash: string): Promise<Buffer> {
    return readFile(this.pathOf(hash));
  }

  stream(hash: string): ReadStream {
    return createReadStream(this.pathOf(hash));
  }
}

/** Writes one blob under a temporary name, and gives it its hash's name at the end. */
export class BlobWriter {
  private readonly blobs: Blobs;
  private readonly temporary: string;
  private readonly file: Awaited<ReturnType<typeof open>>;
  private readonly hash = createHash('sha256');
  private size = 0;

  private constructor(blobs: Blobs, temporary: string, file: Awaited<ReturnType<typeof open>>) {
    this.blobs = blobs;
    this.temporary = temporary;
    this.file = file;
  }

  static async create(blobs: Blobs): Promise<BlobWriter> {
    const folder = path.join(blobs.dir, 'tmp');
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const temporary = path.join(folder, `${process.pid}-${randomBytes(8).toString('hex')}`);
    return new BlobWriter(blobs, temporary, await open(temporary, 'wx', 0o600));
  }

  /** Throws `no_space` when the disk is full; call `discard` then. */
  async write(part: Uint8Array): Promise<void> {
    this.hash.update(part);
    this.size += part.length;
    try {
      for (let at = 0; at < part.length;) at += (await this.file.write(part, at)).bytesWritten;
    } catch (error) {
      throw noSpace(error, this.blobs.dir);
    }
  }

  async finish(): Promise<{ hash: string; size: number }> {
    await this.file.close();
    const hash = this.hash.digest('hex');
    const target = this.blobs.pathOf(hash);
    if (await isWhole(target, this.size)) {
      await rm(this.temporary);
    } else {
      await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
      await rename(this.temporary, target);
    }
    return { hash, size: this.size };
  }

  async discard(): Promise<void> {
    await this.file.close().catch(() => undefined);
    await rm(this.temporary, { force: true });
  }
}

/** The error to throw for a failed write: a full disk is said as such. */
export function noSpace(error: unknown, where: string): unknown {
  const code = systemErrorCode(error);
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new RunyardError('no_space', `The disk is full: nothing more fits into ${where}.`, {
    action: 'Free some room and try again.',
    cause: error,
  });
}

/** What a kill left of a blob has another size. */
async function isWhole(file: string, size: number): Promise<boolean> {
  return stat(file).then(
    (found) => found.size === size,
    () => false,
  );
}
