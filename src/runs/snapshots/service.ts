import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type {
  Comparison,
  NewSnapshot,
  Restored,
  SearchMatch,
  Snapshot,
  SnapshotEntry,
} from '../../api/entities.ts';
import { RunyardError } from '../../api/errors.ts';
import { ManifestIndexes } from '../../snapshot/manifest-index.ts';
import type { Snapshots } from '../../snapshot/snapshots.ts';
import type { ZipItem } from '../../snapshot/zip.ts';
import type { OpenWorkspace } from '../../store/workspaces.ts';
import type { Writer } from '../../store/writer.ts';
import { readPart } from '../log-files.ts';
import * as queries from './queries.ts';
import type { SnapshotWrites } from './writes.ts';

export interface SnapshotServiceOptions {
  workspace: OpenWorkspace;
  writer: Writer;
  snapshots: Snapshots;
  /** A snapshot is kept no longer: blobs that were its own may go. */
  collectGarbage(): void;
}

/** A stream and how many bytes it has. */
export interface Sized {
  size: number;
  content: Readable;
}

/**
 * Snapshots of one workspace. They are named by an id, the beginning of one, or the id of a run; whatever throws
 * throws `not_found` for a name that means none.
 */
export class SnapshotService {
  private readonly options: SnapshotServiceOptions;
  private readonly indexes: ManifestIndexes;

  constructor(options: SnapshotServiceOptions) {
    this.options = options;
    this.indexes = new ManifestIndexes(options.workspace.blobs);
  }

  /** Takes a snapshot of a folder and keeps it. Throws as `Snapshots.take`. */
  create(folder: string, signal?: AbortSignal): Promise<NewSnapshot> {
    const { workspace, writer, snapshots } = this.options;
    // Kept before the blobs may be collected again.
    return workspace.blobs.using(async () => {
      const cache = path.join(workspace.dir, 'cache');
      const taken = await snapshots.take({ folder, blobs: workspace.blobs.dir, cache }, { signal });
      const { id, files, bytes, git, stored, warnings } = taken;
      const kept = { id, createdAt: Date.now(), sourceDirectory: folder, files, bytes, git };
      await writer.write<SnapshotWrites, 'snapshots.keep'>(workspace.file, 'snapshots.keep', kept);
      return { ...this.get(id), stored, warnings };
    });
  }

  /** Those that are kept without a run, newest first. */
  list(): Snapshot[] {
    return queries.keptSnapshots(this.reader);
  }

  get(name: string): Snapshot {
    return queries.describeSnapshot(this.reader, this.meant(name));
  }

  /** Keeps a snapshot no longer. Throws `conflict` when only runs have it. */
  async delete(name: string): Promise<void> {
    const { workspace, writer, collectGarbage } = this.options;
    const { id } = this.meant(name);
    await writer.write<SnapshotWrites, 'snapshots.drop'>(workspace.file, 'snapshots.drop', { id });
    collectGarbage();
  }

  /** What is at a path, and what is directly in it. Throws `not_found`. */
  async entries(
    name: string,
    file: string,
  ): Promise<{ entry: SnapshotEntry | null; entries: SnapshotEntry[] }> {
    const { id } = this.meant(name);
    const index = await this.indexes.get(id);
    const entry = index.entry(file) ?? null;
    if (!entry && file !== '') throw nothingAt(id, file);
    return { entry, entries: index.children(file) };
  }

  /** Bytes of one file. Throws `not_found`; `bad_request` for what is no file. */
  async read(
    name: string,
    file: string,
    offset: number,
    length: number,
  ): Promise<{ size: number; data: Uint8Array }> {
    const { id } = this.meant(name);
    const entry = (await this.indexes.get(id)).entry(file);
    if (!entry) throw nothingAt(id, file);
    if (entry.hash === null) {
      const what = entry.kind === 'link' ? `a link to ${entry.target}` : 'a folder';
      throw new RunyardError('bad_request', `"${file}" is ${what}.`);
    }
    const part = await readPart(this.options.workspace.blobs.pathOf(entry.hash), offset, length);
    if (part.size === entry.size) return part;
    throw new RunyardError(
      'conflict',
      `The stored content of ${file} is not there any more, or was changed.`,
      {
        action: 'Put the workspace back from a backup.',
      },
    );
  }

  search(
    name: string,
    wanted: { query: string; regex: boolean; caseSensitive: boolean; limit: number },
    signal?: AbortSignal,
  ): Promise<{ matches: SearchMatch[]; more: boolean }> {
    const { id } = this.meant(name);
    const { blobs } = this.options.workspace;
    return blobs.using(() =>
      this.options.snapshots.run('search', { blobs: blobs.dir, id, ...wanted }, { signal }),
    );
  }

  /** With another snapshot, or with a folder as it is now. */
  compare(
    name: string,
    other: { snapshot: string } | { folder: string },
    signal?: AbortSignal,
  ): Promise<Comparison> {
    const { workspace, snapshots } = this.options;
    const left = this.meant(name).id;
    const right = 'snapshot' in other ? { snapshot: this.meant(other.snapshot).id } : other;
    const args = { blobs: workspace.blobs.dir, cache: path.join(workspace.dir, 'cache'), left, right };
    return workspace.blobs.using(() => snapshots.compare(args, { signal }));
  }

  /** Throws `bad_request` for a folder that is no absolute path, and as the job. */
  async restore(
    name: string,
    to: { folder: string; as: 'folder' | 'worktree' },
    signal?: AbortSignal,
  ): Promise<Restored> {
    // `C:\x` is one elsewhere; here it would be a folder in the server's own.
    if (!path.isAbsolute(to.folder) || to.folder.includes('\0')) {
      throw new RunyardError('bad_request', `"${to.folder}" is not an absolute path here.`);
    }
    const { id, git, sourceDirectory } = this.get(name);
    const { blobs } = this.options.workspace;
    const args = { blobs: blobs.dir, id, git, sourceDirectory, ...to };
    // What is deleted meanwhile stays until it is written.
    return blobs.using(() => this.options.snapshots.run('restore', args, { signal }));
  }

  /** As a zip; the same bytes every time. */
  download(name: string, signal?: AbortSignal): Promise<Sized> {
    const snapshot = { id: this.meant(name).id, prefix: '' };
    return zipStream(this.options, { snapshot, items: [] }, signal);
  }

  private meant(name: string): queries.Meant {
    return queries.resolveSnapshot(this.reader, name);
  }

  private get reader() {
    return this.options.workspace.reader;
  }
}

/** A zip that the snapshot thread makes, from a file that nobody sees. Throws before the first byte. */
export async function zipStream(
  { workspace, snapshots }: Pick<SnapshotServiceOptions, 'workspace' | 'snapshots'>,
  what: { snapshot: { id: string; prefix: string } | null; items: ZipItem[] },
  signal?: AbortSignal,
): Promise<Sized> {
  return workspace.blobs.using(async () => {
    const { file, size } = await snapshots.run('zip', { blobs: workspace.blobs.dir, ...what }, { signal });
    const handle = await open(file, 'r');
    // Open, it lives as long as it is read; killed or not, nothing stays.
    await rm(file, { force: true });
    return { size, content: createReadStream('', { fd: handle }) };
  });
}

function nothingAt(id: string, file: string): RunyardError {
  return new RunyardError('not_found', `There is no "${file}" in the snapshot ${id.slice(0, 12)}.`);
}
