import { createWriteStream } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as vscode from 'vscode';
import type { Connection } from '../connection.ts';
import { RemedyError } from '../errors.ts';
import { folderOnDisk } from '../folder-on-disk.ts';
import type { RunRef } from '../run-ref.ts';
import { fileUri } from './address.ts';
import type { ArtifactFetcher } from './fetch.ts';
import { readPieces } from './file-system.ts';

/** Where the output of a run's command is, and beside it that of its earlier attempts. */
const mainLog = 'user_logs/std_log.txt';
const logPath = /(^|\/)std_log\.txt$/;
/** What there is instead where the run's environment could not be built. */
const buildLogPath = /(^|\/)build_log\.txt$/;

/** Opens and saves files of runs. */
export class RunFiles {
  private readonly connection: Connection;
  private readonly fetcher: ArtifactFetcher;

  constructor(connection: Connection, fetcher: ArtifactFetcher) {
    this.connection = connection;
    this.fetcher = fetcher;
  }

  /** Opens a run's log as a read-only document; of a big one the end. */
  async openLog(ref: RunRef): Promise<void> {
    const client = await this.connection.client();
    const params = { workspace: ref.workspace, run: ref.runId };
    const { artifacts } = await client.call('listArtifacts', { params });
    const logs = artifacts.filter((artifact) => logPath.test(artifact.path));
    const log =
      logs.sort((a, b) => a.modifiedAt - b.modifiedAt).findLast(({ size }) => size > 0) ??
      artifacts.find(({ path }) => buildLogPath.test(path)) ??
      logs.at(-1);
    if (!log) {
      const run = await client.call('getRun', { params });
      throw new RemedyError(
        run.error
          ? vscode.l10n.t('The run has written no log. It failed: {0}', run.error.message)
          : vscode.l10n.t('The run has written no log yet. {0}', run.statusReason),
        [],
      );
    }
    await this.showLog(ref, log.path);
  }

  private async showLog(ref: RunRef, log: string): Promise<void> {
    const document = await vscode.workspace.openTextDocument(fileUri(ref, log, true));
    const editor = await vscode.window.showTextDocument(document, { preview: true });
    const end = document.lineAt(document.lineCount - 1).range.end;
    editor.revealRange(new vscode.Range(end, end));
  }

  /** Opens any file of a run in the editor that fits it. */
  async open(ref: RunRef, filePath: string): Promise<void> {
    if (filePath === mainLog) return this.openLog(ref);
    // That of an earlier attempt is opened like any other log, at its end.
    if (logPath.test(filePath)) return this.showLog(ref, filePath);
    if (!(await this.fetcher.beforeOpening(ref, filePath))) return;
    await vscode.commands.executeCommand('vscode.open', fileUri(ref, filePath));
  }

  /** Brings a file that is on its host only into the workspace, or asks which. */
  async fetch(ref: RunRef, filePath?: string): Promise<void> {
    await this.fetcher.fetchSome(ref, filePath);
  }

  /** Asks where to, and saves a file of a run. */
  async save(ref: RunRef, filePath: string): Promise<void> {
    const name = path.posix.basename(filePath);
    const folder = folderOnDisk();
    const target = await vscode.window.showSaveDialog({
      ...(folder ? { defaultUri: vscode.Uri.joinPath(folder, name) } : {}),
      title: vscode.l10n.t('Save {0}', name),
    });
    if (!target || !(await this.fetcher.beforeSaving(ref, filePath))) return;
    const location = vscode.ProgressLocation.Notification;
    const title = vscode.l10n.t('Saving {0}', name);
    await vscode.window.withProgress({ location, title, cancellable: true }, async (_, token) => {
      const abort = new AbortController();
      token.onCancellationRequested(() => abort.abort());
      const client = await this.connection.client();
      const pieces = readPieces(client, { ...ref, path: filePath }, abort.signal);
      await pipeline(Readable.from(pieces), createWriteStream(target.fsPath), { signal: abort.signal });
    });
  }
}
