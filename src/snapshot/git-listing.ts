import { existsSync } from 'node:fs';
import { checkIgnore, gitBytes, gitText, GitError, hasRepository } from './git.ts';
import {
  byBytes,
  emptyWithin,
  Folders,
  list,
  type LeftOut,
  type Listing,
  lstat,
  merge,
  parentOf,
  sorted,
} from './listing.ts';
import { defaultExclusion } from './default-exclusions.ts';
import { fsPath, textOf } from './path-text.ts';

/** How an entry of the index that is a submodule begins. */
const gitlink = Buffer.from('160000 ');

/**
 * What git says is in a folder of a work tree: tracked files, and others that no ignore file leaves out
 * (`git ls-files -co --exclude-standard`), with submodules and nested repositories, without the defaults.
 * `root` is a binary path. Undefined where git is not the one to ask: no work tree, no git, a repository that
 * git refuses, or a folder that is ignored itself. `leftOut` takes what the defaults leave
 * out; `submodules`: look for them even where nothing tells of any.
 */
export async function listByGit(
  root: string,
  home: string,
  leftOut?: LeftOut[],
  submodules = false,
): Promise<Listing | { refused: string } | undefined> {
  const folder = Buffer.from(root, 'latin1').toString();
  if (!hasRepository(folder)) return undefined;
  try {
    if ((await gitText(folder, ['rev-parse', '--is-inside-work-tree'])) !== 'true') {
      const said = await gitBytes(folder, ['rev-parse', '--is-inside-work-tree']).then(
        () => undefined,
        (error: GitError) => error.message,
      );
      // Inside .git, or a bare repository: git has no files here.
      return said === undefined ? undefined : refusal(said);
    }
    if (await isIgnored(folder)) return undefined;
    const names = await namesIn(root, '', home, submodules);
    return await withoutDefaults(root, names, home, leftOut);
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    return refusal(error.message);
  }
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
  const listed = await gitBytes(folder, ['ls-files', '-z', '-o', '--exclude-standard']);
  const raw = listed.toString('latin1').split('\0');
  raw.pop();
  const repositories = raw.filter((name) => name.endsWith('/')).map((name) => name.slice(0, -1));
  const { names } = await withoutDefaults(
    top,
    sorted(raw.filter((name) => !name.endsWith('/'))),
    home,
    undefined,
  );
  return { names, repositories };
}

/** A folder that its repository ignores is still what the person chose. */
async function isIgnored(folder: string): Promise<boolean> {
  const prefix = await gitText(folder, ['rev-parse', '--show-prefix']);
  if (!prefix) return false;
  const top = await gitText(folder, ['rev-parse', '--show-toplevel']);
  if (!top) return false;
  const name = Buffer.from(prefix.replace(/\/$/, '')).toString('latin1');
  const tracked = await gitText(folder, ['ls-files', '--cached', '-z', '--', '.']);
  if (tracked) return false;
  const parts = name.split('/');
  const above = parts.map((_, i) => parts.slice(0, i + 1).join('/'));
  const matches = await checkIgnore(top, above);
  return [...matches.values()].some(({ pattern }) => !pattern.startsWith('!'));
}

