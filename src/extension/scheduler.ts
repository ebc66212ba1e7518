import * as vscode from 'vscode';
import type { RunScheduler } from '../api/entities.ts';

/**
 * What a cluster's scheduler says of a run's job: names with values, for a tooltip. Of one that has ended it may have
 * said the last of it a moment before.
 */
export function schedulerLines(scheduler: RunScheduler, isLive: boolean): [string, string][] {
  const { job, state, reason, nodes, partition, timeLimitAt, restarts } = scheduler;
  const shown = reason === null ? state : `${state} (${reason})`;
  const where = [
    `${job}`,
    !isLive ? (nodes ?? '') : nodes ? vscode.l10n.t('{0} on {1}', shown, nodes) : shown,
    partition ? vscode.l10n.t('partition {0}', partition) : '',
  ];
  const lines: [string, string][] = [[vscode.l10n.t('Slurm job'), where.filter(Boolean).join(', ')]];
  const waiting = isLive ? waitingPhrase(scheduler) : '';
  if (waiting) lines.push([vscode.l10n.t('Queue'), waiting]);
  if (isLive && timeLimitAt !== null)
    lines.push([vscode.l10n.t('Time limit'), new Date(timeLimitAt).toLocaleString()]);
  if (restarts > 0)
    lines.push([
      vscode.l10n.t('Requeued'),
      restarts === 1 ? vscode.l10n.t('once') : vscode.l10n.t('{0} times', restarts),
    ]);
  return lines;
}

/** `place 4 in main, priority 4294, expected to start 14:05`; empty for a job that does not wait. */
function waitingPhrase({ state, position, partition, priority, expectedStart }: RunScheduler): string {
  if (state !== 'PENDING') return '';
  const parts = [
    position === null
      ? ''
      : partition
        ? vscode.l10n.t('place {0} in {1}', position, partition)
        : vscode.l10n.t('place {0}', position),
    priority === null ? '' : vscode.l10n.t('priority {0}', priority),
    expectedStart === null
      ? ''
      : vscode.l10n.t('expected to start {0}', new Date(expectedStart).toLocaleString()),
  ];
  return parts.filter(Boolean).join(', ');
}
