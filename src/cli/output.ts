import type { Run } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';

/** One JSON document for programs, or lines for people. */
export function print(json: boolean, value: unknown, lines: () => string | string[]): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(value)}\n`);
    return;
  }
  const text = lines();
  const all = Array.isArray(text) ? text : [text];
  if (all.length > 0) process.stdout.write(`${all.join('\n')}\n`);
}

/** Columns as wide as their longest cell; the last one is not padded. */
export function table(head: string[], rows: string[][]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  return all.map((row) =>
    row.map((cell, i) => (i === row.length - 1 ? cell : cell.padEnd(widths[i]!))).join('  '),
  );
}

/** `1 file`, `2,000 files`. */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}

/** `512 bytes`, `1.5 MB`: decimal units, as disks have. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return counted(bytes, 'byte');
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  for (; value >= 999.5 && unit < units.length - 1; unit++) value /= 1000;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
}

export function formatTime(time: number | null): string {
  if (time === null) return '-';
  const date = new Date(time - new Date(time).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 19).replace('T', ' ');
}

export function formatDuration(ms: number | null): string {
  if (ms === null) return '-';
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function runLine(run: Run): string {
  const where = run.hostReachable ? '' : ' (its host cannot be reached)';
  return `${run.id}  ${run.status}${where}${run.statusReason ? `  ${run.statusReason}` : ''}`;
}

/** Says what went wrong and what to do; with `--json` as the API's error body. */
export function printError(error: unknown, json: boolean): void {
  const known =
    error instanceof RunyardError
      ? error
      : new RunyardError('internal', (error as Error).message ?? String(error), { cause: error });
  if (json) printJsonError(known);
  sayError(known.message, known.action);
}

/** What went wrong and what to do, for people. */
export function sayError(message: string, action: string | null | undefined): void {
  process.stderr.write(`runyard: ${message}\n`);
  if (action) process.stderr.write(`         ${action}\n`);
}

export function sayWarnings(warnings: readonly string[]): void {
  for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`);
}

/** The document of a command that failed, for programs. */
export function printJsonError(error: RunyardError): void {
  process.stdout.write(`${JSON.stringify({ error: error.toBody() })}\n`);
}
