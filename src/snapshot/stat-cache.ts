import { hash as hashOf } from 'node:crypto';
import { mkdirSync, closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import type { GitFacts } from '../api/entities.ts';
import type { ListingKey } from './listing.ts';
import { Field, fields, hashBytes, State, Table } from './table.ts';

/** The first bytes of a cache; another number is another form, which is not read. */
const magic = Buffer.from('RYSTAT02');

/**
 * A file that changed as recently as this before it was looked at may change again without its times changing
 * (a tick of the file system's clock is 4 ms on Linux, 2 s on FAT): git calls it racily clean.
 */
const racyMs = 2000;

/** What the cache of a folder's last snapshot says. */
export interface CachedSnapshot {
  emptyFolders: string[];
  /** What git said then; null where it cannot be told from the table alone whether that still holds. */
  git: CachedGit | null;
  key: ListingKey | null;
  /** The snapshot that the folder was then. */
  id: string;
  files: number;
  bytes: number;
  /** Removals of blobs at that time; after another one they may be gone. */
  generation: number;
  table: Table;
}

/** What git said of a tree, for as long as commit, index, every file and `hasUntracked` are the same. */
export interface CachedGit {
  commit: string | null;
  index: string;
  /** There were files that git does not track, whether or not they are in the table. */
  hasUntracked: boolean;
  dirty: boolean;
  changes: GitFacts['changes'];
}

type Header = Omit<CachedSnapshot, 'table'> & { count: number; nameBytes: number };

/** The cache's file of a folder. */
export function cacheFile(cache: string, root: string): string {
  return path.join(cache, `${hashOf('sha256', Buffer.from(root, 'latin1'), 'hex').slice(0, 32)}.stat`);
}

/** Undefined when there is none that can be used. */
export function readStatCache(file: string): CachedSnapshot | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    const start = Buffer.alloc(12);
    readWhole(fd, start);
    if (!start.subarray(0, 8).equals(magic)) return undefined;
    const text = Buffer.alloc(start.readUInt32LE(8));
    readWhole(fd, text);
    const header = JSON.parse(text.toString()) as Header;
    const { count, nameBytes } = header;
    const expected = start.length + text.length + (8 * fields + hashBytes + 1) * count + nameBytes;
    if (fstatSync(fd).size !== expected) return undefined;
    // Straight into the memory of the table: a large cache is not there twice.
    const names = Buffer.from(new SharedArrayBuffer(nameBytes));
    readWhole(fd, names, expected - nameBytes);
    const table = Table.ofText(names);
    if (table.count !== count) return undefined;
    readWhole(fd, Buffer.from(table.memory.stats));
    readWhole(fd, table.hashes);
    readWhole(fd, table.states);
    return { ...header, table };
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** Fills `into`; from `position` on, or where the last one ended. */
function readWhole(fd: number, into: Uint8Array, position?: number): void {
  for (let at = 0; at < into.length;) {
    const from = position === undefined ? null : position + at;
    const got = readSync(fd, into, at, into.length - at, from);
    if (got === 0) throw new Error('the cache ends too early');
    at += got;
  }
}

/**
 * Keeps what is known of a folder, in one step. `startedAt`: when its first path was looked at. A cache that
 * cannot be written is none: the next snapshot takes longer.
 */
export function writeStatCache(
  file: string,
  { table, ...snapshot }: CachedSnapshot,
  startedAt: number,
): void {
  const stats = Float64Array.from(table.stats);
  for (let i = 0; i < table.count; i++) {
    const newest = Math.max(table.stat(i, Field.mtime), table.stat(i, Field.ctime));
    // No file has this size: the entry matches nothing, and the file is read again.
    if (isRacy(newest, startedAt)) stats[i * fields + Field.size] = -1;
  }
  const key = snapshot.key && !isRacy(snapshot.key.newest, startedAt) ? snapshot.key : null;
  const header: Header = { ...snapshot, key, count: table.count, nameBytes: table.names.length };
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  const temporary = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`;
  try {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const fd = openSync(temporary, 'wx', 0o600);
    try {
      for (const part of [
        magic,
        length,
        text,
        Buffer.from(stats.buffer),
        table.hashes,
        table.states,
        table.names,
      ])
        for (let at = 0; at < part.length;) at += writeSync(fd, part, at);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
  } catch {
    rmSync(temporary, { force: true });
  }
}

/**
 * Takes over the hashes of files that are as they were; gives the indexes of those that have to be read. Links
 * are never among them. `known` says whether a blob that the cache names is there;
 * without it all are.
 */
export function takeOver(
  table: Table,
  cached: Table | undefined,
  known: ((hash: string, size: number) => boolean) | undefined,
): Uint32Array {
  const todo: number[] = [];
  const isLost = (there: number, i: number) =>
    known !== undefined && !known(cached!.hash(there), table.stat(i, Field.size));
  // The same paths stand at the same places; otherwise both are sorted and are gone through side by side.
  const aligned = cached !== undefined && table.names.equals(cached.names);
  if (aligned) table.hashes.set(cached.hashes);
  let at = 0;
  for (let i = 0; i < table.count; i++) {
    if (table.states[i] !== State.file) continue;
    let there = aligned ? i : -1;
    if (cached && !aligned) {
      const name = table.name(i);
      while (at < cached.count && cached.name(at) < name) at++;
      if (at < cached.count && cached.name(at) === name) there = at;
    }
    if (there < 0 || !isSameStat(table, i, cached!, there) || isLost(there, i)) {
      todo.push(i);
    } else if (!aligned) {
      table.hashes.set(cached!.hashes.subarray(there * hashBytes, (there + 1) * hashBytes), i * hashBytes);
    }
  }
  const shared = new Uint32Array(new SharedArrayBuffer(4 * todo.length));
  shared.set(todo);
  return shared;
}

/** Whether something changed so recently that it may change again without a trace. */
export function isRacy(time: number, startedAt: number): boolean {
  return time > startedAt - racyMs;
}

/** Whether nothing at all has changed: the folder is the cached snapshot. */
export function isUnchanged(table: Table, cached: Table): boolean {
  if (!table.names.equals(cached.names)) return false;
  for (let i = 0; i < table.count; i++) {
    if (table.states[i] !== cached.states[i] || !isSameStat(table, i, cached, i)) return false;
  }
  return true;
}

/** Whether the file system says the same of a path as it did. */
export function isSameStat(a: Table, i: number, b: Table, j: number): boolean {
  if (b.states[j] !== a.states[i]) return false;
  for (let field = 0; field < fields; field++) {
    if (a.stats[i * fields + field] !== b.stats[j * fields + field]) return false;
  }
  return true;
}
