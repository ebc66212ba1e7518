import { hash as hashOf } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { checkIgnore, gitBytes, gitText, GitError, hasRepository } from './git.ts';
import {
  byBytes,
  Folders,
  foldersAreSame,
  list,
  type LeftOut,
  type Listing,
  type ListingKey,
  type ListingOptions,
  lstat,
  merge,
  parentOf,
  sorted,
  stampOf,
  type Verdict,
} from './listing.ts';
import { defaultExclusion, mayBeDefault } from './default-exclusions.ts';
import { fsPath, textOf } from './path-text.ts';

/** How an entry of the index that is a submodule begins. */
const gitlink = Buffer.from('160000 ');

/**
 * What git says is in a folder of a work tree: tracked files, and others that no ignore file leaves out
 * (`git ls-files -co --exclude-standard`), with submodules and nested repositories, without the defaults.
 * `root` is a binary path. Undefined where git is not the one to ask: no work tree, no git, a repository that
 * git refuses, or a folder that is ignored itself.
 */
export async function listByGit(
  root: string,
  home: string,
  { leftOut, submodules = false, before }: ListingOptions = {},
): Promise<Listing | { refused: string } | undefined> {
  const folder = Buffer.from(root, 'latin1').toString();
  if (!hasRepository(folder)) return undefined;
  try {
    const index = stampOf(lstat(binaryIndexFile(folder)));
    const [others, sameVerdicts] = await Promise.all([
      othersIn(folder),
      before && verdictsAreSame(folder, before),
    ]);
    const hash = hashOf('sha256', others, 'hex');
    const same = before && before.index === index && before.others === hash && sameVerdicts;
    if (same && foldersAreSame(root, before)) {
      const { emptyFolders, hasAllTracked, hasUntracked } = before;
      return { names: [], warnings: [], emptyFolders, hasAllTracked, hasUntracked, key: before, same: true };
    }
    const { names, tracked, nested } = await namesIn(root, '', home, submodules, others);
    if (names.length === 0 && (await isElsewhere(folder))) return undefined;
    const { asked, verdicts, ...listing } = await withoutDefaults(root, names, tracked, home, leftOut);
    const { emptyFolders, hasAllTracked, hasUntracked } = listing;
    // A repository within has lists of its own.
    const key = nested
      ? null
      : { index, others: hash, verdicts, ...asked, emptyFolders, hasAllTracked, hasUntracked };
    return { ...listing, key, same: false };
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if ((await gitText(folder, ['rev-parse', '--is-inside-work-tree'])) === 'false') return undefined;
    return refusal(error.message);
  }
}

type Lines = Awaited<ReturnType<typeof checkIgnore>>;

function verdictOf(lines: Lines, name: string): Verdict {
  const line = lines.get(name);
  return !line ? '' : line.pattern.startsWith('!') ? 'in' : 'out';
}

async function verdictsAreSame(folder: string, { verdicts }: ListingKey): Promise<boolean> {
  const lines = await checkIgnore(
    folder,
    verdicts.map(([name]) => name),
  );
  return verdicts.every(([name, verdict]) => verdictOf(lines, name) === verdict);
}

function refusal(message: string): { refused: string } {
  const said = message.split('\n')[0]!.replace(/^fatal: /, '');
  return { refused: `git could not be asked (${said}): Runyard read the ignore files itself.` };
}

/**
 * Untracked files of a repository that no ignore file and no default leaves out, and the repositories among
 * them. `top` is its root, binary. Throws GitError.
 */
export async function listUntracked(
  top: string,
  home: string,
): Promise<{ names: string[]; repositories: string[] }> {
  const folder = Buffer.from(top, 'latin1').toString();
  const listed = await othersIn(folder);
  const raw = listed.toString('latin1').split('\0');
  raw.pop();
  const repositories = raw.filter((name) => name.endsWith('/')).map((name) => name.slice(0, -1));
  const files = sorted(raw.filter((name) => !name.endsWith('/')));
  const { names } = await withoutDefaults(top, files, [], home, undefined);
  return { names, repositories };
}

/** A folder that its repository ignores is still what the person chose; git lists nothing of it. */
async function isElsewhere(folder: string): Promise<boolean> {
  const up = await gitText(folder, ['rev-parse', '--show-cdup']);
  if (!up) return false;
  const top = path.resolve(folder, up);
  const parts = Buffer.from(path.relative(top, folder)).toString('latin1').split('/');
  const above = parts.map((_, i) => parts.slice(0, i + 1).join('/'));
  const matches = await checkIgnore(top, above);
  return [...matches.values()].some(({ pattern }) => !pattern.startsWith('!'));
}

/** Names of a repository (or a part of it), sorted; `tracked` are those of them that the index has. */
interface Names {
  names: string[];
  tracked: string[];
  /** There are repositories within. */
  nested: boolean;
}

