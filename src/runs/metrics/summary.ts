import type { Points } from './points.ts';

/**
 * What is kept of a stretch of points so that a spike is never lost: its extent, its extreme points (real
 * points, with step and time), and one non-finite point. A row of 15 doubles.
 */
export const width = 15;

/** Columns of a summary row. */
export const column = {
  count: 0,
  stepMin: 1,
  stepMax: 2,
  timeMin: 3,
  timeMax: 4,
  /** NaN when the stretch has no finite value; so are the other five of the extreme points. */
  min: 5,
  minStep: 6,
  minTime: 7,
  max: 8,
  maxStep: 9,
  maxTime: 10,
  /** How many points are not finite, and one of them. */
  nonFinite: 11,
  nonFiniteValue: 12,
  nonFiniteStep: 13,
  nonFiniteTime: 14,
} as const;

/** Summarises points from..to into row `row` of `into`. */
export function summarise(points: Points, from: number, to: number, into: Float64Array, row: number): void {
  const { steps, times, values } = points;
  let stepMin = Infinity;
  let stepMax = -Infinity;
  let timeMin = Infinity;
  let timeMax = -Infinity;
  let min = Infinity;
  let max = -Infinity;
  let minAt = -1;
  let maxAt = -1;
  let nonFinite = 0;
  let nonFiniteAt = -1;
  for (let i = from; i < to; i++) {
    const step = steps[i]!;
    const time = times[i]!;
    const value = values[i]!;
    if (step < stepMin) stepMin = step;
    if (step > stepMax) stepMax = step;
    if (time < timeMin) timeMin = time;
    if (time > timeMax) timeMax = time;
    if (value - value !== 0) {
      nonFinite++;
      if (nonFiniteAt < 0) nonFiniteAt = i;
      continue;
    }
    if (value < min) {
      min = value;
      minAt = i;
    }
    if (value > max) {
      max = value;
      maxAt = i;
    }
  }
  const at = row * width;
  into[at + column.count] = to - from;
  into[at + column.stepMin] = stepMin;
  into[at + column.stepMax] = stepMax;
  into[at + column.timeMin] = timeMin;
  into[at + column.timeMax] = timeMax;
  into[at + column.min] = minAt < 0 ? NaN : min;
  into[at + column.minStep] = minAt < 0 ? NaN : steps[minAt]!;
  into[at + column.minTime] = minAt < 0 ? NaN : times[minAt]!;
  into[at + column.max] = maxAt < 0 ? NaN : max;
  into[at + column.maxStep] = maxAt < 0 ? NaN : steps[maxAt]!;
  into[at + column.maxTime] = maxAt < 0 ? NaN : times[maxAt]!;
  into[at + column.nonFinite] = nonFinite;
  into[at + column.nonFiniteValue] = nonFiniteAt < 0 ? NaN : values[nonFiniteAt]!;
  into[at + column.nonFiniteStep] = nonFiniteAt < 0 ? NaN : steps[nonFiniteAt]!;
  into[at + column.nonFiniteTime] = nonFiniteAt < 0 ? NaN : times[nonFiniteAt]!;
}

/** Merges row `b` into row `a` (both of `rows`). */
export function mergeRows(rows: Float64Array, a: number, from: Float64Array, b: number): void {
  const x = a * width;
  const y = b * width;
  rows[x]! += from[y]!;
  for (const lower of [column.stepMin, column.timeMin]) {
    if (from[y + lower]! < rows[x + lower]!) rows[x + lower] = from[y + lower]!;
  }
  for (const upper of [column.stepMax, column.timeMax]) {
    if (from[y + upper]! > rows[x + upper]!) rows[x + upper] = from[y + upper]!;
  }
  const noMin = Number.isNaN(rows[x + column.min]!);
  if (!Number.isNaN(from[y + column.min]!)) {
    if (noMin || from[y + column.min]! < rows[x + column.min]!) copy(rows, x, from, y, column.min);
    if (noMin || from[y + column.max]! > rows[x + column.max]!) copy(rows, x, from, y, column.max);
  }
  if (rows[x + column.nonFinite] === 0 && from[y + column.nonFinite]! > 0) {
    copy(rows, x, from, y, column.nonFiniteValue);
  }
  rows[x + column.nonFinite]! += from[y + column.nonFinite]!;
}

/** Copies a point: value, step, time. */
function copy(to: Float64Array, x: number, from: Float64Array, y: number, first: number): void {
  for (let i = first; i < first + 3; i++) to[x + i] = from[y + i]!;
}

/** One row for each `size` points (the last may have fewer). */
export function summariseGroups(points: Points, size: number): Float64Array {
  const n = points.values.length;
  const groups = Math.ceil(n / size);
  const rows = new Float64Array(groups * width);
  for (let g = 0; g < groups; g++) summarise(points, g * size, Math.min(n, (g + 1) * size), rows, g);
  return rows;
}
