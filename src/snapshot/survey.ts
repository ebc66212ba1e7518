import { readlinkSync, realpathSync } from 'node:fs';
import { RunyardError } from '../api/errors.ts';
import { fsPath, textOf } from './path-text.ts';
import { leadsOutside } from './manifest.ts';
import { listFolder } from './list-folder.ts';
import { lstat, type LeftOut, type ListingKey } from './listing.ts';
import { Field, State, Table } from './table.ts';
import type { Crew } from './crew.ts';
import type { JobContext } from './jobs/context.ts';

/** A folder as it is now: what would be taken, with what the file system says of it. */
export interface Survey {
  /** Binary, resolved. */
  root: string;
  table: Table;
  emptyFolders: string[];
  warnings: string[];
  /** Files and links. */
  files: number;
  bytes: number;
  /** Every file that git tracks is in the table. */
  hasAllTracked: boolean;
  /** There are files that git does not track. */
  hasUntracked: boolean;
  /** For the next time. */
  key: ListingKey | null;
  /** Milliseconds since the epoch when the first path was looked at. */
  startedAt: number;
}

export interface SurveyOptions {
  /** The folder as it was: its paths are looked at while git lists; mostly they are the same. */
  before?: { table: Table; key: ListingKey | null } | undefined;
  /** Takes what is not taken, and why. */
  leftOut?: LeftOut[] | undefined;
}

/** Lists a folder and looks at every path. `root` is binary and resolved. Throws as `listFolder`. */
export async function surveyFolder(
  root: string,
  home: string,
  crew: Crew,
  context: JobContext,
  { before, leftOut }: SurveyOptions = {},
): Promise<Survey> {
  context.progress({ stage: 'listing', files: 0, bytes: 0, totalFiles: null, totalBytes: null });
  const startedAt = Date.now();
  const listed = listFolder(root, home, { leftOut, before: before?.key ?? undefined });
  const guessed = before && Table.like(before.table);
  const guess = guessed && crew.run('stat', { root, blobs: '', table: guessed, bytes: 0 }, context);
  guess?.catch(() => undefined);
  let listing = await listed;
  context.throwIfCanceled();
  let table = listing.same ? guessed! : Table.of(listing.names);
  if (guessed && (listing.same || guessed.names.equals(table.names))) {
    await guess;
    table = guessed;
  } else {
    await guess?.catch(() => undefined);
    await crew.run('stat', { root, blobs: '', table, bytes: 0 }, context);
  }
  if (hasHiddenRepository(root, table)) {
    if (leftOut) leftOut.length = 0;
    listing = await listFolder(root, home, { leftOut, submodules: true });
    table = Table.of(listing.names);
    await crew.run('stat', { root, blobs: '', table, bytes: 0 }, context);
  }
  const warnings = [...listing.warnings];
  let files = 0;
  let bytes = 0;
  const special: string[] = [];
  for (let i = 0; i < table.count; i++) {
    const state = table.states[i];
    if (state === State.file) bytes += table.stat(i, Field.size);
    if (state === State.file || state === State.link) files++;
    if (state !== State.special) continue;
    special.push(textOf(table.name(i)));
    leftOut?.push({
      name: table.name(i),
      folder: false,
      reason: 'special',
      source: 'a socket, a pipe or a device',
      line: null,
      pattern: null,
    });
  }
  if (special.length > 0) {
    const more = special.length > 3 ? ` and ${special.length - 3} more` : '';
    warnings.push(`Sockets, pipes and devices are left out: ${special.slice(0, 3).join(', ')}${more}.`);
  }
  const { emptyFolders, hasAllTracked, hasUntracked, key } = listing;
  return { root, table, emptyFolders, hasAllTracked, hasUntracked, key, warnings, files, bytes, startedAt };
}

/** A submodule that the listing took for a file. */
function hasHiddenRepository(root: string, table: Table): boolean {
  for (let i = 0; i < table.count; i++) {
    if (table.states[i] === State.folder && lstat(`${root}/${table.name(i)}/.git`)) return true;
  }
  return false;
}

/** Where a link (a binary path below root) points to. Throws `bad_request` when that is outside. */
export function linkTarget(root: string, name: string): string | undefined {
  let target: string;
  try {
    target = readlinkSync(fsPath(`${root}/${name}`), 'latin1');
  } catch {
    return undefined;
  }
  const folder = `${root}/${name.slice(0, name.lastIndexOf('/') + 1)}`;
  if (!leadsOutside(name, target) && isInside(root, folder + target)) return target;
  throw new RunyardError(
    'bad_request',
    `The link ${textOf(name)} points outside the folder (to ${textOf(target)}).`,
    { action: `Replace it by what it points to, or add "${textOf(name)}" to .amlignore or .gitignore.` },
  );
}

/** By way of other links, too; a link to nothing leads nowhere. */
function isInside(root: string, absolute: string): boolean {
  let real: string;
  try {
    // `realpathSync` itself takes `link/..` for the folder that the link is in.
    real = realpathSync.native(fsPath(absolute), 'latin1');
  } catch {
    // It points to nothing: where that would be is what counts.
    return isInside(root, absolute.slice(0, absolute.lastIndexOf('/')));
  }
  return real === root || real.startsWith(`${root}/`);
}
