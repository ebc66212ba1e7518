import { existsSync } from 'node:fs';
import path from 'node:path';
import { defaultExclusion } from './default-exclusions.ts';
import { amlIgnore, gitIgnore, IgnoreLevels, ignoreFileText } from './ignore-levels.ts';
import { byBytes, list, type LeftOut, type Listing } from './listing.ts';
import { fsPath, textOf } from './path-text.ts';

/** The ignore files that count, and the folder (binary) to which the paths they are asked about are relative. */
interface Scope {
  levels: IgnoreLevels;
  origin: string;
}

/**
 * What is in a folder by its own and its repository's ignore files, read with the `ignore` package: for folders
 * without git, and for those with `.amlignore`, which replaces every `.gitignore`. `root` is binary. `leftOut`
 * takes what is not taken, and why.
 */
export function listByWalk(root: string, home: string, leftOut?: LeftOut[]): Listing {
  const names: string[] = [];
  const emptyFolders: string[] = [];
  const binaryHome = Buffer.from(home).toString('latin1');
  const azure = ignoreFileText(`${root}/${amlIgnore}`) !== undefined;

  const visit = (folder: string, above: Scope): void => {
    const absolute = folder ? `${root}/${folder}` : root;
    const entries = list(absolute).sort((a, b) => byBytes(a.name, b.name));
    if (entries.length === 0 && folder) emptyFolders.push(folder);
    const isRepository = entries.some(({ name }) => name === '.git');
    const scope = azure || !folder ? above : scopeInside(absolute, folder, above, isRepository);
    for (const entry of entries) {
      if (entry.name === '.git') continue;
      const name = folder ? `${folder}/${entry.name}` : entry.name;
      const kind = entry.isDirectory() ? 'folder' : entry.isSymbolicLink() ? 'link' : 'file';
      const isFolder = kind === 'folder';
      if (isFolder && `${root}/${name}` === binaryHome) {
        leftOut?.push(left(name, true, 'home', "Runyard's own folder"));
        continue;
      }
      const matched = within(scope.origin, `${root}/${name}`);
      const verdict = scope.levels.verdict(matched, isFolder);
      if (verdict?.ignored) {
        const { source, line, pattern } = verdict;
        leftOut?.push({ name, folder: isFolder, reason: 'ignored', source, line, pattern });
        continue;
      }
      const excluded = verdict ? undefined : defaultExclusion(root, name, kind);
      if (excluded) {
        leftOut?.push(left(name, isFolder, 'default', excluded));
        continue;
      }
      if (!isFolder) names.push(name);
      else visit(name, verdict ? { ...scope, levels: scope.levels.inside(matched) } : scope);
    }
  };
  visit('', startOf(root, azure));
  return {
    names: names.sort(byBytes),
    emptyFolders: emptyFolders.sort(byBytes),
    warnings: [],
    hasAllTracked: false,
    hasUntracked: false,
    key: null,
    same: false,
  };
}

function left(name: string, folder: boolean, reason: 'default' | 'home', source: string): LeftOut {
  return { name, folder, reason, source, line: null, pattern: null };
}

/** A path relative to a folder above it; empty for that one. */
function within(origin: string, absolute: string): string {
  return absolute.slice(origin.length + 1);
}

/** In a folder its own ignore file counts too; in a repository of its own nothing of what is around it does. */
function scopeInside(absolute: string, folder: string, above: Scope, isRepository: boolean): Scope {
  const named = textOf(folder);
  if (isRepository) return { origin: absolute, levels: ownLevels(absolute, `${named}/`) };
  const base = `${within(above.origin, absolute)}/`;
  return { ...above, levels: above.levels.with(base, `${absolute}/${gitIgnore}`, `${named}/${gitIgnore}`) };
}

/** The ignore files at a repository's root, the weaker first. */
function ownLevels(absolute: string, named: string): IgnoreLevels {
  return new IgnoreLevels()
    .with('', `${absolute}/.git/info/exclude`, `${named}.git/info/exclude`)
    .with('', `${absolute}/${gitIgnore}`, `${named}${gitIgnore}`);
}

/** From the repository's root down to the folder, unless a file above leaves out the folder itself. */
function startOf(root: string, azure: boolean): Scope {
  if (azure) {
    return { origin: root, levels: new IgnoreLevels().with('', `${root}/${amlIgnore}`, amlIgnore) };
  }
  const own = { origin: root, levels: ownLevels(root, '') };
  const [top, ...below] = parentsInRepository(root);
  if (top === undefined || below.length === 0) return own;
  let levels = ownLevels(top, `${path.posix.relative(root, top)}/`);
  for (const folder of below) {
    const text = within(top, folder);
    if (levels.verdict(text, true)?.ignored) return own;
    const named = path.posix.relative(root, folder);
    levels = levels
      .inside(text)
      .with(`${text}/`, `${folder}/${gitIgnore}`, path.posix.join(named, gitIgnore));
  }
  return { origin: top, levels };
}

/** From the repository's root down to the folder itself; nothing where there is no repository. */
function parentsInRepository(root: string): string[] {
  const folders: string[] = [];
  for (let folder = root; ; folder = path.posix.dirname(folder)) {
    folders.unshift(folder);
    if (existsSync(fsPath(`${folder}/.git`))) return folders;
    if (path.posix.dirname(folder) === folder) return [];
  }
}
