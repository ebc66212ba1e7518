import { createHash } from 'node:crypto';
import { closeSync, openSync, readlinkSync, readSync, rmSync, statSync } from 'node:fs';
import type { GitFacts } from '../api/entities.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import type { BlobFolder } from './blob-folder.ts';
import { gitBytes, GitError } from './git.ts';
import { listUntracked } from './git-listing.ts';
import type { Dirt, RepositoryFacts } from './git-facts.ts';
import { lstat } from './listing.ts';
import type { JobContext } from './jobs/context.ts';
import { encodeManifest, leadsOutside } from './manifest.ts';
import { fsPath, textOf } from './path-text.ts';
import { storeBytes, storeFile } from './store-file.ts';
import { Field, State, type Table } from './table.ts';

/** Untracked files outside of the submitted folder are kept up to this much: nobody asked for them. */
const mostOutsideBytes = 100 << 20;
const mostOutsideFiles = 2000;

type Changes = NonNullable<GitFacts['changes']>;

export interface Kept {
  changes: GitFacts['changes'];
  stored: { blobs: number; bytes: number };
}

/**
 * Stores how a repository differs from its commit: a patch of the tracked files and the untracked ones. `table`
 * is the folder's, hashed: what is in it is not read again. `hasUntracked`: it is worth asking for such files.
 * `leftOut`: the folder leaves out what git would not; none of that is kept by way of a patch either. What cannot
 * be kept is said in `problems`.
 */
export async function keepGitChanges(
  facts: RepositoryFacts,
  {
    submodules,
    hasUntracked,
    leftOut,
  }: { submodules: Dirt['submodules']; hasUntracked: boolean; leftOut: boolean },
  table: Table,
  home: string,
  blobs: BlobFolder,
  context: JobContext,
): Promise<Kept> {
  const stored = { blobs: 0, bytes: 0 };
  const changes: Changes = { patch: null, untracked: null, problems: [] };
  if (facts.commit === null) {
    changes.problems.push('There is no commit yet: only the snapshot has the files.');
    return { changes, stored };
  }
  try {
    const left = leftOut ? await changesLeftOut(facts, table) : [];
    if (left.length > 0) {
      const more = left.length > 3 ? ` and ${left.length - 3} more` : '';
      const some = left.slice(0, 3).map(textOf).join(', ');
      changes.problems.push(`Changes of files that .amlignore leaves out are not kept: ${some}${more}.`);
    }
    changes.patch = await storePatch(facts.top, left, blobs, stored);
    if (hasUntracked) {
      changes.untracked = await storeUntracked(facts, table, home, blobs, stored, changes.problems, context);
    }
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    changes.problems.push(`git could not say what has changed: ${error.message.split('\n')[0]}`);
  }
  for (const submodule of submodules) {
    if (submodule.dirty)
      changes.problems.push(`Changes in the submodule ${submodule.path} are in the snapshot only.`);
  }
  const nothing = !changes.patch && !changes.untracked && changes.problems.length === 0;
  return { changes: nothing ? null : changes, stored };
}

/** Changed files (binary, relative to the root) of the folder that the person has left out of its snapshots. */
async function changesLeftOut({ top, folder }: RepositoryFacts, table: Table): Promise<string[]> {
  const base = Buffer.from(top).toString('latin1');
  const prefix = folder ? `${Buffer.from(folder).toString('latin1')}/` : '';
  const changed = await gitBytes(top, [...diff, '--name-only', '-z', 'HEAD']);
  const names = changed.toString('latin1').split('\0').filter(Boolean);
  return names.filter((name) => {
    const isKnown = !name.startsWith(prefix) || table.find(name.slice(prefix.length)) >= 0;
    // Of one that is gone the patch has no more than the commit.
    return !isKnown && lstat(`${base}/${name}`) !== undefined;
  });
}

/** Not this path: bytes that no argument can hold stand as "any". */
function without(binary: string): string {
  const pattern = binary.replace(/[\\*?[\]]/g, '\\$&').replace(/[\x80-\xFF]/g, '?');
  return `:(exclude,top,glob)${pattern}`;
}

const diff = [
  'diff',
  '--no-ext-diff',
  '--no-textconv',
  '--no-renames',
  '--no-relative',
  '--ignore-submodules=all',
  // No file of the person's that orders the patch (`diff.orderFile`).
  '-O/dev/null',
];

