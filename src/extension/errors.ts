import * as vscode from 'vscode';
import { RunyardError } from '../api/errors.ts';
import type { Log } from './log.ts';

/** A button under an error message. */
export interface Remedy {
  label: string;
  run(): unknown;
}

/** An error that brings its own buttons (Edit Run Configuration, Manage Workspace Trust, ...). */
export class RemedyError extends Error {
  readonly remedies: readonly Remedy[];

  constructor(message: string, remedies: readonly Remedy[], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RemedyError';
    this.remedies = remedies;
  }
}

/** True for what happens when a person has changed their mind: nothing to tell. */
export function isCancellation(error: unknown): boolean {
  return (
    error instanceof vscode.CancellationError || (error instanceof RunyardError && error.code === 'canceled')
  );
}

/** What to show of any caught value: a sentence, and what to do where that is known. */
export function describe(error: unknown): string {
  if (error instanceof RunyardError) return sentence(error.message, error.action);
  if (error instanceof RemedyError) return error.message;
  return vscode.l10n.t('Something unexpected happened. The log tells more.');
}

/** Shows an error with its buttons; the details go to the log. Does not wait for the answer. */
export function showError(what: string, error: unknown, log: Log): void {
  if (isCancellation(error)) return;
  log.error(what, error);
  const remedies: Remedy[] = error instanceof RemedyError ? [...error.remedies] : [];
  const unexpected = !(error instanceof RunyardError || error instanceof RemedyError);
  const server = error instanceof RunyardError && ['internal', 'unavailable'].includes(error.code);
  if (server) {
    const run = () => vscode.commands.executeCommand('runyard.showServerLog');
    remedies.push({ label: vscode.l10n.t('Show Server Log'), run });
  }
  if (unexpected) remedies.push({ label: vscode.l10n.t('Show Log'), run: () => log.show() });
  void vscode.window.showErrorMessage(describe(error), ...remedies.map((r) => r.label)).then((label) => {
    return remedies.find((r) => r.label === label)?.run();
  });
}

function sentence(message: string, action: string | undefined): string {
  const full = /[.!?]$/.test(message) ? message : `${message}.`;
  return action ? `${full} ${action}` : full;
}
