import { RunyardError } from '../api/errors.ts';
import { MetricLineReader, type MetricSink } from '../protocol/metric-lines.ts';
import { metricNumber, parseJournalLine, type JournalRecord } from '../protocol/journal.ts';
import { attemptEventSchema, monitorRecordSchema } from '../protocol/messages.ts';
import type { Transaction } from '../store/writer-loop.ts';
import { applyAttemptEvent } from './lifecycle.ts';
import { GrowingPoints, type Points } from './metrics/points.ts';
import { appendPoints, markAttempt, seriesCount } from './metrics/series-writer.ts';
import { supersede } from './metrics/supersede.ts';
import { nameOfAttempt } from './attempt-names.ts';

export interface IngestArgs {
  run: string;
  attempt: number;
  /** `journal/x.jsonl`, `events.jsonl`, `monitor.jsonl`. */
  file: string;
  generation: string;
  offset: number;
  bytes: Uint8Array;
  /** The file has ended: what is left without a newline is a line too. */
  last?: boolean;
}

/**
 * Other capabilities' interest in what scripts log beside metrics. A consumer is called in the transaction
 * that stores the record and the new offset, so it sees each record exactly once.
 */
export type JournalConsumer = (
  tx: Transaction,
  run: { seq: number; id: string },
  record: JournalRecord,
) => void;

interface Pending {
  generation: string;
  offset: number;
  bytes: Uint8Array;
}

/** Beginnings of lines whose end has not come yet, by run, attempt and file. */
const pending = new Map<string, Pending>();
/** A longer line is given up. */
const longestLine = 64 * 1024 * 1024;
const newline = 10;

/**
 * Takes bytes of a `.jsonl` file of an attempt: what the lines say and the new offset go into one
 * transaction, so that nothing is lost or counted twice whatever dies when. Throws `conflict` when bytes
 * between the stored offset and these are missing; the watch is then taken up again.
 */
export function ingest(tx: Transaction, args: IngestArgs, consumers: readonly JournalConsumer[] = []): void {
  const run = tx.get<{ seq: number; id: string }>('SELECT seq, id FROM runs WHERE id = ?', args.run);
  // The run was deleted meanwhile.
  if (!run) return;
  const key = `${run.seq}/${args.attempt}/${args.file}`;
  const fresh = unseen(tx, run.seq, args, key);
  if (!fresh) return;
  const { start, bytes } = fresh;
  const end = args.last ? bytes.length : bytes.lastIndexOf(newline) + 1;
  const rest = bytes.subarray(end);
  tx.onRollback(() => pending.delete(key));
  if (rest.length > longestLine) {
    countBadLines(tx, run.seq, 1, `${args.file}: a line of more than ${longestLine} bytes`);
    pending.delete(key);
    moveCursor(tx, run.seq, args, start + bytes.length);
    return;
  }
  if (rest.length > 0) pending.set(key, { generation: args.generation, offset: start + end, bytes: rest });
  else pending.delete(key);
  if (end === 0) return;
  const whole = bytes.subarray(0, end);
  if (args.file === 'events.jsonl') ingestEvents(tx, run, args.attempt, linesOf(whole));
  else if (args.file === 'monitor.jsonl') ingestMonitor(tx, run.seq, args.attempt, linesOf(whole));
  else ingestJournal(tx, run, args, whole, consumers);
  moveCursor(tx, run.seq, args, start + end);
}

/** The bytes from the stored offset on, with the beginning of their first line; undefined when none are new. */
function unseen(
  tx: Transaction,
  seq: number,
  args: IngestArgs,
  key: string,
): { start: number; bytes: Uint8Array } | undefined {
  const cursor = tx.get<{ generation: string; offset: number }>(
    'SELECT generation, offset FROM cursors WHERE run_seq = ? AND attempt = ? AND file = ?',
    seq,
    args.attempt,
    args.file,
  );
  const stored = cursor?.generation === args.generation ? cursor.offset : 0;
  const begun = pending.get(key);
  if (begun?.generation === args.generation && begun.offset === stored) {
    const had = begun.offset + begun.bytes.length;
    if (args.offset <= had && args.offset + args.bytes.length >= had) {
      const added = args.bytes.subarray(had - args.offset);
      if (added.length === 0 && !args.last) return undefined;
      const bytes = new Uint8Array(begun.bytes.length + added.length);
      bytes.set(begun.bytes);
      bytes.set(added, begun.bytes.length);
      return { start: stored, bytes };
    }
  }
  const end = args.offset + args.bytes.length;
  if (end <= stored) return undefined;
  if (args.offset > stored) {
    throw new RunyardError('conflict', `${args.file}: bytes ${stored} to ${args.offset} did not come.`);
  }
  return { start: stored, bytes: args.bytes.subarray(stored - args.offset) };
}

