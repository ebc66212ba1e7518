import * as vscode from 'vscode';
import { type RunPicker, runItem } from '../activity/pick.ts';
import type { Command } from '../commands.ts';
import type { Connection } from '../connection.ts';
import { isRunRef } from '../run-ref.ts';
import { meant } from '../snapshots/commands.ts';
import { type RunSnapshot, snapshotOfRun } from '../snapshots/source.ts';
import type { SnapshotView } from '../snapshots/view.ts';
import type { ComparisonView } from './view.ts';

export interface ComparisonCommandsContext {
  connection: Connection;
  picker: RunPicker;
  /** The snapshot that is open is compared where no run is named. */
  view: SnapshotView;
  comparison: ComparisonView;
}

/** What compares snapshots. */
export function comparisonCommands(context: ComparisonCommandsContext): Command[] {
  const { connection, comparison } = context;
  return [
    {
      id: 'runyard.compareWithFolder',
      async run(...args) {
        const left = await meant(context, args, vscode.l10n.t('The run to compare with its folder'));
        const folder = left && (await folderOf(left));
        if (folder) await comparison.compare({ left, right: { folder } });
      },
    },
    {
      id: 'runyard.compareWithRun',
      async run(...args) {
        const sides = (await selectedTwo(connection, args)) ?? (await askForSides(context, args));
        if (!sides) return;
        const [left, right] = sides.sort((a, b) => a.createdAt - b.createdAt);
        await comparison.compare({ left: left!, right: right! });
      },
    },
    { id: 'runyard.openAllChanges', run: () => comparison.openAll() },
    { id: 'runyard.refreshComparison', progress: 'runyard.comparison', run: () => comparison.refresh() },
    { id: 'runyard.closeComparison', run: () => comparison.close() },
  ];
}

/** The folder that a snapshot was taken of; when it is not there a person says which one is meant. */
async function folderOf(snapshot: RunSnapshot): Promise<string | undefined> {
  const source = snapshot.sourceDirectory;
  if (source && (await isFolder(vscode.Uri.file(source)))) return source;
  const title = source
    ? vscode.l10n.t('"{0}" is not there. The folder to compare with', source)
    : vscode.l10n.t('The folder to compare with');
  const [picked] =
    (await vscode.window.showOpenDialog({
      canSelectFiles: false,
      canSelectFolders: true,
      openLabel: vscode.l10n.t('Compare'),
      title,
    })) ?? [];
  return picked?.fsPath;
}

async function isFolder(uri: vscode.Uri): Promise<boolean> {
  try {
    const { type } = await vscode.workspace.fs.stat(uri);
    return (type & vscode.FileType.Directory) !== 0;
  } catch {
    return false;
  }
}

/** The two runs that are selected in the tree, where it is two. */
async function selectedTwo(connection: Connection, args: unknown[]): Promise<RunSnapshot[] | undefined> {
  const selected = Array.isArray(args[1]) ? args[1].filter(isRunRef) : [];
  if (selected.length !== 2) return undefined;
  return Promise.all(selected.map((ref) => snapshotOfRun(connection, ref)));
}

async function askForSides(
  context: ComparisonCommandsContext,
  args: unknown[],
): Promise<RunSnapshot[] | undefined> {
  const { connection } = context;
  const one = await meant(context, args.slice(0, 1), vscode.l10n.t('The run to compare'));
  if (!one) return undefined;
  const { workspace } = one;
  const client = await connection.client();
  const { runs } = await client.call('listRuns', { params: { workspace }, query: { limit: 500 } });
  const items = runs
    .filter((run) => run.snapshotId && run.id !== one.runId)
    .map((run) => {
      const item = runItem(workspace, run);
      if (run.snapshotId !== one.contentId) return item;
      return { ...item, description: `${item.description} · ${vscode.l10n.t('same snapshot')}` };
    });
  const picked = await vscode.window.showQuickPick(items, {
    title: vscode.l10n.t('Compare {0} with', one.title),
    placeHolder: vscode.l10n.t('The run to compare with'),
    matchOnDescription: true,
  });
  return picked && [one, await snapshotOfRun(connection, picked)];
}
