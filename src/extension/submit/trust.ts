import * as vscode from 'vscode';
import { RemedyError } from '../errors.ts';

/** Refuses what would execute something of the folder while the folder is not trusted. */
export function requireTrust(): void {
  if (vscode.workspace.isTrusted) return;
  throw new RemedyError(
    vscode.l10n.t(
      'A run executes code of this folder, and this folder is not trusted. Nothing was submitted.',
    ),
    [
      {
        label: vscode.l10n.t('Manage Workspace Trust'),
        run: () => vscode.commands.executeCommand('workbench.trust.manage'),
      },
    ],
  );
}