function moveCursor(tx: Transaction, seq: number, args: IngestArgs, offset: number): void {
  tx.run(
    `INSERT INTO cursors (run_seq, attempt, file, generation, offset) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT DO UPDATE SET generation = excluded.generation, offset = excluded.offset`,
    seq,
    args.attempt,
    args.file,
    args.generation,
    offset,
  );
}

function ingestEvents(
  tx: Transaction,
  run: { seq: number; id: string },
  attempt: number,
  lines: string[],
): void {
  for (const line of lines) {
    if (line.trim() === '') continue;
    const parsed = attemptEventSchema.safeParse(tryJson(line));
    if (parsed.success) applyAttemptEvent(tx, run.id, attempt, parsed.data);
    else countBadLines(tx, run.seq, 1, `events.jsonl: ${line.slice(0, 120)}`);
  }
}

function ingestMonitor(tx: Transaction, seq: number, attempt: number, lines: string[]): void {
  for (const line of lines) {
    const parsed = monitorRecordSchema.safeParse(tryJson(line));
    if (!parsed.success) continue;
    tx.run(
      'INSERT OR IGNORE INTO monitor (run_seq, attempt, number, sample) VALUES (?, ?, ?, ?)',
      seq,
      attempt,
      parsed.data.n,
      line,
    );
  }
}

/** Points of the series that the lines of one portion speak of. */
class PointsByName implements MetricSink {
  readonly names: string[] = [];
  private readonly slots = new Map<string, number>();
  private readonly points: GrowingPoints[] = [];
  /** Points each series had before: a point without a step takes its place in the series. */
  private readonly before: (number | undefined)[] = [];
  private readonly countBefore: (name: string) => number;
  private readonly begins: ((name: string, step: number | undefined) => void) | undefined;

  /** `begins` is called before the first point of each series. */
  constructor(
    countBefore: (name: string) => number,
    begins?: (name: string, step: number | undefined) => void,
  ) {
    this.countBefore = countBefore;
    this.begins = begins;
  }

  slotOf(name: string): number {
    let slot = this.slots.get(name);
    if (slot === undefined) {
      slot = this.names.push(name) - 1;
      this.slots.set(name, slot);
      this.points.push(new GrowingPoints());
    }
    return slot;
  }

  add(slot: number, step: number | undefined, time: number, value: number): void {
    const points = this.points[slot]!;
    if (this.begins && points.length === 0) this.begins(this.names[slot]!, step);
    const place = step ?? (this.before[slot] ??= this.countBefore(this.names[slot]!)) + points.length;
    points.push(place, time, value);
  }

  *[Symbol.iterator](): Generator<[string, Points]> {
    for (const [slot, name] of this.names.entries()) {
      const points = this.points[slot]!;
      if (points.length > 0) yield [name, points.toPoints()];
    }
  }
}

