import type { MetricValue, MetricWindow } from '../../api/entities.ts';
import type { Statements } from '../../store/database.ts';
import { aligned, decodePoints, type Points } from './points.ts';
import { blockChunks, chunkSize, groupSize, quarterSize } from './series-writer.ts';
import { column, mergeRows, summarise, width } from './summary.ts';

export type Axis = 'step' | 'time';

export interface WindowQuery {
  /** Inclusive bounds on the axis. */
  from: number;
  to: number;
  axis: Axis;
  /** About how many points at most. */
  points: number;
}

interface ChunkRow {
  id: number;
  count: number;
  quarters: Uint8Array;
}

/**
 * Chunks at the window's edges are read whole to be cut exactly. A series whose steps go back and forth
 * all the time has an edge in every chunk: beyond this many, a group of 64 points at an edge counts with
 * those of its extreme points that lie inside.
 */
const mostEdgeChunks = 48;

/**
 * Part of a series at a resolution, in order of arrival. Reads blocks when the window is wide, groups when
 * it is narrower and points when it is narrow, so that the work depends on `points`, not on the series.
 */
export function readWindow(db: Statements, seriesId: number, name: string, query: WindowQuery): MetricWindow {
  // One view of the database for all reads: the writer merges small chunks meanwhile.
  db.db.exec('BEGIN');
  try {
    return read(db, seriesId, name, query);
  } finally {
    db.db.exec('COMMIT');
  }
}

function read(db: Statements, seriesId: number, name: string, query: WindowQuery): MetricWindow {
  const rows = chunksIn(db, seriesId, query);
  const buckets = Math.max(2, Math.floor(query.points / 2));
  const quarters = rows.reduce((sum, row) => sum + Math.ceil(row.count / quarterSize), 0);
  const total = rows.reduce((sum, row) => sum + row.count, 0);
  if (total <= Math.max(query.points, buckets * groupSize)) return exact(db, rows, name, query);
  const units = collectUnits(db, rows, query, quarters >= buckets ? 'quarter' : 'group');
  return fromUnits(units, name, query.points);
}

/** Chunks that overlap the window, in order, with their quarters' summaries. */
function chunksIn(db: Statements, seriesId: number, { from, to, axis }: WindowQuery): ChunkRow[] {
  const found: ChunkRow[] = [];
  let after = 0;
  const blocks = db.all<{ id: number; last_chunk: number; overlap: number }>(
    `SELECT id, last_chunk, ${axis}_max >= ? AND ${axis}_min <= ? AS overlap
     FROM blocks WHERE series_id = ? ORDER BY id`,
    from,
    to,
    seriesId,
  );
  const bytesPerChunk = (chunkSize / quarterSize) * width * 8;
  for (const block of blocks) {
    if (block.overlap) {
      const row = db.get<{ chunk_ids: Uint8Array; quarters: Uint8Array }>(
        'SELECT chunk_ids, quarters FROM block_rows WHERE id = ?',
        block.id,
      )!;
      const ids = aligned(row.chunk_ids);
      for (let i = 0; i < blockChunks; i++) {
        const quarters = row.quarters.subarray(i * bytesPerChunk, (i + 1) * bytesPerChunk);
        if (overlaps(quarters, from, to, axis)) found.push({ id: ids[i]!, count: chunkSize, quarters });
      }
    }
    after = block.last_chunk;
  }
  const rest = db.all<ChunkRow>(
    `SELECT id, count, quarters FROM chunks
     WHERE series_id = ? AND id > ? AND ${axis}_max >= ? AND ${axis}_min <= ? ORDER BY id`,
    seriesId,
    after,
    from,
    to,
  );
  return [...found, ...rest];
}

function overlaps(rows: Uint8Array, from: number, to: number, axis: Axis): boolean {
  const all = aligned(rows);
  for (let at = 0; at < all.length; at += width) {
    const lower = all[at + (axis === 'step' ? column.stepMin : column.timeMin)]!;
    const upper = all[at + (axis === 'step' ? column.stepMax : column.timeMax)]!;
    if (upper >= from && lower <= to) return true;
  }
  return false;
}

/** Summary rows of stretches of the window, in order; none reaches over its edges. */
function collectUnits(
  db: Statements,
  rows: ChunkRow[],
  query: WindowQuery,
  unit: 'quarter' | 'group',
): Float64Array[] {
  const units: Float64Array[] = [];
  let edges = 0;
  for (const chunk of rows) {
    const quarters = aligned(chunk.quarters);
    if (unit === 'quarter' && inside(quarters, query)) {
      units.push(quarters);
      continue;
    }
    const groups = chunk.count === chunkSize ? groupsOf(db, chunk.id) : undefined;
    if (groups && inside(groups, query)) {
      units.push(groups);
    } else if (groups && ++edges > mostEdgeChunks) {
      units.push(clippedGroups(groups, query));
    } else {
      const points = inWindow(pointsOf(db, chunk.id), query);
      if (points.values.length > 0) units.push(everyPoint(points));
    }
  }
  return units;
}

function inside(rows: Float64Array, { from, to, axis }: WindowQuery): boolean {
  const lower = axis === 'step' ? column.stepMin : column.timeMin;
  const upper = axis === 'step' ? column.stepMax : column.timeMax;
  for (let at = 0; at < rows.length; at += width) {
    if (rows[at + lower]! < from || rows[at + upper]! > to) return false;
  }
  return true;
}