/** Staged and unstaged changes, binary ones too, whatever the person's settings for diffs are. */
async function storePatch(
  top: string,
  leftOut: readonly string[],
  blobs: BlobFolder,
  stored: Kept['stored'],
): Promise<Changes['patch']> {
  const temporary = blobs.temporary();
  try {
    await gitBytes(top, [
      ...diff,
      '--binary',
      '--full-index',
      '--no-color',
      '--unified=3',
      '--src-prefix=a/',
      '--dst-prefix=b/',
      `--output=${temporary}`,
      'HEAD',
      ...(leftOut.length > 0 ? ['--', ':/', ...leftOut.map(without)] : []),
    ]);
    const { size } = statSync(temporary);
    if (size === 0) return null;
    const hash = hashOfFile(temporary);
    if (blobs.adopt(temporary, hash, size)) {
      stored.blobs++;
      stored.bytes += size;
    }
    return { hash, size };
  } finally {
    rmSync(temporary, { force: true });
  }
}

function hashOfFile(file: string): string {
  const fd = openSync(file, 'r');
  try {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (let got = readSync(fd, buffer); got > 0; got = readSync(fd, buffer))
      hash.update(buffer.subarray(0, got));
    return hash.digest('hex');
  } finally {
    closeSync(fd);
  }
}

async function storeUntracked(
  facts: RepositoryFacts,
  table: Table,
  home: string,
  blobs: BlobFolder,
  stored: Kept['stored'],
  problems: string[],
  context: JobContext,
): Promise<Changes['untracked']> {
  const top = Buffer.from(facts.top).toString('latin1');
  const prefix = facts.folder ? `${Buffer.from(facts.folder).toString('latin1')}/` : '';
  const { names, repositories } = await listUntracked(top, home);
  const entries: ManifestEntry[] = [];
  let outside = { files: 0, bytes: 0, left: 0 };
  for (const name of names) {
    const inFolder = name.startsWith(prefix);
    const at = inFolder ? table.find(name.slice(prefix.length)) : -1;
    if (at >= 0 && table.states[at] === State.file) {
      const mode = table.stat(at, Field.mode) & 0o777;
      entries.push({ path: textOf(name), mode, size: table.stat(at, Field.size), hash: table.hash(at) });
      continue;
    }
    // Whoever leaves a file out by .amlignore does not want it kept here either.
    if (inFolder && at < 0) continue;
    const found = lstat(`${top}/${name}`);
    if (found?.isSymbolicLink()) {
      const link = readlinkSync(fsPath(`${top}/${name}`), 'latin1');
      if (!leadsOutside(name, link)) entries.push({ path: textOf(name), link: textOf(link) });
      else problems.push(`The untracked link ${textOf(name)} points outside and is not kept.`);
      continue;
    }
    if (!found?.isFile()) continue;
    if (outside.files >= mostOutsideFiles || outside.bytes + found.size > mostOutsideBytes) {
      outside = { ...outside, left: outside.left + 1 };
      continue;
    }
    const file = storeFile(`${top}/${name}`, name, blobs, () => context.throwIfCanceled());
    if (!file) continue;
    outside = { ...outside, files: outside.files + 1, bytes: outside.bytes + file.stat.size };
    const { mode, size } = file.stat;
    entries.push({ path: textOf(name), mode: mode & 0o777, size, hash: file.hash });
    if (!file.stored) continue;
    stored.blobs++;
    stored.bytes += size;
  }
  if (outside.left > 0) {
    problems.push(
      `${outside.left} untracked files outside the folder are not kept: at most ${mostOutsideFiles} files and 100 MB of them are.`,
    );
  }
  for (const name of repositories) {
    if (!name.startsWith(prefix))
      problems.push(`The repository ${textOf(name)} inside this one is not kept.`);
  }
  if (entries.length === 0) return null;
  const bytes = encodeManifest(entries);
  const manifest = storeBytes(bytes, blobs);
  if (manifest.stored) stored.blobs++;
  const size = entries.reduce((sum, entry) => sum + ('size' in entry ? entry.size : 0), 0);
  return { manifest: manifest.hash, manifestBytes: bytes.length, files: entries.length, bytes: size };
}
