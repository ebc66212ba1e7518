import * as vscode from 'vscode';
import type { Concern } from '../../../api/entities.ts';

/** A dialog that can still be read at once. */
const mostListed = 10;

/** What a person decides about what is not as it should be. */
export type Decision = 'submit' | 'leaveOut' | 'stop';

/** What hinders a snapshot. `leaveOut`: these paths are to be ignored, and it is tried again. */
export async function askAboutRefusals(refused: readonly Concern[]): Promise<Decision> {
  const leaveOut = vscode.l10n.t('Ignore');
  const canBeIgnored = refused.every((concern) => concern.path !== '');
  const answer = await vscode.window.showErrorMessage(
    refused.length === 1
      ? vscode.l10n.t('"{0}" cannot be part of a snapshot.', refused[0]!.path || '.')
      : vscode.l10n.t('{0} paths cannot be part of a snapshot.', refused.length),
    { modal: true, detail: listed(refused) },
    ...(canBeIgnored ? [leaveOut] : []),
  );
  return answer === leaveOut ? 'leaveOut' : 'stop';
}

/** What a snapshot can be taken with, and probably should not. */
export async function askAboutConcerns(concerns: readonly Concern[]): Promise<Decision> {
  const submit = vscode.l10n.t('Submit Anyway');
  const secrets = concerns.filter((concern) => concern.kind === 'secret');
  const leaveOut = secrets.length === 1 ? vscode.l10n.t('Leave It Out') : vscode.l10n.t('Leave Them Out');
  const answer = await vscode.window.showWarningMessage(
    titleOf(concerns, secrets.length),
    { modal: true, detail: listed(concerns) },
    // The first one is what Enter does: nothing is sent by accident.
    ...(secrets.length > 0 ? [leaveOut] : []),
    submit,
  );
  if (answer === submit) return 'submit';
  return answer === leaveOut ? 'leaveOut' : 'stop';
}

function titleOf(concerns: readonly Concern[], secrets: number): string {
  if (secrets === concerns.length) {
    return secrets === 1
      ? vscode.l10n.t('A file looks like a secret, and would be sent with the run.')
      : vscode.l10n.t('{0} files look like secrets, and would be sent with the run.', secrets);
  }
  return concerns.length === 1
    ? vscode.l10n.t('Before this is submitted: the run may not find what it needs.')
    : vscode.l10n.t('Before this is submitted: {0} things to know.', concerns.length);
}

function listed(concerns: readonly Concern[]): string {
  const lines = concerns.slice(0, mostListed).map(({ message, action }) => {
    return [message, action].filter(Boolean).join(' ');
  });
  const more = concerns.length - lines.length;
  if (more > 0) lines.push(vscode.l10n.t('... and {0} more', more));
  return lines.join('\n\n');
}