/** Names below `root` that git lists in `inside` (a repository of its own where it is not empty). */
async function namesIn(root: string, inside: string, home: string, always: boolean): Promise<string[]> {
  const folder = Buffer.from(inside ? `${root}/${inside}` : root, 'latin1').toString();
  const prefix = inside ? `${inside}/` : '';
  const listed = await gitBytes(folder, ['ls-files', '-z', '-c', '-o', '--exclude-standard']);
  const raw = listed.toString('latin1').split('\0');
  raw.pop();
  // An untracked repository ends with a slash; a submodule's folder looks like a file.
  const nested = new Set<string>();
  const names: string[] = [];
  for (const name of raw) {
    if (name.endsWith('/')) nested.add(name.slice(0, -1));
    else names.push(prefix ? prefix + name : name);
  }
  let all = sorted(names);
  const submodules = always || hasSubmodules(root, inside) ? await gitlinks(folder) : [];
  if (submodules.length > 0) {
    const set = new Set(submodules.map((name) => prefix + name));
    all = all.filter((name) => !set.has(name));
  }
  for (const name of [...submodules, ...nested].sort(byBytes)) {
    const path = prefix + name;
    if (!existsSync(fsPath(`${root}/${path}/.git`))) continue;
    if (`${root}/${path}` === Buffer.from(home).toString('latin1')) continue;
    all = merge(all, sorted(await namesIn(root, path, home, always)));
  }
  return all;
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
  home: string,
  leftOut: LeftOut[] | undefined,
): Promise<Listing> {
  const folders = new Folders(root, home);
  const doubtful = new Map<string, string>();
  let last = '';
  let open = folders.isOpen('');
  const candidates: string[] = [];
  for (const name of names) {
    const folder = parentOf(name);
    if (folder !== last) {
      last = folder;
      open = folders.isOpen(folder);
    }
    if (!open) continue;
    candidates.push(name);
    const excluded = defaultExclusion(root, name, 'file') ?? linkAtTop(root, name);
    if (excluded) doubtful.set(name, excluded);
  }
  const empty = emptyFolders(root, folders, candidates);
  for (const [name, what] of folders.doubtful) doubtful.set(name, what);
  for (const name of empty) {
    for (let above = name; above; above = parentOf(above)) {
      const what = defaultExclusion(root, above, 'folder');
      if (what) doubtful.set(above, what);
    }
  }
  const lines = await checkIgnoreEverywhere(root, [...doubtful.keys(), ...empty]);
  const out = new Set<string>();
  for (const [name, what] of doubtful) {
    if (lines.get(name)?.pattern.startsWith('!')) continue;
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
  return {
    names: out.size > 0 ? candidates.filter(isIn) : candidates,
    emptyFolders: empty.filter((name) => {
      if (!isIn(name)) return false;
      const line = lines.get(name);
      return !line || line.pattern.startsWith('!');
    }),
    warnings: [],
  };
}

/** `outputs` and `logs` at the top are left out as links, too. */
function linkAtTop(root: string, name: string): string | undefined {
  if (name !== 'outputs' && name !== 'logs') return undefined;
  return lstat(`${root}/${name}`)?.isSymbolicLink() ? defaultExclusion(root, name, 'link') : undefined;
}

/** git knows no empty folders. Where a folder's link count says that git's names show all of its folders, nothing is read. */
function emptyFolders(root: string, folders: Folders, names: readonly string[]): string[] {
  const children = new Map<string, Set<string>>([['', new Set()]]);
  let last: string | undefined;
  for (const name of names) {
    const folder = parentOf(name);
    if (folder === last) continue;
    last = folder;
    for (let at = folder; at && !children.has(at); at = parentOf(at)) children.set(at, new Set());
    for (let at = folder; at; at = parentOf(at)) {
      const siblings = children.get(parentOf(at))!;
      if (siblings.has(at)) break;
      siblings.add(at);
    }
  }
  const found: string[] = [];
  for (const [folder, known] of children) {
    const links = lstat(folder ? `${root}/${folder}` : root)?.nlink ?? 0;
    const hidden = existsSync(fsPath(folder ? `${root}/${folder}/.git` : `${root}/.git`)) ? 1 : 0;
    if (links > 2 && links - 2 === known.size + hidden) continue;
    if (links === 2 && known.size + hidden === 0) continue;
    for (const entry of list(folder ? `${root}/${folder}` : root)) {
      const path = folder ? `${folder}/${entry.name}` : entry.name;
      if (!entry.isDirectory() || known.has(path) || !folders.isOpen(path)) continue;
      found.push(...(emptyWithin(root, path) ?? []));
    }
  }
  return found.sort(byBytes);
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
