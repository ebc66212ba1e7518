import type { MetricValue } from '../../src/api/entities.ts';
import { t } from './l10n.ts';

/** A metric's value with as many digits as one can take in. */
export function formatValue(value: MetricValue | null | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return value;
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString();
  const size = Math.abs(value);
  if (size >= 1e6 || (size < 1e-4 && size > 0)) return value.toExponential(3);
  return String(Number(value.toPrecision(5)));
}

/** Short enough for the tick of an axis: `1.2k`, `3M`, `1e-5`. */
export function formatTick(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9 || (size < 1e-3 && size > 0)) return value.toExponential(1).replace('.0e', 'e');
  if (size >= 1e6) return `${trim(value / 1e6)}M`;
  if (size >= 1e4) return `${trim(value / 1e3)}k`;
  return trim(value);
}

/** `12 B`, `3.4 kB`, `1.2 GB`: decimal, as disks are sold. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

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

/** `just now`, `5 min ago`, `3 h ago`, `yesterday`, or a date. */
export function formatAgo(time: number, now = Date.now()): string {
  const minutes = Math.floor((now - time) / 60_000);
  if (minutes < 1) return t('just now');
  if (minutes < 60) return t('{0} min ago', minutes);
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return t('{0} h ago', hours);
  const days = Math.floor(hours / 24);
  if (days < 7) return days === 1 ? t('yesterday') : t('{0} days ago', days);
  return new Date(time).toLocaleDateString();
}

/** A time on an axis: `30s`, `5m`, `1h 20m`. */
export function formatElapsed(seconds: number): string {
  if (seconds < 60) return `${Number(seconds.toFixed(1))}s`;
  const minutes = Math.floor(seconds / 60);
  const rest = Math.round(seconds % 60);
  if (minutes < 60) return rest ? `${minutes}m ${rest}s` : `${minutes}m`;
  return minutes % 60 ? `${Math.floor(minutes / 60)}h ${minutes % 60}m` : `${minutes / 60}h`;
}

/** The unit in which bytes up to `largest` read well. */
export function byteUnit(largest: number): { unit: string; size: number } {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(largest || 1) / 3)));
  return { unit: units[power]!, size: 1000 ** power };
}

/** Date and time in the reader's own way. */
export function formatTime(time: number): string {
  return new Date(time).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
}

/** Time of day only. */
export function formatClock(time: number): string {
  return new Date(time).toLocaleTimeString();
}

function trim(value: number): string {
  return String(Number(value.toPrecision(3)));
}
