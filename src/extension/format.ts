import * as vscode from 'vscode';
import type { Run } from '../api/entities.ts';

/** `0.8 s`, `42 s`, `3m 07s`, `2h 05m`, `3d 4h`. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  const two = (n: number) => String(n).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${two(Math.floor(seconds % 60))}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${two(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** How long the run's command has taken, until now for one that runs; undefined before it started. */
export function runDuration(run: Run, now = Date.now()): number | undefined {
  if (run.endedAt !== null) {
    return run.durationMs ?? (run.startedAt === null ? undefined : run.endedAt - run.startedAt);
  }
  return run.startedAt === null ? undefined : Math.max(0, now - run.startedAt);
}

/** `just now`, `5 min ago`, `3 h ago`, `yesterday`, or a date. */
export function formatAgo(time: number, now = Date.now()): string {
  const minutes = Math.floor((now - time) / 60_000);
  if (minutes < 1) return vscode.l10n.t('just now');
  if (minutes < 60) return vscode.l10n.t('{0} min ago', minutes);
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return vscode.l10n.t('{0} h ago', hours);
  const days = Math.floor(hours / 24);
  if (days < 7) return days === 1 ? vscode.l10n.t('yesterday') : vscode.l10n.t('{0} days ago', days);
  return new Date(time).toLocaleDateString();
}

/** `12 B`, `3.4 kB`, `1.2 GB`: decimal, as disks are sold, as the command line and the run page write it. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

/** What a run is called in sentences and titles: its display name, or experiment and number. */
export function runTitle(run: Run): string {
  return run.displayName || `${run.experiment} #${run.number}`;
}
