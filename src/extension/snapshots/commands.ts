import * as vscode from 'vscode';
import type { RunPicker } from '../activity/pick.ts';
import type { Command } from '../commands.ts';
import type { Connection } from '../connection.ts';
import { downloadZip } from '../files/download.ts';
import { isRunRef } from '../run-ref.ts';
import type { SnapshotEntries } from './entries.ts';
import { findFile } from './find-file.ts';
import { restoreSnapshot } from './restore.ts';
import { searchSnapshot } from './search.ts';
import { type RunSnapshot, snapshotOfRun } from './source.ts';
import type { SnapshotView } from './view.ts';
import { openInNewWindow, runOfWindow } from './window.ts';

export interface SnapshotCommandsContext {
  connection: Connection;
  picker: RunPicker;
  entries: SnapshotEntries;
  view: SnapshotView;
}

/** What can be done with one snapshot, from a run, its page, the *Snapshot* view and the palette. */
export function snapshotCommands(context: SnapshotCommandsContext): Command[] {
  const { connection, entries, view } = context;
  return [
    {
      id: 'runyard.openSnapshot',
      async run(...args) {
        const [ref] = await context.picker.resolve(args, vscode.l10n.t('The run whose snapshot to open'));
        if (ref) await view.open(await snapshotOfRun(connection, ref));
      },
    },
    { id: 'runyard.closeSnapshot', run: () => view.close() },
    {
      id: 'runyard.openSnapshotInNewWindow',
      async run(...args) {
        const snapshot = await meant(context, args, vscode.l10n.t('The run whose snapshot to open'));
        if (snapshot) await openInNewWindow(snapshot);
      },
    },
    {
      id: 'runyard.findSnapshotFile',
      async run(...args) {
        const snapshot = await meant(context, args, vscode.l10n.t('The run whose files to look for'));
        if (snapshot) await findFile(snapshot, entries);
      },
    },
    {
      id: 'runyard.searchSnapshot',
      async run(...args) {
        const snapshot = await meant(context, args, vscode.l10n.t('The run whose files to search'));
        if (snapshot) await searchSnapshot(snapshot, connection);
      },
    },
    {
      id: 'runyard.restoreSnapshot',
      async run(...args) {
        const snapshot = await meant(context, args, vscode.l10n.t('The run whose snapshot to restore'));
        if (snapshot) await restoreSnapshot(snapshot, connection);
      },
    },
    {
      id: 'runyard.downloadSnapshot',
      async run(...args) {
        const snapshot = await meant(context, args, vscode.l10n.t('The run whose snapshot to download'));
        if (snapshot) await download(snapshot, connection);
      },
    },
  ];
}

/** The snapshot that a command means: of the run it was called with, the one that is shown, or a question's. */
export async function meant(
  { connection, picker, view }: Omit<SnapshotCommandsContext, 'entries'>,
  args: unknown[],
  placeHolder: string,
): Promise<RunSnapshot | undefined> {
  const named = isRunRef(args[0]);
  if (!named && view.visible && view.shown) return view.shown;
  const window = named ? undefined : runOfWindow();
  const [ref] = window ? [window] : await picker.resolve(args, placeHolder);
  return ref && snapshotOfRun(connection, ref);
}

async function download(snapshot: RunSnapshot, connection: Connection): Promise<void> {
  await downloadZip({
    name: `${snapshot.title.replace(/[^\p{L}\p{N}._-]+/gu, '-')}-snapshot`,
    title: vscode.l10n.t('Download Snapshot: the files as they were submitted'),
    async open(signal) {
      const client = await connection.client();
      const params = { workspace: snapshot.workspace, snapshot: snapshot.snapshotId };
      return client.stream('downloadSnapshot', { params, signal });
    },
  });
}
