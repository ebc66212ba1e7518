import type { SnapshotEntry } from '../api/entities.ts';
import type { ManifestEntry } from '../protocol/messages.ts';

/** An entry of a manifest as the API shows it. */
export function toSnapshotEntry(entry: ManifestEntry): SnapshotEntry {
  const nothing = { size: 0, mode: null, hash: null, target: null };
  if ('link' in entry) return { ...nothing, path: entry.path, kind: 'link', target: entry.link };
  if ('dir' in entry) return folderEntry(entry.path);
  return {
    path: entry.path,
    kind: 'file',
    size: entry.size,
    mode: entry.mode,
    hash: entry.hash,
    target: null,
  };
}

/** A folder; one with something in it has no entry of its own in a manifest. */
export function folderEntry(path: string): SnapshotEntry {
  return { path, kind: 'folder', size: 0, mode: null, hash: null, target: null };
}
