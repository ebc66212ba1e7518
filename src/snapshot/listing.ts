import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { defaultExclusion } from './default-exclusions.ts';
import { systemErrorCode } from '../api/errors.ts';
import { fsPath } from './path-text.ts';
import { unreadable } from './folder.ts';

/** Why a path is not taken. */
export interface LeftOut {
  /** Binary, relative to the root. */
  name: string;
  folder: boolean;
  reason: 'ignored' | 'default' | 'special' | 'home';
  /** The ignore file, or what a default is for. */
  source: string;
  line: number | null;
  pattern: string | null;
}

/** What a folder's snapshot is made of. Names are binary (see path-text.ts). */
export interface Listing {
  /** Files and links, sorted by bytes, each once; some may have vanished. */
  names: string[];
  /** Folders in which nothing is, sorted. */
  emptyFolders: string[];
  warnings: string[];
  /** Every file of the index is among the names: what git says of them can be told from them alone. */
  hasAllTracked: boolean;
  /** The repository's root has something that git does not track and no ignore file leaves out. */
  hasUntracked: boolean;
  /** By what to tell the next time that nothing would come out differently; null where that cannot be told. */
  key: ListingKey | null;
  /** It is what the given key stands for: `names` are not put together again. */
  same: boolean;
}

/**
 * A listing is the same as long as git's lists, every folder, and what ignore files say of empty folders and
 * defaults are: a folder's times change with what is in it. Ignore files may be anywhere (`core.excludesFile`), so
 * git is asked what they say.
 */
export interface ListingKey {
  /** git's index, which says what is tracked. */
  index: string;
  /** Hash of what git lists beside that. */
  others: string;
  /** Binary paths that git was asked about, and what was said of each. */
  verdicts: [name: string, verdict: Verdict][];
  /** Binary paths with what the file system said of them. */
  folders: [name: string, stamp: string][];
  /** When a folder among them changed last, milliseconds. */
  newest: number;
  emptyFolders: string[];
  hasAllTracked: boolean;
  hasUntracked: boolean;
}

/** Left out, taken in (by a line that begins with `!`), or of no concern to any ignore file. */
export type Verdict = 'out' | 'in' | '';

/** How a listing is made. */
export interface ListingOptions {
  /** Takes what is not taken, and why. */
  leftOut?: LeftOut[] | undefined;
  /** Look for submodules even where nothing tells of any. */
  submodules?: boolean;
  /** Of the last listing. */
  before?: ListingKey | undefined;
}

/** Folders that a virtual environment has, by which it is suspected. */
const environmentParts = new Set(['bin', 'lib', 'Lib', 'Scripts', 'conda-meta', 'Library']);

/** The folders of a listing: which of them are taken. The file system is asked once for each. */
export class Folders {
  /** Every folder above the names, with the folders in it that the names show. */
  readonly children = new Map<string, Set<string>>([['', new Set()]]);
  /** Folders that a default leaves out unless an ignore file takes them in: path to what it is. */
  readonly doubtful = new Map<string, string>();
  private readonly root: string;
  private readonly home: string;
  private readonly known = new Map<string, { open: boolean; links: number }>();
  private readonly stamps: [name: string, stamp: string][] = [];
  private newest = 0;

  /** `names` are sorted; `home`: Runyard's own folder, resolved; never taken. */
  constructor(root: string, home: string, names: readonly string[]) {
    this.root = root;
    this.home = Buffer.from(home).toString('latin1');
    let last = '';
    for (const name of names) {
      const slash = name.lastIndexOf('/');
      if (slash < 0 || (slash === last.length && name.startsWith(last))) continue;
      last = name.slice(0, slash);
      for (let at = last; at && !this.children.has(at); at = parentOf(at)) {
        this.children.set(at, new Set());
      }
      for (let at = last; at; at = parentOf(at)) {
        const siblings = this.children.get(parentOf(at))!;
        if (siblings.has(at)) break;
        siblings.add(at);
      }
    }
  }

  /**
   * Whether what is in a folder may be taken: every folder above is a real folder, not `.git` and not
   * Runyard's home. Collects in `doubtful` those that a default leaves out.
   */
  isOpen(folder: string): boolean {
    return this.look(folder).open;
  }

