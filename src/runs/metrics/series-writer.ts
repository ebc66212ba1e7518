import type { Transaction } from '../../store/writer-loop.ts';
import { concatPoints, decodePoints, encodePoints, slicePoints, type Points } from './points.ts';
import { column, mergeRows, summarise, summariseGroups, width } from './summary.ts';

/**
 * How a series lies in the database. Points are in chunks of `chunkSize`; a chunk keeps a summary row for
 * each `groupSize` points (read when one zooms in) and for each `quarterSize` points; every `blockChunks`
 * full chunks have a block that holds all their quarters (read when one sees the whole). What comes in
 * small portions makes small chunks at the tail, merged so that each point is written about log2 times.
 */
export const chunkSize = 4096;
export const groupSize = 64;
export const quarterSize = 1024;
export const blockChunks = 64;

interface SeriesState {
  id: number;
  count: number;
  nonFinite: number;
  min: number | null;
  max: number | null;
  /** Full chunks so far; they come before all others. */
  full: number;
  /** Chunks that are not full, oldest first. */
  tail: { id: number; count: number }[];
}

/** Series of the runs that are being written; bounded, and dropped when a transaction fails. */
const states = new WeakMap<object, Map<string, SeriesState>>();
const mostStates = 50_000;

function cacheOf(tx: Transaction): Map<string, SeriesState> {
  let cache = states.get(tx.db);
  if (!cache || cache.size > mostStates) states.set(tx.db, (cache = new Map()));
  return cache;
}

/** Forgets what is known about series; needed after anything else than `appendPoints` changed them. */
export function forgetSeries(tx: Transaction): void {
  states.delete(tx.db);
}

/** Notes of which attempt a series is: one of a later attempt takes its place. */
export function markAttempt(tx: Transaction, runSeq: number, name: string, attempt: number): void {
  tx.run(
    'UPDATE series SET attempt = ? WHERE run_seq = ? AND name = ? AND attempt < ?',
    attempt,
    runSeq,
    name,
    attempt,
  );
}

/** How many points the series has; 0 when it is not there yet. A point without a step takes this number. */
export function seriesCount(tx: Transaction, runSeq: number, name: string): number {
  return find(tx, runSeq, name)?.count ?? 0;
}

/** Appends points in their order of arrival; makes the series when it is new. */
export function appendPoints(tx: Transaction, runSeq: number, name: string, points: Points): void {
  const n = points.values.length;
  if (n === 0) return;
  tx.onRollback(() => forgetSeries(tx));
  const state = find(tx, runSeq, name) ?? create(tx, runSeq, name, points.steps[0]!);
  const parts = [points];
  let total = n;
  while (state.tail.length > 0 && state.tail.at(-1)!.count <= total) {
    const { id, count } = state.tail.pop()!;
    const row = tx.get<{ points: Uint8Array }>('SELECT points FROM chunk_points WHERE id = ?', id)!;
    parts.unshift(decodePoints(row.points));
    tx.run('DELETE FROM chunk_points WHERE id = ?', id);
    tx.run('DELETE FROM chunks WHERE id = ?', id);
    total += count;
  }
  const all = concatPoints(parts);
  let at = 0;
  for (; total - at >= chunkSize; at += chunkSize) {
    const chunk = slicePoints(all, at, at + chunkSize);
    const id = insertChunk(tx, state.id, chunk);
    const groups = summariseGroups(chunk, groupSize);
    tx.run('INSERT INTO chunk_groups (id, rows) VALUES (?, ?)', id, bytesOf(groups));
    state.full++;
    if (state.full % blockChunks === 0) insertBlock(tx, state.id, state.full / blockChunks - 1);
  }
  if (at < total) {
    const rest = slicePoints(all, at, total);
    state.tail.push({ id: insertChunk(tx, state.id, rest), count: total - at });
  }
  updateState(tx, state, points);
}

function find(tx: Transaction, runSeq: number, name: string): SeriesState | undefined {
  const cache = cacheOf(tx);
  const key = `${runSeq} ${name}`;
  const known = cache.get(key);
  if (known) return known;
  const row = tx.get<Omit<SeriesState, 'tail' | 'nonFinite'> & { non_finite: number }>(
    'SELECT id, count, non_finite, min, max, full FROM series WHERE run_seq = ? AND name = ?',
    runSeq,
    name,
  );
  if (!row) return undefined;
  const tail = tx.all<{ id: number; count: number }>(
    'SELECT id, count FROM chunks WHERE series_id = ? AND count < ? ORDER BY id',
    row.id,
    chunkSize,
  );
  const { non_finite: nonFinite, ...rest } = row;
  const state = { ...rest, nonFinite, tail };
  cache.set(key, state);
  return state;
}

