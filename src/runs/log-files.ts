import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, open, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { RunyardError, systemErrorCode } from '../api/errors.ts';
import { noSpace } from '../store/blobs.ts';

/** Where the server is in one log file of an attempt. */
export interface LogPosition {
  generation: string;
  /** Bytes of this generation that are stored. */
  offset: number;
  /** Where this generation begins in our copy. */
  base: number;
}

/** The command's own log; what was seen of it is never thrown away, whatever the script does to the file. */
export const mainLog = 'user_logs/std_log.txt';
/** Of the environment's build. */
export const buildLog = 'user_logs/build_log.txt';

/** Logs that are open at a time: a script may write thousands of files under logs/. */
const mostHandles = 64;

/**
 * Our copies of an attempt's log files. Bytes are written at their offset, so that bytes that come twice
 * change nothing. When a log file is replaced (rotated) or cut short, our copy of the command's log goes
 * on behind what was there; a file under logs/ is replaced, as on the host.
 */
export class LogFiles {
  private readonly dir: string;
  private readonly positions: Map<string, LogPosition>;
  private readonly handles = new Map<string, FileHandle>();

  constructor(dir: string, positions: Map<string, LogPosition>) {
    this.dir = dir;
    this.positions = positions;
  }

  position(file: string): LogPosition | undefined {
    return this.positions.get(file);
  }

  /** Size in bytes of our copy as far as it is known here. */
  size(file: string): number {
    const position = this.positions.get(file);
    return position ? position.base + position.offset : 0;
  }

  /** Stores bytes of a log; the new position is the result. Throws RunyardError (`no_space`). */
  async write(file: string, generation: string, offset: number, bytes: Uint8Array): Promise<LogPosition> {
    const before = this.positions.get(file);
    const same = before?.generation === generation;
    const known = same ? before.offset : 0;
    if (offset > known) {
      throw new RunyardError('conflict', `${file}: bytes ${known} to ${offset} did not come.`);
    }
    const base = same ? before.base : before && file === mainLog ? before.base + before.offset : 0;
    const handle = await this.open(file);
    try {
      if (before && !same && file !== mainLog) await handle.truncate(0);
      for (let at = 0; at < bytes.length;) {
        at += (await handle.write(bytes, at, bytes.length - at, base + offset + at)).bytesWritten;
      }
    } catch (error) {
      throw noSpace(error, this.dir);
    }
    const position = { generation, offset: Math.max(known, offset + bytes.length), base };
    this.positions.set(file, position);
    return position;
  }

  /** SHA-256 of the present generation of our copy. */
  async hash(file: string): Promise<string> {
    const position = this.positions.get(file);
    const hash = createHash('sha256');
    if (!position || position.offset === 0) return hash.digest('hex');
    const stream = createReadStream(path.join(this.dir, file), {
      start: position.base,
      end: position.base + position.offset - 1,
    });
    for await (const part of stream) hash.update(part as Buffer);
    return hash.digest('hex');
  }

  async close(): Promise<void> {
    const handles = [...this.handles.values()];
    this.handles.clear();
    await Promise.all(handles.map((handle) => handle.close()));
  }

  private async open(file: string): Promise<FileHandle> {
    const known = this.handles.get(file);
    if (known) return known;
    let handle: FileHandle;
    try {
      handle = await this.place(file);
    } catch (error) {
      throw noSpace(error, this.dir);
    }
    if (this.handles.size >= mostHandles) {
      const [oldest, other] = this.handles.entries().next().value!;
      this.handles.delete(oldest);
      await other.close();
    }
    this.handles.set(file, handle);
    return handle;
  }

  /**
   * Opens our copy of a log, making what is missing. On the host a folder may have come where a file was, or
   * the other way round: what was there is gone there, and so it goes here.
   */
  async place(file: string): Promise<FileHandle> {
    const target = path.join(this.dir, file);
    for (const above of foldersAbove(file)) {
      const found = await lstat(path.join(this.dir, above)).catch(() => undefined);
      if (found && !found.isDirectory()) await this.forget(above);
    }
    if ((await lstat(target).catch(() => undefined))?.isDirectory()) await this.forget(file);
    await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
    return open(target, 'r+').catch(() => open(target, 'w+', 0o600));
  }

  /** Removes our copies at a place and below it. */
  private async forget(place: string): Promise<void> {
    for (const [file, handle] of this.handles) {
      if (file !== place && !file.startsWith(`${place}/`)) continue;
      this.handles.delete(file);
      await handle.close();
    }
    for (const file of this.positions.keys())
      if (file === place || file.startsWith(`${place}/`)) this.positions.delete(file);
    await rm(path.join(this.dir, place), { recursive: true, force: true });
  }
}

/** `logs`, `logs/a` for `logs/a/b`. */
function foldersAbove(file: string): string[] {
  const parts = file.split('/').slice(0, -1);
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'));
}

/** Part of a file: its size now, and the bytes from `offset` on, fewer at its end. */
export async function readPart(
  file: string,
  offset: number,
  length: number,
): Promise<{ size: number; data: Buffer }> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return { size: 0, data: Buffer.alloc(0) };
    throw error;
  }
  try {
    const { size } = await handle.stat();
    const data = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)));
    let filled = 0;
    while (filled < data.length) {
      const { bytesRead } = await handle.read(data, filled, data.length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return { size, data: data.subarray(0, filled) };
  } finally {
    await handle.close();
  }
}

export async function fileSize(file: string): Promise<number> {
  return stat(file).then(
    (s) => s.size,
    () => 0,
  );
}

export async function removeFolder(dir: string): Promise<void> {
  await rm(dir, { recursive: true, force: true });
}
