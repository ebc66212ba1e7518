import * as vscode from 'vscode';
import type { Client } from '../../client/client.ts';
import { RunyardError } from '../../api/errors.ts';
import type { Connection } from '../connection.ts';
import type { Live } from '../live.ts';
import { runKey } from '../run-ref.ts';
import { type FileAddress, parseUri } from './address.ts';

/** A log opens with at most this many of its last bytes. */
export const tailBytes = 4 * 1024 * 1024;
const pieceBytes = 4 * 1024 * 1024;
/** A growing file is read again at most this often. */
const rereadMs = 1_000;

interface Open {
  uri: vscode.Uri;
  address: FileAddress;
  watch: vscode.Disposable;
  timer: NodeJS.Timeout | undefined;
}

/** Files of runs as read-only documents; those that grow are read again while they are open. */
export class RunFileSystem implements vscode.FileSystemProvider, vscode.Disposable {
  private readonly connection: Connection;
  private readonly live: Live;
  private readonly open = new Set<Open>();
  private readonly changed = new vscode.EventEmitter<vscode.FileChangeEvent[]>();
  private readonly subscription: vscode.Disposable;

  readonly onDidChangeFile = this.changed.event;

  constructor(connection: Connection, live: Live) {
    this.connection = connection;
    this.live = live;
    this.subscription = live.onEvent(({ workspace, event }) => {
      if (event.type === 'log') this.touch(runKey({ workspace, runId: event.runId }), event.path);
      if (event.type === 'run' || event.type === 'details') {
        const runId = event.type === 'run' ? event.run.id : event.runId;
        this.touch(runKey({ workspace, runId }));
      }
    });
  }

  dispose(): void {
    for (const entry of [...this.open]) this.close(entry);
    this.subscription.dispose();
    this.changed.dispose();
  }

  watch(uri: vscode.Uri): vscode.Disposable {
    const address = parseUri(uri);
    if (!address) return new vscode.Disposable(() => undefined);
    const entry = { uri, address, watch: this.live.watch(address.workspace), timer: undefined };
    this.open.add(entry);
    return new vscode.Disposable(() => this.close(entry));
  }

  async stat(uri: vscode.Uri): Promise<vscode.FileStat> {
    const address = parseUri(uri);
    if (!address) return { type: vscode.FileType.Directory, ctime: 0, mtime: 0, size: 0 };
    const { artifacts } = await this.ask(uri, (client) =>
      client.call('listArtifacts', { params: { workspace: address.workspace, run: address.runId } }),
    );
    const found = artifacts.find((artifact) => artifact.path === address.path);
    const permissions = vscode.FilePermission.Readonly;
    if (found) {
      const size = address.tail ? Math.min(found.size, tailBytes) : found.size;
      // The size is part of the version: a file that grew within one tick of its clock is another one.
      return {
        type: vscode.FileType.File,
        ctime: 0,
        mtime: Math.floor(found.modifiedAt) + found.size,
        size,
        permissions,
      };
    }
    if (artifacts.some((artifact) => artifact.path.startsWith(`${address.path}/`))) {
      return { type: vscode.FileType.Directory, ctime: 0, mtime: 0, size: 0, permissions };
    }
    throw vscode.FileSystemError.FileNotFound(uri);
  }

  async readFile(uri: vscode.Uri): Promise<Uint8Array> {
    const address = parseUri(uri);
    if (!address) throw vscode.FileSystemError.FileIsADirectory(uri);
    return this.ask(uri, (client) => (address.tail ? readTail(client, address) : readWhole(client, address)));
  }

  async readDirectory(uri: vscode.Uri): Promise<[string, vscode.FileType][]> {
    const address = parseUri(uri);
    if (!address) return [];
    const { artifacts } = await this.ask(uri, (client) =>
      client.call('listArtifacts', { params: { workspace: address.workspace, run: address.runId } }),
    );
    const prefix = address.path ? `${address.path}/` : '';
    const entries = new Map<string, vscode.FileType>();
    for (const { path } of artifacts) {
      if (!path.startsWith(prefix)) continue;
      const [name, ...rest] = path.slice(prefix.length).split('/');
      if (name) entries.set(name, rest.length ? vscode.FileType.Directory : vscode.FileType.File);
    }
    return [...entries];
  }

  createDirectory(): void {
    throw vscode.FileSystemError.NoPermissions();
  }

  writeFile(): void {
    throw vscode.FileSystemError.NoPermissions();
  }

  delete(): void {
    throw vscode.FileSystemError.NoPermissions();
  }

  rename(): void {
    throw vscode.FileSystemError.NoPermissions();
  }

  private async ask<T>(uri: vscode.Uri, action: (client: Client) => Promise<T>): Promise<T> {
    try {
      return await action(await this.connection.client());
    } catch (error) {
      if (!(error instanceof RunyardError)) throw error;
      if (error.code === 'not_found') throw vscode.FileSystemError.FileNotFound(uri);
      throw vscode.FileSystemError.Unavailable(error.message);
    }
  }

  private touch(run: string, path?: string): void {
    for (const entry of this.open) {
      if (runKey(entry.address) !== run || (path !== undefined && entry.address.path !== path)) continue;
      entry.timer ??= setTimeout(() => {
        entry.timer = undefined;
        this.changed.fire([{ type: vscode.FileChangeType.Changed, uri: entry.uri }]);
      }, rereadMs);
    }
  }

  private close(entry: Open): void {
    clearTimeout(entry.timer);
    entry.watch.dispose();
    this.open.delete(entry);
  }
}

/** One piece of a run's file, and the file's size now. */
export async function readPiece(
  client: Client,
  address: Pick<FileAddress, 'workspace' | 'runId' | 'path'>,
  offset: number,
  length: number,
  signal?: AbortSignal,
): Promise<{ data: Uint8Array; size: number }> {
  const { data, headers } = await client.bytes('readArtifact', {
    params: { workspace: address.workspace, run: address.runId },
    query: { path: address.path, offset, length },
    ...(signal ? { signal } : {}),
  });
  return { data, size: Number(headers['x-runyard-size'] ?? offset + data.length) };
}

/** A run's file piece by piece, up to its end. */
export async function* readPieces(
  client: Client,
  address: Pick<FileAddress, 'workspace' | 'runId' | 'path'>,
  signal?: AbortSignal,
  from = 0,
): AsyncGenerator<Uint8Array> {
  for (let offset = from; ;) {
    const { data, size } = await readPiece(client, address, offset, pieceBytes, signal);
    offset += data.length;
    if (data.length > 0) yield data;
    if (data.length === 0 || offset >= size) return;
  }
}

async function readWhole(client: Client, address: FileAddress): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of readPieces(client, address)) parts.push(part);
  return Buffer.concat(parts);
}

async function readTail(client: Client, address: FileAddress): Promise<Uint8Array> {
  const { size } = await readPiece(client, address, 0, 1);
  if (size <= tailBytes) return readWhole(client, address);
  const from = size - tailBytes;
  const parts: Uint8Array[] = [];
  for await (const part of readPieces(client, address, undefined, from)) parts.push(part);
  const tail = Buffer.concat(parts);
  const newline = tail.subarray(0, 64 * 1024).indexOf(10);
  const kept = tail.subarray(newline + 1);
  const megabytes = (n: number) => (n / 1024 / 1024).toFixed(1);
  const note = vscode.l10n.t(
    '[Runyard: the last {0} of {1} MB. "Download Run" saves the whole log.]',
    megabytes(kept.length),
    megabytes(size),
  );
  return Buffer.concat([Buffer.from(`${note}\n`), kept]);
}
