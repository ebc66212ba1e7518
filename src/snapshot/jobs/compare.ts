import type { Comparison, SnapshotChange, SnapshotEntry } from '../../api/entities.ts';
import type { ManifestEntry } from '../../protocol/messages.ts';
import { describeFolder } from '../describe.ts';
import { folderEntry, toSnapshotEntry } from '../entries.ts';
import { manifestEntries } from '../manifest.ts';
import { binaryOf } from '../path-text.ts';
import type { Job } from './context.ts';
import type { JobTools } from './tools.ts';

export interface CompareArgs {
  /** Folder of the workspace's blobs. */
  blobs: string;
  /** Folder of the stat caches. */
  cache: string;
  home: string;
  left: string;
  /** A snapshot's id, or a folder as it is now. */
  right: { snapshot: string } | { folder: string };
}

/** More changes than this are counted by nobody. */
const mostChanges = 10_000;
/** Between two looks at whether somebody has canceled. */
const entriesAtOnce = 10_000;

export function compare({ open, crew }: JobTools): Job<CompareArgs, Comparison> {
  return async ({ blobs, cache, home, left, right }, context) => {
    const folder = open(blobs);
    const ours = await manifestEntries(folder, left);
    const theirs =
      'snapshot' in right
        ? await manifestEntries(folder, right.snapshot)
        : await describeFolder({ folder: right.folder, home, cache }, crew, context);
    return compareEntries(ours, theirs, { limit: mostChanges, between: () => context.throwIfCanceled() });
  };
}

/**
 * How two lists of entries, each sorted by the bytes of its paths, differ. An empty folder in which something
 * is on the other side is no difference of its own; a file or link there is another kind of thing.
 */
export function compareEntries(
  left: readonly ManifestEntry[],
  right: readonly ManifestEntry[],
  options: { limit: number; between?: () => void },
): Comparison {
  const changes: SnapshotChange[] = [];
  let same = 0;
  let more = false;
  const add = (change: SnapshotChange) => {
    if (changes.length < options.limit) changes.push(change);
    else more = true;
  };
  const [ours, theirs] = [new Side(left), new Side(right)];
  for (let seen = 0; ours.key !== undefined || theirs.key !== undefined; seen++) {
    if (seen % entriesAtOnce === 0) options.between?.();
    if (ours.key === theirs.key) {
      const change = changeOf(ours.entry!, theirs.entry!);
      if (change) add(change);
      else same++;
      ours.next();
      theirs.next();
    } else if (theirs.key === undefined || (ours.key !== undefined && ours.key < theirs.key)) {
      const entry = toSnapshotEntry(ours.entry!);
      const other = theirs.folderAt(ours.key!) ? folderEntry(entry.path) : null;
      addOneSided(add, entry, other, 'left');
      ours.next();
    } else {
      const entry = toSnapshotEntry(theirs.entry!);
      const other = ours.folderAt(theirs.key) ? folderEntry(entry.path) : null;
      addOneSided(add, entry, other, 'right');
      theirs.next();
    }
  }
  return { changes, more, same };
}

function addOneSided(
  add: (change: SnapshotChange) => void,
  entry: SnapshotEntry,
  other: SnapshotEntry | null,
  side: 'left' | 'right',
): void {
  if (other && entry.kind === 'folder') return;
  const change = other ? 'kind' : side === 'left' ? 'deleted' : 'added';
  const [left, right] = side === 'left' ? [entry, other] : [other, entry];
  add({ path: entry.path, change, left, right });
}

function changeOf(a: ManifestEntry, b: ManifestEntry): SnapshotChange | undefined {
  const [left, right] = [toSnapshotEntry(a), toSnapshotEntry(b)];
  const change =
    left.kind !== right.kind
      ? 'kind'
      : left.hash !== right.hash || left.target !== right.target
        ? 'modified'
        : left.mode !== right.mode
          ? 'mode'
          : undefined;
  return change && { path: a.path, change, left, right };
}

/** One of two sorted lists, and where the comparison is in it. */
class Side {
  entry: ManifestEntry | undefined;
  /** The entry's path as bytes sort. */
  key: string | undefined;
  private readonly entries: readonly ManifestEntry[];
  private at = -1;

  constructor(entries: readonly ManifestEntry[]) {
    this.entries = entries;
    this.next();
  }

  next(): void {
    this.entry = this.entries[++this.at];
    this.key = this.entry && binaryOf(this.entry.path);
  }

  /** Whether something is in a folder of that path. */
  folderAt(key: string): boolean {
    const prefix = `${key}/`;
    let [low, high] = [0, this.entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (binaryOf(this.entries[middle]!.path) < prefix) low = middle + 1;
      else high = middle;
    }
    const found = this.entries[low];
    return found !== undefined && binaryOf(found.path).startsWith(prefix);
  }
}
