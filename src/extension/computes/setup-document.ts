import * as vscode from 'vscode';
import type { ComputeSettings } from '../../api/compute.ts';
import type { Connection } from '../connection.ts';
import { describe } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Computes } from './computes.ts';

/** Set-up lines open as `runyard-compute:/<target>/set-up.sh`; to save it is to set them. */
export const setupScheme = 'runyard-compute';

/** The document of a target's set-up lines. */
export function setupUri(name: string): vscode.Uri {
  return vscode.Uri.from({ scheme: setupScheme, path: `/${name}/set-up.sh` });
}

/** Opens the set-up lines of a target, to be edited and saved like a file. */
export async function showSetup(name: string): Promise<void> {
  const document = await vscode.workspace.openTextDocument(setupUri(name));
  const end = document.lineAt(document.lineCount - 1).range.end;
  await vscode.window.showTextDocument(document, { preview: false, selection: new vscode.Range(end, end) });
}

/** Set-up lines of targets as documents. */
export class SetupFileSystem implements vscode.FileSystemProvider, vscode.Disposable {
  private readonly connection: Connection;
  private readonly computes: Computes;
  private readonly log: Log;
  private readonly changed = new vscode.EventEmitter<vscode.FileChangeEvent[]>();
  /** By target; the editor needs to see that a document that was saved is a newer one. */
  private readonly versions = new Map<string, { text: string; mtime: number }>();

  readonly onDidChangeFile = this.changed.event;

  constructor(connection: Connection, computes: Computes, log: Log) {
    this.connection = connection;
    this.computes = computes;
    this.log = log;
  }

  dispose(): void {
    this.changed.dispose();
  }

  watch(): vscode.Disposable {
    return new vscode.Disposable(() => undefined);
  }

  async stat(uri: vscode.Uri): Promise<vscode.FileStat> {
    if (uri.path !== setupUri(nameOf(uri)).path) {
      return { type: vscode.FileType.Directory, ctime: 0, mtime: 0, size: 0 };
    }
    const content = await this.readFile(uri);
    const { mtime } = this.versions.get(uri.path)!;
    return { type: vscode.FileType.File, ctime: 0, mtime, size: content.byteLength };
  }

  async readFile(uri: vscode.Uri): Promise<Uint8Array> {
    const name = nameOf(uri);
    const compute = await this.computes.look(name);
    if (!compute?.settings) throw vscode.FileSystemError.FileNotFound(uri);
    return this.encode(uri, compute.settings);
  }

  async writeFile(uri: vscode.Uri, content: Uint8Array): Promise<void> {
    const name = nameOf(uri);
    const client = await this.connection.client();
    const body = { setup: linesOf(name, Buffer.from(content).toString()) };
    try {
      const compute = await client.call('updateCompute', { params: { compute: name }, body });
      this.computes.take(compute);
      if (compute.settings) this.encode(uri, compute.settings);
    } catch (error) {
      this.log.error('Set-up lines cannot be saved', error);
      throw vscode.FileSystemError.Unavailable(describe(error));
    }
    this.changed.fire([{ type: vscode.FileChangeType.Changed, uri }]);
    void this.offerTest(name);
  }

  readDirectory(): [string, vscode.FileType][] {
    return [];
  }

  createDirectory(): void {
    throw vscode.FileSystemError.NoPermissions();
  }

  delete(): void {
    throw vscode.FileSystemError.NoPermissions();
  }

  rename(): void {
    throw vscode.FileSystemError.NoPermissions();
  }

  private encode(uri: vscode.Uri, { setup }: ComputeSettings): Uint8Array {
    const text = [...header(nameOf(uri)), ...setup, ''].join('\n');
    if (this.versions.get(uri.path)?.text !== text) this.versions.set(uri.path, { text, mtime: Date.now() });
    return Buffer.from(text);
  }

  private async offerTest(name: string): Promise<void> {
    const test = vscode.l10n.t('Test Connection');
    const text = vscode.l10n.t('The set-up lines of {0} are saved; the next connection uses them.', name);
    if ((await vscode.window.showInformationMessage(text, test)) === test)
      await vscode.commands.executeCommand('runyard.testCompute', name);
  }
}

/** Says what the document is; not part of the set-up. */
function header(name: string): string[] {
  return [
    vscode.l10n.t(
      '# Shell lines that {0} runs before anything of Runyard is started there. Save to use them.',
      name,
    ),
    vscode.l10n.t('# For example: module load cuda, or: conda activate ml'),
  ];
}

function linesOf(name: string, text: string): string[] {
  const own = new Set(header(name));
  return text
    .split(/\r?\n/)
    .map((line) => line.trimEnd())
    .filter((line) => line !== '' && !own.has(line));
}

function nameOf(uri: vscode.Uri): string {
  return uri.path.split('/')[1] ?? '';
}
