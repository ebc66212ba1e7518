import * as vscode from 'vscode';
import type { SnapshotEntry } from '../../api/entities.ts';
import { RunyardError } from '../../api/errors.ts';
import { formatBytes } from '../format.ts';
import { snapshotUri } from './address.ts';
import type { SnapshotEntries } from './entries.ts';
import type { RunSnapshot } from './source.ts';

/** A quick pick stays quick up to about this many. */
const mostFiles = 20_000;
/** Folders that are asked for at the same time. */
const atOnce = 8;
/** The list is drawn again at most this often while folders come in. */
const drawMs = 200;

interface FileItem extends vscode.QuickPickItem {
  entry: SnapshotEntry;
}

/** Asks for a file of the snapshot by its path, and opens it. */
export async function findFile(snapshot: RunSnapshot, entries: SnapshotEntries): Promise<void> {
  const pick = vscode.window.createQuickPick<FileItem>();
  pick.title = vscode.l10n.t('Find File: {0}', snapshot.title);
  pick.placeholder = vscode.l10n.t('Name or path of a file in the snapshot');
  pick.busy = true;
  let open = true;
  let drawn = 0;
  const items: FileItem[] = [];
  const take = (found: SnapshotEntry[]) => {
    items.push(...found.map(fileItem));
    if (Date.now() - drawn < drawMs) return open;
    drawn = Date.now();
    pick.items = items.slice();
    return open;
  };
  const walked = walk(snapshot, entries, take).then(
    (all) => {
      if (!open) return;
      pick.items = items;
      pick.busy = false;
      if (!all) pick.placeholder = vscode.l10n.t('The first {0} files of the snapshot', mostFiles);
    },
    (error: unknown) => {
      pick.hide();
      throw error;
    },
  );
  const chosen = await new Promise<FileItem | undefined>((resolve) => {
    pick.onDidAccept(() => resolve(pick.selectedItems[0]));
    pick.onDidHide(() => resolve(undefined));
    pick.show();
  });
  open = false;
  pick.dispose();
  if (!chosen) return walked;
  walked.catch(() => undefined);
  await vscode.commands.executeCommand('vscode.open', snapshotUri(snapshot, chosen.entry.path));
}

/** Walks all folders; false where there are more files than a person can choose from. */
async function walk(
  snapshot: RunSnapshot,
  entries: SnapshotEntries,
  take: (files: SnapshotEntry[]) => boolean,
): Promise<boolean> {
  const folders = [''];
  let files = 0;
  while (folders.length > 0) {
    const lists = await Promise.all(folders.splice(0, atOnce).map((path) => entries.list(snapshot, path)));
    const all = lists.flatMap((list) => list.entries);
    const found = all.filter((entry) => entry.kind !== 'folder');
    files += found.length;
    if (!take(found)) throw new RunyardError('canceled', 'The search was closed.');
    if (files >= mostFiles) return false;
    folders.push(...all.filter((entry) => entry.kind === 'folder').map((entry) => entry.path));
  }
  return true;
}

function fileItem(entry: SnapshotEntry): FileItem {
  const size = entry.kind === 'link' ? `→ ${entry.target ?? ''}` : formatBytes(entry.size);
  return { label: entry.path, description: size, entry };
}