/** Files that are not tracked and that no ignore file leaves out, as git prints them. */
function othersIn(folder: string): Promise<Buffer> {
  return gitBytes(folder, ['ls-files', '-z', '-o', '--exclude-standard']);
}

/** Where a work tree's index is: found without git, for a process costs more. */
function binaryIndexFile(folder: string): string {
  for (let dir = folder; ; dir = path.dirname(dir)) {
    const git = path.join(dir, '.git');
    const found = statSync(git, { throwIfNoEntry: false });
    if (found?.isDirectory()) return Buffer.from(path.join(git, 'index')).toString('latin1');
    if (found?.isFile()) {
      const target = /^gitdir: (.*)$/m.exec(readFileSync(git, 'utf8'))?.[1] ?? '';
      return Buffer.from(path.resolve(dir, target, 'index')).toString('latin1');
    }
    if (path.dirname(dir) === dir) return '/';
  }
}

/** Names below `root` that git lists in `inside` (a repository of its own where it is not empty). */
async function namesIn(
  root: string,
  inside: string,
  home: string,
  always: boolean,
  listed?: Buffer,
): Promise<Names> {
  const folder = Buffer.from(inside ? `${root}/${inside}` : root, 'latin1').toString();
  const prefix = inside ? `${inside}/` : '';
  const [cached, others] = await Promise.all([
    gitBytes(folder, ['ls-files', '-z', '-c']),
    listed ?? othersIn(folder),
  ]);
  let tracked = sorted(namesOf(cached, prefix));
  // An untracked repository ends with a slash; a submodule's folder looks like a file.
  const untracked = namesOf(others, prefix);
  const nested = untracked.filter((name) => name.endsWith('/')).map((name) => name.slice(0, -1));
  let names = merge(
    tracked,
    sorted(nested.length > 0 ? untracked.filter((name) => !name.endsWith('/')) : untracked),
  );
  const submodules = always || hasSubmodules(root, inside) ? await gitlinks(folder) : [];
  if (submodules.length > 0) {
    const set = new Set(submodules.map((name) => prefix + name));
    names = names.filter((name) => !set.has(name));
    tracked = tracked.filter((name) => !set.has(name));
  }
  for (const name of [...submodules.map((submodule) => prefix + submodule), ...nested].sort(byBytes)) {
    if (!existsSync(fsPath(`${root}/${name}/.git`))) continue;
    if (`${root}/${name}` === Buffer.from(home).toString('latin1')) continue;
    names = merge(names, (await namesIn(root, name, home, always)).names);
  }
  return { names, tracked, nested: nested.length + submodules.length > 0 };
}

function namesOf(listed: Buffer, prefix: string): string[] {
  const names = listed.toString('latin1').split('\0');
  names.pop();
  return prefix ? names.map((name) => prefix + name) : names;
}

/**
 * Whether it is worth asking for submodules: the index of a large tree takes a while to print. A repository that
 * was added by mistake has no `.gitmodules`; what is then listed as a file turns out to be a folder.
 */
function hasSubmodules(root: string, inside: string): boolean {
  const folder = inside ? `${root}/${inside}` : root;
  return existsSync(fsPath(`${folder}/.gitmodules`)) || existsSync(fsPath(`${folder}/.git/modules`));
}

/** Paths of the submodules in a repository's index. */
export async function gitlinks(folder: string): Promise<string[]> {
  const staged = await gitBytes(folder, ['ls-files', '-z', '-s']);
  const found: string[] = [];
  for (let at = staged.indexOf(gitlink); at >= 0; at = staged.indexOf(gitlink, at + 1)) {
    if (at > 0 && staged[at - 1] !== 0) continue;
    const tab = staged.indexOf(9, at);
    found.push(staged.toString('latin1', tab + 1, staged.indexOf(0, tab)));
  }
  return found;
}

