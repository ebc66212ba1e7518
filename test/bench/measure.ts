import { readFileSync } from 'node:fs';

/** One row of docs/performance.md. */
export interface Figure {
  what: string;
  /** What was measured, and what it was measured against in the same run. */
  measured: string;
  reference: string;
  limit: string;
  reached: boolean;
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** Resident memory of a process in MB (10^6 bytes); Linux. */
export function residentMegabytes(pid: number): number {
  const pages = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return (Number(pages?.[1] ?? NaN) * 1024) / 1e6;
}

export function ms(value: number): string {
  return `${value < 10 ? value.toFixed(2) : value.toFixed(0)} ms`;
}