function ingestJournal(
  tx: Transaction,
  run: { seq: number; id: string },
  { file, attempt }: Pick<IngestArgs, 'file' | 'attempt'>,
  bytes: Uint8Array,
  consumers: readonly JournalConsumer[],
): void {
  // Nearly every run has one attempt only.
  const begins = (name: string, step: number | undefined) => supersede(tx, run.seq, name, attempt, step);
  const metrics = new PointsByName(
    (name) => seriesCount(tx, run.seq, name),
    attempt > 1 ? begins : undefined,
  );
  const reader = new MetricLineReader(metrics);
  let bad = 0;
  let badReason = '';
  let details = false;
  for (let start = 0, end; start < bytes.length; start = end + 1) {
    end = bytes.indexOf(newline, start);
    if (end < 0) end = bytes.length;
    if (end === start || reader.read(bytes, start, end)) continue;
    const line = Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
    if (line.trim() === '') continue;
    const { record, bad: problem } = parseJournalLine(line);
    const refused = problem ?? (hasMore(record) ? storeValues(tx, run.seq, attempt, record) : undefined);
    if (record === undefined || refused !== undefined) {
      bad++;
      badReason ||= refused ?? '';
      continue;
    }
    for (const name in record.m) {
      metrics.add(metrics.slotOf(name), record.s, record.t, metricNumber(record.m[name]!));
    }
    if (hasMore(record)) details = true;
    for (const consumer of consumers) consumer(tx, run, record);
  }
  for (const [name, points] of metrics) {
    appendPoints(tx, run.seq, name, points);
    if (attempt > 1) markAttempt(tx, run.seq, name, attempt);
  }
  if (bad > 0) countBadLines(tx, run.seq, bad, `${file}: ${badReason}`);
  if (metrics.names.length > 0) tx.hint({ type: 'metrics', runId: run.id, names: metrics.names });
  if (details || bad > 0) tx.hint({ type: 'details', runId: run.id });
}

function linesOf(bytes: Uint8Array): string[] {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8').split('\n');
}

function hasMore(record: JournalRecord): boolean {
  return !!(
    record.tags ||
    record.params ||
    record.properties ||
    record.document ||
    record.image ||
    record.artifact
  );
}

/** Everything of a record but its metrics; the reason when it is refused (then nothing is stored). */
function storeValues(
  tx: Transaction,
  seq: number,
  attempt: number,
  record: JournalRecord,
): string | undefined {
  for (const [kind, values] of [
    ['parameter', record.params],
    ['property', record.properties],
  ] as const) {
    for (const [name, value] of Object.entries(values ?? {})) {
      const known = tx.get<{ value: string; attempt: number }>(
        'SELECT value, attempt FROM run_values WHERE run_seq = ? AND kind = ? AND name = ?',
        seq,
        kind,
        name,
      );
      // What another attempt has drawn anew counts from then on.
      if (known && known.attempt >= attempt && known.value !== value) {
        return `the ${kind} "${name}" has the value "${known.value.slice(0, 80)}" already and cannot become "${value.slice(0, 80)}"`;
      }
    }
  }
  const put = (kind: string, values: Record<string, string> = {}) => {
    for (const [name, value] of Object.entries(values)) {
      tx.run(
        `INSERT INTO run_values (run_seq, kind, name, value, attempt) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET value = excluded.value, attempt = excluded.attempt
         WHERE excluded.attempt >= attempt`,
        seq,
        kind,
        name,
        value,
        attempt,
      );
    }
  };
  put('parameter', record.params);
  put('property', record.properties);
  put('tag', record.tags);
  const { document, image, t } = record;
  const setAside = (table: 'documents' | 'images', name: string) => {
    if (attempt === 1) return;
    for (let before = 1; before < attempt; before++) {
      tx.run(
        `UPDATE ${table} SET name = ? WHERE run_seq = ? AND name = ? AND attempt = ?`,
        nameOfAttempt(before, name),
        seq,
        name,
        before,
      );
    }
  };
  if (document) {
    setAside('documents', document.name);
    tx.run(
      'INSERT INTO documents (run_seq, attempt, type, name, step, time, value) VALUES (?, ?, ?, ?, ?, ?, ?)',
      seq,
      attempt,
      document.type,
      document.name,
      document.s ?? record.s ?? null,
      Math.round(t),
      JSON.stringify(document.value),
    );
  }
  if (image) {
    setAside('images', image.name);
    tx.run(
      'INSERT INTO images (run_seq, attempt, name, path, step, time) VALUES (?, ?, ?, ?, ?, ?)',
      seq,
      attempt,
      image.name,
      image.path,
      image.s ?? record.s ?? null,
      Math.round(t),
    );
  }
  return undefined;
}

function countBadLines(tx: Transaction, seq: number, count: number, reason: string): void {
  tx.run(
    'UPDATE runs SET bad_lines = bad_lines + ?, bad_reason = coalesce(bad_reason, ?) WHERE seq = ?',
    count,
    reason,
    seq,
  );
}

function tryJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
