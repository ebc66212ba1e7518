import os from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import type { GitFacts, Restored } from '../../api/entities.ts';
import type { Connection } from '../connection.ts';
import { folderOnDisk } from '../folder-on-disk.ts';
import { formatBytes } from '../format.ts';
import type { RunSnapshot } from './source.ts';

interface FormItem extends vscode.QuickPickItem {
  as: 'folder' | 'worktree';
}

/** *Restore Snapshot...*: asks for the form and the new folder, writes it, and offers to open it. */
export async function restoreSnapshot(snapshot: RunSnapshot, connection: Connection): Promise<void> {
  const form = await vscode.window.showQuickPick(forms(snapshot.git), {
    title: vscode.l10n.t('Restore Snapshot: {0}', snapshot.title),
    placeHolder: vscode.l10n.t('What to make of it'),
    ignoreFocusOut: true,
  });
  if (!form) return;
  const target = await vscode.window.showSaveDialog({
    defaultUri: proposal(snapshot),
    title: vscode.l10n.t('Restore Snapshot: a new folder'),
    saveLabel: vscode.l10n.t('Restore'),
  });
  if (!target) return;
  const restored = await restore(snapshot, form.as, target, connection);
  if (restored) await tell(restored);
}

function forms(git: GitFacts | null): FormItem[] {
  const folder: FormItem = {
    as: 'folder',
    label: `$(folder) ${vscode.l10n.t('Into a Folder')}`,
    detail: vscode.l10n.t('The files as they were submitted, nothing else'),
  };
  if (!git?.commit) return [folder];
  const commit = git.commit.slice(0, 10);
  const what = git.changes
    ? vscode.l10n.t('The whole repository at {0}, with the changes and untracked files of that time', commit)
    : vscode.l10n.t('The whole repository at {0}', commit);
  const worktree: FormItem = {
    as: 'worktree',
    label: `$(git-branch) ${vscode.l10n.t('As a Git Worktree')}`,
    detail: [what, ...caveats(git)].join('. '),
  };
  return [folder, worktree];
}

/** What a person should know before a worktree is made. */
function caveats(git: GitFacts): string[] {
  const { pushed, submodules } = git;
  return [
    ...(pushed === false
      ? [vscode.l10n.t('The commit was not pushed: it works where the repository still has it')]
      : []),
    ...(submodules.length > 0 ? [vscode.l10n.t('Submodules ({0}) are not filled', submodules.length)] : []),
  ];
}

/** A new folder beside the one that was submitted, where that is still known here. */
function proposal(snapshot: RunSnapshot): vscode.Uri {
  const parent = snapshot.sourceDirectory
    ? path.dirname(snapshot.sourceDirectory)
    : (folderOnDisk()?.fsPath ?? os.homedir());
  const name = snapshot.title.replace(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^-+|-+$/g, '');
  return vscode.Uri.file(path.join(parent, name || snapshot.snapshotId.slice(0, 12)));
}

async function restore(
  snapshot: RunSnapshot,
  as: 'folder' | 'worktree',
  target: vscode.Uri,
  connection: Connection,
): Promise<Restored | undefined> {
  const location = vscode.ProgressLocation.Notification;
  const title = vscode.l10n.t('Restoring the snapshot of {0}', snapshot.title);
  return vscode.window.withProgress({ location, title, cancellable: true }, async (_, token) => {
    const abort = new AbortController();
    token.onCancellationRequested(() => abort.abort());
    const client = await connection.client();
    const params = { workspace: snapshot.workspace, snapshot: snapshot.snapshotId };
    const body = { folder: target.fsPath, as };
    return client.call('restoreSnapshot', { params, body, signal: abort.signal });
  });
}

async function tell({ folder, files, bytes, notes }: Restored): Promise<void> {
  const name = path.basename(folder);
  const done = vscode.l10n.t('{0} has {1} files, {2}.', name, files.toLocaleString(), formatBytes(bytes));
  const open = vscode.l10n.t('Open in New Window');
  const text = [done, ...notes].join(' ');
  const answer =
    notes.length > 0
      ? await vscode.window.showWarningMessage(text, open)
      : await vscode.window.showInformationMessage(text, open);
  if (answer !== open) return;
  await vscode.commands.executeCommand('vscode.openFolder', vscode.Uri.file(folder), {
    forceNewWindow: true,
  });
}