async function withoutDefaults(
  root: string,
  names: string[],
  tracked: readonly string[],
  home: string,
  leftOut: LeftOut[] | undefined,
): Promise<Omit<Listing, 'key' | 'same'> & { asked: Folders['asked']; verdicts: ListingKey['verdicts'] }> {
  const verdicts: ListingKey['verdicts'] = [];
  const ask = async (some: readonly string[]): Promise<Lines> => {
    const lines = await checkIgnoreEverywhere(root, some);
    for (const name of some) verdicts.push([name, verdictOf(lines, name)]);
    return lines;
  };
  const folders = new Folders(root, home, names);
  const doubtful = new Map<string, string>();
  let last = '';
  let open = folders.isOpen('');
  const candidates: string[] = [];
  for (const name of names) {
    const slash = name.lastIndexOf('/');
    if (slash < 0 ? last !== '' : slash !== last.length || !name.startsWith(last)) {
      last = name.slice(0, Math.max(0, slash));
      open = folders.isOpen(last);
    }
    if (!open) continue;
    candidates.push(name);
    if (slash >= 0 && !mayBeDefault(name.length - slash - 1)) continue;
    const excluded = defaultExclusion(root, name, 'file') ?? linkAtTop(root, name);
    if (excluded) doubtful.set(name, excluded);
  }
  const empty = await emptyFolders(root, folders, ask);
  for (const [name, what] of folders.doubtful) doubtful.set(name, what);
  const lines = await ask([...doubtful.keys()]);
  const out = new Set<string>();
  for (const [name, what] of doubtful) {
    if (verdictOf(lines, name) === 'in') continue;
    out.add(name);
    const folder = !!lstat(`${root}/${name}`)?.isDirectory();
    const line = lines.get(name);
    leftOut?.push(
      line
        ? { name, folder, reason: 'ignored', ...line }
        : { name, folder, reason: 'default', source: what, line: null, pattern: null },
    );
  }
  const inFolder = new Map([['', true]]);
  const isIn = (name: string): boolean => {
    if (out.has(name)) return false;
    const folder = parentOf(name);
    let open = inFolder.get(folder);
    if (open === undefined) inFolder.set(folder, (open = isIn(folder)));
    return open;
  };
  const taken = out.size > 0 ? candidates.filter(isIn) : candidates;
  return {
    names: taken,
    emptyFolders: empty.filter(isIn),
    warnings: [],
    // Nothing was taken away, or all of it was untracked.
    asked: folders.asked,
    verdicts,
    hasUntracked: names.length > tracked.length,
    hasAllTracked: taken.length === names.length || isPart(tracked, taken),
  };
}

function isPart(some: readonly string[], all: readonly string[]): boolean {
  const there = new Set(all);
  return some.every((name) => there.has(name));
}

/** `outputs` and `logs` at the top are left out as links, too. */
function linkAtTop(root: string, name: string): string | undefined {
  if (name !== 'outputs' && name !== 'logs') return undefined;
  return lstat(`${root}/${name}`)?.isSymbolicLink() ? defaultExclusion(root, name, 'link') : undefined;
}

/**
 * git knows no empty folders: they are looked for, a level at a time, in folders that git's names do not show. Where
 * a folder's link count says that the names show all of its folders, nothing is read.
 */
async function emptyFolders(
  root: string,
  folders: Folders,
  ask: (names: readonly string[]) => Promise<Lines>,
): Promise<string[]> {
  let unseen: string[] = [];
  for (const [folder, known] of folders.children) {
    if (!folders.isOpen(folder)) continue;
    // Only a repository's root has one more: `.git`.
    const links = folders.links(folder) - 2;
    if (links === known.size) continue;
    if (links === known.size + 1 && existsSync(fsPath(`${root}/${folder ? `${folder}/` : ''}.git`))) continue;
    for (const name of foldersIn(root, folder).folders) {
      if (!known.has(name) && folders.isOpen(name)) unseen.push(name);
    }
  }
  const found: string[] = [];
  while (unseen.length > 0) {
    const lines = await ask(unseen);
    const next: string[] = [];
    for (const name of unseen) {
      const verdict = verdictOf(lines, name);
      if (verdict ? verdict === 'out' : defaultExclusion(root, name, 'folder')) continue;
      const { folders: below, empty } = foldersIn(root, name);
      if (empty) found.push(name);
      next.push(...below.filter((folder) => folders.isOpen(folder)));
    }
    unseen = next;
  }
  return found.sort(byBytes);
}

function foldersIn(root: string, folder: string): { folders: string[]; empty: boolean } {
  const entries = list(folder ? `${root}/${folder}` : root);
  const folders = entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => (folder ? `${folder}/${name}` : name));
  return { folders, empty: entries.length === 0 };
}

/** `checkIgnore` in whichever repository each path belongs to. */
export async function checkIgnoreEverywhere(root: string, names: readonly string[]) {
  const byRepository = new Map<string, string[]>();
  const repositoryOf = (name: string): string => {
    for (let at = parentOf(name); at; at = parentOf(at)) {
      if (existsSync(fsPath(`${root}/${at}/.git`))) return at;
    }
    return '';
  };
  for (const name of new Set(names)) {
    const repository = repositoryOf(name);
    const group = byRepository.get(repository) ?? [];
    if (group.length === 0) byRepository.set(repository, group);
    group.push(repository ? name.slice(repository.length + 1) : name);
  }
  const all = new Map<string, { source: string; line: number; pattern: string }>();
  for (const [repository, group] of byRepository) {
    const folder = Buffer.from(repository ? `${root}/${repository}` : root, 'latin1').toString();
    for (const [name, match] of await checkIgnore(folder, group)) {
      const source =
        repository && !match.source.startsWith('/') ? `${textOf(repository)}/${match.source}` : match.source;
      all.set(repository ? `${repository}/${name}` : name, { ...match, source });
    }
  }
  return all;
}
