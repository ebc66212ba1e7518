import type { Stats } from 'node:fs';
import { lstat } from './listing.ts';
import { Field, fields, State, type Table } from './table.ts';

/** Asks the file system about one path of a table. `root` is binary, with a slash at its end. */
export function statEntry(root: string, table: Table, i: number): void {
  const found = lstat(root + table.name(i));
  table.states[i] = found ? stateOf(found) : State.gone;
  if (found) keepStat(table, i, found);
}

export function keepStat(table: Table, i: number, found: Stats): void {
  const at = i * fields;
  table.stats[at + Field.size] = found.size;
  table.stats[at + Field.mtime] = found.mtimeMs;
  table.stats[at + Field.ctime] = found.ctimeMs;
  table.stats[at + Field.inode] = found.ino;
  table.stats[at + Field.mode] = found.mode;
}

const kindBits = 0o170000;

function stateOf({ mode }: Stats): number {
  switch (mode & kindBits) {
    case 0o100000:
      return State.file;
    case 0o120000:
      return State.link;
    case 0o040000:
      return State.folder;
    default:
      return State.special;
  }
}
