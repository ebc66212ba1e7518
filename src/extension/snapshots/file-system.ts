import * as vscode from 'vscode';
import type { SnapshotEntry } from '../../api/entities.ts';
import { RunyardError } from '../../api/errors.ts';
import type { Connection } from '../connection.ts';
import { parseSnapshotUri, type SnapshotAddress, textOf } from './address.ts';
import type { Listing, SnapshotEntries } from './entries.ts';

const pieceBytes = 8 * 1024 * 1024;
const permissions = vscode.FilePermission.Readonly;
const folderStat = { type: vscode.FileType.Directory, ctime: 0, mtime: 0, size: 0, permissions };

/** Snapshots as read-only folders. A link is a file that holds its target, as git has it. */
export class SnapshotFileSystem implements vscode.FileSystemProvider, vscode.Disposable {
  private readonly connection: Connection;
  private readonly entries: SnapshotEntries;
  private readonly changed = new vscode.EventEmitter<vscode.FileChangeEvent[]>();

  /** Never fires: what a snapshot holds stays as it is. */
  readonly onDidChangeFile = this.changed.event;

  constructor(connection: Connection, entries: SnapshotEntries) {
    this.connection = connection;
    this.entries = entries;
  }

  dispose(): void {
    this.changed.dispose();
  }

  watch(): vscode.Disposable {
    return new vscode.Disposable(() => undefined);
  }

  async stat(uri: vscode.Uri): Promise<vscode.FileStat> {
    const text = textOf(uri);
    if (text !== undefined) return fileStat(Buffer.byteLength(text));
    const address = parseSnapshotUri(uri);
    if (!address) return folderStat;
    const { entry } = await this.list(uri, address);
    if (!entry || entry.kind === 'folder') return folderStat;
    return fileStat(entry.kind === 'link' ? Buffer.byteLength(entry.target ?? '') : entry.size);
  }

  async readDirectory(uri: vscode.Uri): Promise<[string, vscode.FileType][]> {
    const address = parseSnapshotUri(uri);
    if (!address) return [];
    const { entry, entries } = await this.list(uri, address);
    if (entry && entry.kind !== 'folder') throw vscode.FileSystemError.FileNotADirectory(uri);
    return entries.map((one) => [nameOf(one), typeOf(one)]);
  }

  async readFile(uri: vscode.Uri): Promise<Uint8Array> {
    const text = textOf(uri);
    if (text !== undefined) return Buffer.from(text);
    const address = parseSnapshotUri(uri);
    const entry = address && (await this.list(uri, address)).entry;
    if (!entry || entry.kind === 'folder') throw vscode.FileSystemError.FileIsADirectory(uri);
    if (entry.kind === 'link') return Buffer.from(entry.target ?? '');
    return this.guard(uri, () => this.read(address, entry.size));
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

  private list(uri: vscode.Uri, address: SnapshotAddress): Promise<Listing> {
    return this.guard(uri, () => this.entries.list(address, address.path));
  }

  private async read(address: SnapshotAddress, size: number): Promise<Uint8Array> {
    const client = await this.connection.client();
    const params = { workspace: address.workspace, snapshot: address.snapshotId };
    const parts: Uint8Array[] = [];
    for (let offset = 0; offset < size;) {
      const query = { path: address.path, offset, length: pieceBytes };
      const { data } = await client.bytes('readSnapshotFile', { params, query });
      if (data.length === 0) break;
      parts.push(data);
      offset += data.length;
    }
    return Buffer.concat(parts);
  }

  private async guard<T>(uri: vscode.Uri, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof RunyardError)) throw error;
      if (error.code === 'not_found') throw vscode.FileSystemError.FileNotFound(uri);
      throw vscode.FileSystemError.Unavailable(error.message);
    }
  }
}

/** The last part of an entry's path. */
export function nameOf(entry: SnapshotEntry): string {
  return entry.path.slice(entry.path.lastIndexOf('/') + 1);
}

function typeOf(entry: SnapshotEntry): vscode.FileType {
  return entry.kind === 'folder' ? vscode.FileType.Directory : vscode.FileType.File;
}

function fileStat(size: number): vscode.FileStat {
  return { type: vscode.FileType.File, ctime: 0, mtime: 0, size, permissions };
}
