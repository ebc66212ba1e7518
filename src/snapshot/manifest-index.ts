import type { SnapshotEntry } from '../api/entities.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import { folderEntry, toSnapshotEntry } from './entries.ts';
import { readManifest, type BlobReader } from './manifest.ts';
import { binaryOf } from './path-text.ts';

/** What is in a snapshot, by path and by folder. */
export class ManifestIndex {
  private readonly leaves = new Map<string, ManifestEntry>();
  /** Paths of what is directly in a folder; `` is the snapshot itself. */
  private readonly folders = new Map<string, string[]>([['', []]]);
  private readonly sorted = new Set<string>();

  /** Reads a manifest in parts, so that others have their turn. Throws as `readManifest`. */
  static async read(blobs: BlobReader, id: string): Promise<ManifestIndex> {
    const index = new ManifestIndex();
    for await (const entries of readManifest(blobs, id)) {
      for (const entry of entries) index.add(entry);
    }
    return index;
  }

  add(entry: ManifestEntry): void {
    if ('dir' in entry) {
      this.addFolder(entry.path);
      return;
    }
    this.leaves.set(entry.path, entry);
    this.addFolder(parentOf(entry.path)).push(entry.path);
  }

  /** Files, links and folders. */
  get size(): number {
    return this.leaves.size + this.folders.size - 1;
  }

  /** What is at a path, or undefined. */
  entry(path: string): SnapshotEntry | undefined {
    const leaf = this.leaves.get(path);
    if (leaf) return toSnapshotEntry(leaf);
    return path !== '' && this.folders.has(path) ? folderEntry(path) : undefined;
  }

  /** What is directly in a folder, by the bytes of the names; nothing for what is no folder. */
  children(path: string): SnapshotEntry[] {
    const paths = this.folders.get(path);
    if (!paths) return [];
    if (!this.sorted.has(path)) {
      // Only a folder without an entry of its own can be out of place: it came with what is in it.
      if (!isSorted(paths)) paths.sort((a, b) => (binaryOf(a) < binaryOf(b) ? -1 : 1));
      this.sorted.add(path);
    }
    return paths.map((one) => this.entry(one)!);
  }

  private addFolder(path: string): string[] {
    let children = this.folders.get(path);
    if (children) return children;
    children = [];
    this.folders.set(path, children);
    this.addFolder(parentOf(path)).push(path);
    return children;
  }
}

/** Indexes that were asked for lately, by snapshot; as many as have `mostEntries` entries together. */
export class ManifestIndexes {
  private readonly blobs: BlobReader;
  private readonly mostEntries: number;
  private readonly reading = new Map<string, Promise<ManifestIndex>>();
  private readonly known = new Map<string, ManifestIndex>();
  private entries = 0;

  constructor(blobs: BlobReader, mostEntries = 200_000) {
    this.blobs = blobs;
    this.mostEntries = mostEntries;
  }

  /** Callers at the same time share one reading. Throws as `readManifest`. */
  get(id: string): Promise<ManifestIndex> {
    const known = this.known.get(id);
    if (known) {
      this.known.delete(id);
      this.known.set(id, known);
      return Promise.resolve(known);
    }
    let reading = this.reading.get(id);
    if (!reading) {
      reading = ManifestIndex.read(this.blobs, id)
        .then((index) => this.keep(id, index))
        .finally(() => this.reading.delete(id));
      this.reading.set(id, reading);
    }
    return reading;
  }

  private keep(id: string, index: ManifestIndex): ManifestIndex {
    this.known.set(id, index);
    this.entries += index.size;
    for (const [oldest, { size }] of this.known) {
      // The one that was just asked for stays, however large it is.
      if (this.entries <= this.mostEntries || oldest === id) break;
      this.known.delete(oldest);
      this.entries -= size;
    }
    return index;
  }
}

function isSorted(paths: readonly string[]): boolean {
  let last = '';
  for (const path of paths) {
    const key = binaryOf(path);
    if (key < last) return false;
    last = key;
  }
  return true;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
