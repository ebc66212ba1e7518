import { existsSync } from 'node:fs';
import { fsPath } from './path-text.ts';

/** Names that are left out wherever they are, and what they are. */
const everywhere = new Map([
  ['__pycache__', "Python's cache"],
  ['.ipynb_checkpoints', "Jupyter's checkpoints"],
  ['node_modules', 'installed packages'],
]);

const lengths = new Set([...everywhere.keys()].map((name) => name.length));

/** False where a name's length alone says that it is none of those that are left out everywhere. */
export function mayBeDefault(length: number): boolean {
  return lengths.has(length);
}

/** Folders (or links to such) that are left out at the top. */
const atTop = new Map([
  ['outputs', 'what runs write'],
  ['logs', 'what runs write'],
]);

/**
 * Why Runyard leaves a path out by itself, or undefined. A line of the ignore file that counts takes it in
 * again (`!outputs/`), as if these were lines before its first. `.git` and Runyard's home are not here: they
 * are never taken. `maybeEnvironment`: false where what is in the folder shows that it is no virtual environment.
 */
export function defaultExclusion(
  root: string,
  binary: string,
  kind: 'file' | 'folder' | 'link',
  maybeEnvironment = true,
): string | undefined {
  const slash = binary.lastIndexOf('/');
  const name = binary.slice(slash + 1);
  const always = everywhere.get(name);
  if (always) return always;
  if (kind === 'file') return undefined;
  if (slash < 0 && atTop.has(name)) return atTop.get(name);
  if (kind === 'folder' && maybeEnvironment && isVirtualEnvironment(`${root}/${binary}`))
    return 'a virtual environment';
  return undefined;
}

function isVirtualEnvironment(binary: string): boolean {
  return existsSync(fsPath(`${binary}/pyvenv.cfg`)) || existsSync(fsPath(`${binary}/conda-meta`));
}
