import path from 'node:path';
import * as vscode from 'vscode';
import { RemedyError } from '../errors.ts';

/** What a submit is about: a folder on disk and, when it was asked for by a file, its script. */
export interface SubmitTarget {
  folder: vscode.Uri;
  script?: string;
}

/** From a command's arguments: the folder or Python file that was clicked; undefined: ask. */
export async function targetOf(argument: unknown): Promise<SubmitTarget | undefined> {
  if (!(argument instanceof vscode.Uri)) return askForTarget();
  if (argument.scheme !== 'file') {
    throw new RemedyError(
      vscode.l10n.t('"{0}" is not on a disk. Save it into a folder first.', argument.path),
      [],
    );
  }
  const { type } = await vscode.workspace.fs.stat(argument);
  if (type & vscode.FileType.Directory) return { folder: argument };
  return { folder: vscode.Uri.joinPath(argument, '..'), script: path.basename(argument.fsPath) };
}

/** Asks for the folder; the script in the editor in front and the opened folders come first. */
async function askForTarget(): Promise<SubmitTarget | undefined> {
  interface Item extends vscode.QuickPickItem {
    target?: SubmitTarget;
  }
  const items: Item[] = [];
  const editor = vscode.window.activeTextEditor?.document;
  if (editor?.uri.scheme === 'file' && editor.languageId === 'python') {
    const script = path.basename(editor.uri.fsPath);
    const folder = vscode.Uri.joinPath(editor.uri, '..');
    items.push({
      label: `$(file-code) ${script}`,
      description: vscode.workspace.asRelativePath(folder, true),
      target: { folder, script },
    });
  }
  for (const { name, uri } of vscode.workspace.workspaceFolders ?? []) {
    if (uri.scheme !== 'file') continue;
    items.push({ label: `$(folder) ${name}`, description: uri.fsPath, target: { folder: uri } });
  }
  const browse: Item = { label: `$(folder-opened) ${vscode.l10n.t('Browse...')}` };
  const picked =
    items.length === 0
      ? browse
      : await vscode.window.showQuickPick([...items, browse], {
          title: vscode.l10n.t('Submit Run'),
          placeHolder: vscode.l10n.t('The folder to run; it is snapshotted as it is now'),
        });
  if (!picked) return undefined;
  if (picked.target) return picked.target;
  const [folder] =
    (await vscode.window.showOpenDialog({
      canSelectFiles: false,
      canSelectFolders: true,
      openLabel: vscode.l10n.t('Submit'),
    })) ?? [];
  return folder && { folder };
}