  /** How many links a folder has: 2 and one for each folder in it on most file systems. */
  links(folder: string): number {
    return this.look(folder).links;
  }

  /** Every folder that was asked about. */
  get asked(): Pick<ListingKey, 'folders' | 'newest'> {
    return { folders: this.stamps, newest: this.newest };
  }

  private look(folder: string): { open: boolean; links: number } {
    let found = this.known.get(folder);
    if (!found) {
      found = this.ask(folder);
      this.known.set(folder, found);
    }
    return found;
  }

  private ask(folder: string): { open: boolean; links: number } {
    const closed = { open: false, links: 0 };
    if (folder !== '') {
      if (!this.isOpen(parentOf(folder)) || folder.endsWith('/.git') || folder === '.git') return closed;
      if (`${this.root}/${folder}` === this.home) return closed;
    }
    const stat = lstat(folder ? `${this.root}/${folder}` : this.root);
    this.stamps.push([folder, stampOf(stat)]);
    if (stat) this.newest = Math.max(this.newest, stat.mtimeMs, stat.ctimeMs);
    if (!stat?.isDirectory()) return closed;
    const excluded = folder && defaultExclusion(this.root, folder, 'folder', this.maybeEnvironment(folder));
    if (excluded) this.doubtful.set(folder, excluded);
    return { open: true, links: stat.nlink };
  }

  private maybeEnvironment(folder: string): boolean {
    const children = this.children.get(folder);
    if (!children) return true;
    for (const child of children) if (environmentParts.has(child.slice(folder.length + 1))) return true;
    return false;
  }
}

/** Tells one state of a file or folder from another. */
export function stampOf(stat: Stats | undefined): string {
  return stat ? `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs} ${stat.mode}` : '';
}

/** Whether every folder of a key is as it was. */
export function foldersAreSame(root: string, { folders }: ListingKey): boolean {
  return folders.every(([name, stamp]) => stampOf(lstat(name ? `${root}/${name}` : root)) === stamp);
}

/** The path's folder; empty at the top. */
export function parentOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')));
}

/** `lstat` of a binary path; undefined when nothing is there. Throws `not_permitted`. */
export function lstat(binary: string): Stats | undefined {
  try {
    return lstatSync(fsPath(binary), { throwIfNoEntry: false });
  } catch (cause) {
    // A file has taken the place of a folder above.
    if (systemErrorCode(cause) === 'ENOTDIR') return undefined;
    throw unreadable(binary, cause);
  }
}

/** What is in a folder, by binary names. Nothing when it has vanished. Throws `not_permitted`. */
export function list(binary: string) {
  try {
    return readdirSync(fsPath(binary), { withFileTypes: true, encoding: 'latin1' });
  } catch (cause) {
    if (systemErrorCode(cause) === 'ENOENT') return [];
    throw unreadable(binary, cause);
  }
}

/** Two lists sorted by bytes as one, without repetitions. */
export function merge(a: readonly string[], b: readonly string[]): string[] {
  if (a.length === 0) return [...b];
  if (b.length === 0) return [...a];
  const all: string[] = [];
  let [i, j] = [0, 0];
  const add = (name: string) => {
    if (all.length === 0 || all[all.length - 1] !== name) all.push(name);
  };
  while (i < a.length && j < b.length) add(a[i]! <= b[j]! ? a[i++]! : b[j++]!);
  while (i < a.length) add(a[i++]!);
  while (j < b.length) add(b[j++]!);
  return all;
}

/** Sorted by bytes and each once; lists that come as few sorted runs cost a merge. */
export function sorted(names: string[]): string[] {
  let rising = true;
  for (let i = 1; rising && i < names.length; i++) rising = names[i - 1]! < names[i]!;
  if (rising) return names;
  const runs: string[][] = [];
  for (let start = 0; start < names.length;) {
    let end = start + 1;
    while (end < names.length && names[end - 1]! <= names[end]!) end++;
    runs.push(names.slice(start, end));
    if (runs.length > 8) return [...new Set(names)].sort(byBytes);
    start = end;
  }
  const all = runs.reduce((some, run) => merge(some, run), [] as string[]);
  return all.filter((name, i) => i === 0 || all[i - 1] !== name);
}

export function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
