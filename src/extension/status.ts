import * as vscode from 'vscode';
import type { Run } from '../api/entities.ts';
import { isTerminal, type RunStatus } from '../api/run-status.ts';

/** Status as a shape (codicon) and a colour: the shape alone tells it too. */
const icons: Record<RunStatus, [icon: string, color?: string]> = {
  NotStarted: ['circle-outline', 'disabledForeground'],
  Queued: ['clock', 'charts.blue'],
  Preparing: ['package', 'charts.blue'],
  Starting: ['debug-start', 'charts.blue'],
  Running: ['sync~spin', 'charts.blue'],
  CancelRequested: ['debug-stop', 'charts.orange'],
  NotResponding: ['debug-disconnect', 'charts.yellow'],
  Finalizing: ['archive', 'charts.blue'],
  Completed: ['pass', 'testing.iconPassed'],
  Failed: ['error', 'testing.iconFailed'],
  Canceled: ['circle-slash', 'testing.iconSkipped'],
};

/** The icon of a run's status. */
export function statusIcon(status: RunStatus): vscode.ThemeIcon {
  const [icon, color] = icons[status];
  return new vscode.ThemeIcon(icon, color ? new vscode.ThemeColor(color) : undefined);
}

/** The status as a word for people. */
export function statusWord(status: RunStatus): string {
  switch (status) {
    case 'NotStarted':
      return vscode.l10n.t('Not Started');
    case 'Queued':
      return vscode.l10n.t('Queued');
    case 'Preparing':
      return vscode.l10n.t('Preparing');
    case 'Starting':
      return vscode.l10n.t('Starting');
    case 'Running':
      return vscode.l10n.t('Running');
    case 'CancelRequested':
      return vscode.l10n.t('Canceling');
    case 'NotResponding':
      return vscode.l10n.t('Not Responding');
    case 'Finalizing':
      return vscode.l10n.t('Finalizing');
    case 'Completed':
      return vscode.l10n.t('Completed');
    case 'Failed':
      return vscode.l10n.t('Failed');
    case 'Canceled':
      return vscode.l10n.t('Canceled');
  }
}

/** The part of `viewItem` that menus test: which actions fit a run in this status. */
export function statusContext(run: Run): string {
  if (run.status === 'CancelRequested') return 'run.canceling';
  return isTerminal(run.status) ? `run.${run.status.toLowerCase()}` : 'run.active';
}

/** Whether a run is still on its way. */
export function isActive(run: Run): boolean {
  return !isTerminal(run.status);
}
