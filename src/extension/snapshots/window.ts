import * as vscode from 'vscode';
import type { RunRef } from '../run-ref.ts';
import { parseSnapshotUri, snapshotScheme, snapshotUri } from './address.ts';
import type { RunSnapshot } from './source.ts';

/** Opens a snapshot as the folder of a window. It is named by its run: that is what the window's title says. */
export async function openInNewWindow(snapshot: RunSnapshot): Promise<void> {
  await vscode.commands.executeCommand('vscode.openFolder', snapshotUri(snapshot), { forceNewWindow: true });
}

/** The run whose snapshot is the folder of this window. */
export function runOfWindow(): RunRef | undefined {
  const folder = vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === snapshotScheme);
  const address = folder && parseSnapshotUri(folder.uri);
  return address && { workspace: address.workspace, runId: address.snapshotId };
}
