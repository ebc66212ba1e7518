import type * as vscode from 'vscode';
import type { SnapshotEntry } from '../../api/entities.ts';
import type { Connection } from '../connection.ts';
import type { SnapshotRef } from './address.ts';

/** Folders whose entries are remembered. */
const mostListings = 2_000;

export interface Listing {
  /** Null for the snapshot itself. */
  entry: SnapshotEntry | null;
  /** What is directly in it: folders first, then by name. */
  entries: SnapshotEntry[];
}

/** What is in snapshots. Their content never changes, so that nothing is asked for twice. */
export class SnapshotEntries implements vscode.Disposable {
  private readonly connection: Connection;
  private readonly homeListener: vscode.Disposable;
  /** In order of use, the longest unused first. */
  private readonly listings = new Map<string, Promise<Listing>>();

  constructor(connection: Connection) {
    this.connection = connection;
    this.homeListener = connection.onDidChangeHome(() => this.listings.clear());
  }

  dispose(): void {
    this.homeListener.dispose();
  }

  /** A folder with its entries, or a file. Throws RunyardError `not_found`. */
  list(ref: SnapshotRef, path: string): Promise<Listing> {
    const key = `${ref.workspace}/${ref.snapshotId}/${path}`;
    const known = this.listings.get(key);
    const listing = known ?? this.fetch(ref, path);
    this.listings.delete(key);
    this.listings.set(key, listing);
    if (known) return known;
    // What failed may be there the next time: the server was away, the snapshot was under way.
    listing.catch(() => this.listings.get(key) === listing && this.listings.delete(key));
    for (const oldest of this.listings.keys()) {
      if (this.listings.size <= mostListings) break;
      this.listings.delete(oldest);
    }
    return listing;
  }

  private async fetch(ref: SnapshotRef, path: string): Promise<Listing> {
    const client = await this.connection.client();
    const params = { workspace: ref.workspace, snapshot: ref.snapshotId };
    const { entry, entries } = await client.call('listSnapshotEntries', { params, query: { path } });
    return { entry, entries: entries.toSorted(foldersFirst) };
  }
}

function foldersFirst(a: SnapshotEntry, b: SnapshotEntry): number {
  const folders = Number(b.kind === 'folder') - Number(a.kind === 'folder');
  return folders || a.path.localeCompare(b.path, undefined, { numeric: true });
}
