import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import * as vscode from 'vscode';
import { folderOnDisk } from '../folder-on-disk.ts';

export interface Download {
  /** Proposed; `.zip` follows. */
  name: string;
  /** Of the dialog. */
  title: string;
  open(signal: AbortSignal): Promise<Readable>;
}

/** Asks where to, and saves a zip there. What was canceled or broke off leaves nothing behind. */
export async function downloadZip(download: Download): Promise<void> {
  const folder = folderOnDisk();
  const defaultUri = folder && vscode.Uri.joinPath(folder, `${download.name}.zip`);
  const target = await vscode.window.showSaveDialog({
    ...(defaultUri ? { defaultUri } : {}),
    filters: { [vscode.l10n.t('Zip archive')]: ['zip'] },
    title: download.title,
  });
  if (!target) return;
  const name = path.basename(target.fsPath);
  const title = vscode.l10n.t('Downloading {0}', name);
  const location = vscode.ProgressLocation.Notification;
  const done = await vscode.window.withProgress({ location, title, cancellable: true }, async (_, token) => {
    const abort = new AbortController();
    token.onCancellationRequested(() => abort.abort());
    try {
      const source = await download.open(abort.signal);
      await pipeline(source, createWriteStream(target.fsPath), { signal: abort.signal });
      return true;
    } catch (error) {
      await rm(target.fsPath, { force: true });
      if (abort.signal.aborted) return false;
      throw error;
    }
  });
  if (!done) return;
  const show = vscode.l10n.t('Reveal');
  void vscode.window
    .showInformationMessage(vscode.l10n.t('{0} is complete.', name), show)
    .then((answer) => answer === show && vscode.commands.executeCommand('revealFileInOS', target));
}