/** Rows of groups with what lies outside taken out, as far as their extreme points tell. */
function clippedGroups(groups: Float64Array, query: WindowQuery): Float64Array {
  const kept: Float64Array[] = [];
  const at = query.axis === 'step' ? 1 : 2;
  for (let start = 0; start < groups.length; start += width) {
    const row = groups.slice(start, start + width);
    if (inside(row, query)) {
      kept.push(row);
      continue;
    }
    const within = (point: number) => row[point + at]! >= query.from && row[point + at]! <= query.to;
    const points = [column.min, column.max].filter(within);
    if (points.length === 0) continue;
    for (const [target, source] of [
      [column.min, points[0]!],
      [column.max, points.at(-1)!],
    ] as const) {
      for (let i = 0; i < 3; i++) row[target + i] = row[source + i]!;
    }
    if (!within(column.nonFiniteValue)) row[column.nonFinite] = 0;
    row[column.count] = points.length;
    kept.push(row);
  }
  return concatRows(kept);
}

function exact(db: Statements, rows: ChunkRow[], name: string, query: WindowQuery): MetricWindow {
  const units: Float64Array[] = [];
  const parts: Points[] = [];
  let total = 0;
  for (const chunk of rows) {
    const points = inWindow(pointsOf(db, chunk.id), query);
    parts.push(points);
    total += points.values.length;
  }
  if (total > query.points) {
    for (const points of parts) if (points.values.length > 0) units.push(everyPoint(points));
    return fromUnits(units, name, query.points);
  }
  const window: MetricWindow = { name, total, sampled: false, steps: [], times: [], values: [] };
  for (const points of parts) {
    for (let i = 0; i < points.values.length; i++) {
      add(window, points.steps[i]!, points.times[i]!, points.values[i]!);
    }
  }
  return window;
}

/** Merges neighbouring units into as many buckets as wanted; each gives its extreme points. */
function fromUnits(units: Float64Array[], name: string, points: number): MetricWindow {
  const rows = concatRows(units);
  const n = rows.length / width;
  const buckets = Math.min(n, Math.max(2, Math.floor(points / 2)));
  const window: MetricWindow = { name, total: 0, sampled: true, steps: [], times: [], values: [] };
  const bucket = new Float64Array(width);
  for (let b = 0; b < buckets; b++) {
    const start = Math.floor((b * n) / buckets);
    const end = Math.floor(((b + 1) * n) / buckets);
    bucket.set(rows.subarray(start * width, (start + 1) * width));
    for (let row = start + 1; row < end; row++) mergeRows(bucket, 0, rows, row);
    window.total += bucket[column.count]!;
    emit(window, bucket);
  }
  return window;
}

/** A bucket's minimum, maximum and one non-finite point, each once, in the order of their steps. */
function emit(window: MetricWindow, row: Float64Array): void {
  const candidates: number[] = [];
  if (!Number.isNaN(row[column.min]!)) {
    candidates.push(column.min);
    const same = row[column.minStep] === row[column.maxStep] && row[column.minTime] === row[column.maxTime];
    if (!same || row[column.min] !== row[column.max]) candidates.push(column.max);
  }
  if (row[column.nonFinite]! > 0) candidates.push(column.nonFiniteValue);
  candidates.sort((a, b) => row[a + 1]! - row[b + 1]! || row[a + 2]! - row[b + 2]!);
  for (const at of candidates) add(window, row[at + 1]!, row[at + 2]!, row[at]!);
}

function add(window: MetricWindow, step: number, time: number, value: number): void {
  window.steps.push(step);
  window.times.push(time);
  window.values.push(toMetricValue(value));
}

export function toMetricValue(value: number): MetricValue {
  if (Number.isFinite(value)) return value;
  return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
}

function pointsOf(db: Statements, chunkId: number): Points {
  return decodePoints(
    db.get<{ points: Uint8Array }>('SELECT points FROM chunk_points WHERE id = ?', chunkId)!.points,
  );
}

function groupsOf(db: Statements, chunkId: number): Float64Array {
  return aligned(db.get<{ rows: Uint8Array }>('SELECT rows FROM chunk_groups WHERE id = ?', chunkId)!.rows);
}

function inWindow(points: Points, { from, to, axis }: WindowQuery): Points {
  const positions = axis === 'step' ? points.steps : points.times;
  const n = positions.length;
  let inside = 0;
  for (let i = 0; i < n; i++) if (positions[i]! >= from && positions[i]! <= to) inside++;
  if (inside === n) return points;
  const kept = {
    steps: new Float64Array(inside),
    times: new Float64Array(inside),
    values: new Float64Array(inside),
  };
  let at = 0;
  for (let i = 0; i < n; i++) {
    if (positions[i]! < from || positions[i]! > to) continue;
    kept.steps[at] = points.steps[i]!;
    kept.times[at] = points.times[i]!;
    kept.values[at++] = points.values[i]!;
  }
  return kept;
}

/** One row for each point: what is at an edge is merged with the same code as what is not. */
function everyPoint(points: Points): Float64Array {
  const rows = new Float64Array(points.values.length * width);
  for (let i = 0; i < points.values.length; i++) summarise(points, i, i + 1, rows, i);
  return rows;
}

function concatRows(parts: Float64Array[]): Float64Array {
  const rows = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    rows.set(part, at);
    at += part.length;
  }
  return rows;
}
