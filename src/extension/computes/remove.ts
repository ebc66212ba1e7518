import * as vscode from 'vscode';
import { RunyardError } from '../../api/errors.ts';
import type { Client } from '../../client/client.ts';
import { describe } from '../errors.ts';

/** Asks, and forgets a target; what exists only there is asked about once more. True when it is gone. */
export async function removeCompute(client: Client, name: string, activeRuns: number): Promise<boolean> {
  const remove = vscode.l10n.t('Remove');
  const message = vscode.l10n.t('Remove the compute target "{0}"?', name);
  const detail = vscode.l10n.t('Runyard forgets the host; its files there and the runs of the past stay.');
  if (activeRuns === 0) {
    const answer = await vscode.window.showWarningMessage(message, { modal: true, detail }, remove);
    if (answer !== remove) return false;
  }
  try {
    await client.call('removeCompute', { params: { compute: name } });
    return true;
  } catch (error) {
    if (!(error instanceof RunyardError) || error.code !== 'conflict' || activeRuns > 0) throw error;
    // It has active runs since, or outputs that exist nowhere else. Only the latter can be forced.
    const all = vscode.l10n.t('Remove All the Same');
    const answer = await vscode.window.showWarningMessage(
      vscode.l10n.t('Not everything of "{0}" is in the workspace.', name),
      { modal: true, detail: describe(error) },
      all,
    );
    if (answer !== all) return false;
    await client.call('removeCompute', { params: { compute: name }, query: { force: 'true' } });
    return true;
  }
}
