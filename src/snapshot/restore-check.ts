import { statSync } from 'node:fs';
import { RunyardError } from '../api/errors.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import type { BlobFolder } from './blob-folder.ts';
import { changedContent, missingContent } from './copy-blob.ts';
import { LinkTree } from './links.ts';
import { binaryOf, textOf } from './path-text.ts';

/**
 * What has to hold before the first file of a snapshot is written, beyond the form that `readManifest` checks:
 * a manifest may have been edited by hand. Throws `conflict`, naming the path.
 */
export function checkTree(
  entries: readonly ManifestEntry[],
  blobs: BlobFolder,
  between: () => void,
  options: { worktree?: boolean } = {},
): void {
  const leaves = new Set<string>();
  const links = new LinkTree();
  const seen = new Set<string>();
  let n = 0;
  for (const entry of entries) {
    if (n++ % 1000 === 0) between();
    const binary = binaryOf(entry.path);
    if (textOf(binary) !== entry.path || leaves.has(binary))
      throw refused(entry.path, 'is written in two ways');
    if (hasRepository(binary, options.worktree === true || process.platform !== 'linux')) {
      throw refused(entry.path, 'would be a part of a git repository');
    }
    if ('link' in entry) links.add(entry.path, entry.link);
    if (!('dir' in entry)) leaves.add(binary);
    if ('hash' in entry && !seen.has(entry.hash)) {
      checkBlob(blobs, entry);
      seen.add(entry.hash);
    }
  }
  for (const { path } of entries) {
    const binary = binaryOf(path);
    for (let above = parentOf(binary); above; above = parentOf(above)) {
      if (leaves.has(above)) throw refused(path, 'is below something that is no folder');
    }
  }
  for (const link of links.paths) {
    if (links.leadsOutside(link)) throw refused(textOf(link), 'is a link that leads out of the folder');
  }
}

/** Pairs of names in one folder that some file systems take for one. */
export function* likeNames(entries: readonly ManifestEntry[]): Generator<[string, string]> {
  const known = new Map<string, string>();
  const seen = new Set<string>();
  for (const { path } of entries) {
    for (let at = path; at && !seen.has(at); at = parentOf(at)) {
      seen.add(at);
      const slash = at.lastIndexOf('/') + 1;
      const folded = at.slice(0, slash) + at.slice(slash).normalize('NFC').toLowerCase().toUpperCase();
      const other = known.get(folded);
      if (other === undefined) known.set(folded, at);
      else yield [other, at];
    }
  }
}

/** Never part of a snapshot: what is in a `.git` is run by whoever opens the folder. */
function hasRepository(path: string, anyCase: boolean): boolean {
  return (anyCase ? path.toLowerCase() : path).split('/').includes('.git');
}

function checkBlob(blobs: BlobFolder, entry: Extract<ManifestEntry, { hash: string }>): void {
  const found = statSync(blobs.pathOf(entry.hash), { throwIfNoEntry: false });
  if (!found) throw missingContent(entry.path);
  if (found.size !== entry.size) throw changedContent(entry.path);
}

function refused(path: string, why: string): RunyardError {
  return new RunyardError('conflict', `The snapshot cannot be restored: "${path}" ${why}.`, {
    action: 'Nothing was written.',
  });
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