function create(tx: Transaction, runSeq: number, name: string, firstStep: number): SeriesState {
  const info = tx
    .prepare('INSERT INTO series (run_seq, name, first_step) VALUES (?, ?, ?)')
    .run(runSeq, name, firstStep);
  const state = {
    id: Number(info.lastInsertRowid),
    count: 0,
    nonFinite: 0,
    min: null,
    max: null,
    full: 0,
    tail: [],
  };
  cacheOf(tx).set(`${runSeq} ${name}`, state);
  return state;
}

function insertChunk(tx: Transaction, seriesId: number, points: Points): number {
  const n = points.values.length;
  const quarters = summariseGroups(points, quarterSize);
  const whole = extent(quarters);
  const info = tx
    .prepare(
      `INSERT INTO chunks (series_id, count, step_min, step_max, time_min, time_max, quarters)
       VALUES (?, ?, ?, ?, ?, ?, ?)`,
    )
    .run(seriesId, n, ...whole, bytesOf(quarters));
  const id = Number(info.lastInsertRowid);
  tx.run('INSERT INTO chunk_points (id, points) VALUES (?, ?)', id, encodePoints(points));
  return id;
}

function insertBlock(tx: Transaction, seriesId: number, number: number): void {
  const chunks = tx.all<{ id: number; quarters: Uint8Array }>(
    'SELECT id, quarters FROM chunks WHERE series_id = ? AND count = ? ORDER BY id LIMIT ? OFFSET ?',
    seriesId,
    chunkSize,
    blockChunks,
    number * blockChunks,
  );
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.quarters.byteLength, 0));
  let at = 0;
  for (const { quarters } of chunks) {
    bytes.set(quarters, at);
    at += quarters.byteLength;
  }
  const whole = extent(new Float64Array(bytes.buffer));
  const info = tx
    .prepare(
      `INSERT INTO blocks (series_id, last_chunk, step_min, step_max, time_min, time_max)
       VALUES (?, ?, ?, ?, ?, ?)`,
    )
    .run(seriesId, chunks.at(-1)!.id, ...whole);
  const ids = Float64Array.from(chunks, (chunk) => chunk.id);
  tx.run(
    'INSERT INTO block_rows (id, chunk_ids, quarters) VALUES (?, ?, ?)',
    Number(info.lastInsertRowid),
    bytesOf(ids),
    bytes,
  );
}

/** stepMin, stepMax, timeMin, timeMax over all rows. */
function extent(rows: Float64Array): [number, number, number, number] {
  const whole = rows.slice(0, width);
  for (let row = 1; row < rows.length / width; row++) mergeRows(whole, 0, rows, row);
  return [whole[column.stepMin]!, whole[column.stepMax]!, whole[column.timeMin]!, whole[column.timeMax]!];
}

function updateState(tx: Transaction, state: SeriesState, added: Points): void {
  const n = added.values.length;
  const summary = new Float64Array(width);
  summarise(added, 0, n, summary, 0);
  state.count += n;
  state.nonFinite += summary[column.nonFinite]!;
  const min = summary[column.min]!;
  const max = summary[column.max]!;
  if (!Number.isNaN(min)) {
    state.min = state.min === null ? min : Math.min(state.min, min);
    state.max = state.max === null ? max : Math.max(state.max, max);
  }
  const last = added.values[n - 1]!;
  tx.run(
    `UPDATE series SET count = ?, non_finite = ?, min = ?, max = ?, full = ?,
       last_step = ?, last_time = ?, last_value = ? WHERE id = ?`,
    state.count,
    state.nonFinite,
    state.min,
    state.max,
    state.full,
    added.steps[n - 1]!,
    added.times[n - 1]!,
    // SQLite has no NaN: it would become NULL.
    Number.isNaN(last) ? 'NaN' : last,
    state.id,
  );
}

function bytesOf(rows: Float64Array): Uint8Array {
  return new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength);
}
