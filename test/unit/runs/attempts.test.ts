import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { AttemptEvent, AttemptStatus } from '../../../src/protocol/messages.ts';
import { openForWriting, Statements } from '../../../src/store/database.ts';
import { storeMigrations, type Transaction } from '../../../src/store/writer-loop.ts';
import { ingest } from '../../../src/runs/ingest.ts';
import { runMigrations } from '../../../src/runs/migrations.ts';
import * as queries from '../../../src/runs/queries.ts';
import { readWindow } from '../../../src/runs/metrics/window.ts';
import { runWrites } from '../../../src/runs/writes.ts';

const dir = mkdtempSync(path.join(os.tmpdir(), 'runyard-attempts-'));
const db = openForWriting(path.join(dir, 'a.db'), [storeMigrations, runMigrations]);
const tx = Object.assign(new Statements(db), {
  emit() {},
  hint() {},
  onRollback() {},
}) as unknown as Transaction;
db.exec(`INSERT INTO experiments (id, name, created_at) VALUES (1, 'e', 0)`);
after(() => {
  db.close();
  rmSync(dir, { recursive: true });
});
const writes = runWrites();

let nextRun = 1;
function newRun(): { seq: number; id: string } {
  const seq = nextRun++;
  const id = `run-${seq}`;
  db.exec(`INSERT INTO runs (seq, id, experiment_id, number, display_name, status, compute, script, created_at,
    source_directory, configuration, launch, status_reason)
    VALUES (${seq}, '${id}', 1, ${seq}, 'r', 'Running', 'c', 's', 0, '/', '{}', '{}', '')`);
  db.exec(`INSERT INTO attempts (run_seq, number, created_at) VALUES (${seq}, 1, 0)`);
  return { seq, id };
}

function say(run: string, attempt: number, file: string, lines: object[], offset = 0): number {
  const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  ingest(tx, { run, attempt, file, generation: 'g', offset, bytes });
  return offset + bytes.length;
}

const event = (n: number, state: AttemptEvent['state'], more: Partial<AttemptEvent> = {}): AttemptEvent => ({
  n,
  t: 1000 * n,
  state,
  reason: state,
  ...more,
});

function points(seq: number, name: string): { steps: number[]; values: unknown[] } | undefined {
  const id = queries.seriesIds(tx, seq, [name]).get(name);
  if (id === undefined) return undefined;
  const query = { from: -Infinity, to: Infinity, axis: 'step' as const, points: 20_000 };
  const { steps, values } = readWindow(tx, id, name, query);
  return { steps, values };
}

test('a requeued attempt ends, and the run waits for the next one', () => {
  const { seq, id } = newRun();
  say(id, 1, 'events.jsonl', [event(1, 'Running'), event(2, 'Requeued', { next: 2 })]);
  let run = queries.getRun(tx, id);
  assert.equal(run.status, 'Queued');
  assert.equal(run.attempts, 2);
  assert.equal(queries.attemptToCollect(tx, seq), 1);
  const last: AttemptStatus = { state: 'Requeued', since: 2000, reason: 'Requeued', heartbeat: 3, next: 2 };
  writes['runs.seal'](tx, { id, attempt: 1, last });
  writes['runs.seal'](tx, { id, attempt: 1, last });
  run = queries.getRun(tx, id);
  assert.deepEqual([run.status, run.attempts], ['Queued', 2]);
  assert.equal(queries.attemptToCollect(tx, seq), 2);
  say(id, 2, 'events.jsonl', [
    event(1, 'Queued'),
    event(2, 'Preparing'),
    event(3, 'Starting'),
    event(4, 'Running'),
  ]);
  assert.equal(queries.getRun(tx, id).status, 'Running');
  // What the first one says late moves nothing.
  say(id, 1, 'other.jsonl', []);
  ingest(tx, {
    run: id,
    attempt: 1,
    file: 'events.jsonl',
    generation: 'later',
    offset: 0,
    bytes: Buffer.from(`${JSON.stringify(event(3, 'Failed'))}\n`),
  });
  assert.equal(queries.getRun(tx, id).status, 'Running');
  writes['runs.seal'](tx, {
    id,
    attempt: 2,
    last: { state: 'Completed', since: 9000, reason: 'ended', heartbeat: 9, exit_code: 0 },
  });
  assert.equal(queries.getRun(tx, id).status, 'Completed');
});

test('a seal alone says that it was requeued, whatever the run did to its events', () => {
  const { id } = newRun();
  writes['runs.seal'](tx, {
    id,
    attempt: 1,
    last: { state: 'Requeued', since: 2000, reason: 'a node failed', heartbeat: 3, next: 2 },
  });
  const run = queries.getRun(tx, id);
  assert.deepEqual([run.status, run.statusReason, run.attempts], ['Queued', 'a node failed', 2]);
});

test('a cancel that was asked for stays asked for', () => {
  const { id } = newRun();
  writes['runs.transition'](tx, { id, attempt: 1, status: 'CancelRequested', reason: 'asked', time: 1 });
  say(id, 1, 'events.jsonl', [event(1, 'Requeued', { next: 2 })]);
  assert.deepEqual([queries.getRun(tx, id).status, queries.getRun(tx, id).attempts], ['CancelRequested', 2]);
});

test('the series of a later attempt: anew, or from its checkpoint on; nothing of the earlier ones is lost', () => {
  const log = fc.record({ from: fc.integer({ min: 0, max: 30 }), count: fc.integer({ min: 1, max: 40 }) });
  fc.assert(
    fc.property(
      fc.array(log, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      fc.integer({ min: 1, max: 9 }),
      (logs, steps, cut) => {
        const { seq, id } = newRun();
        let expected: number[] = [];
        let values: number[] = [];
        for (const [index, { from, count }] of logs.entries()) {
          const attempt = index + 1;
          const before = { steps: expected, values };
          const first = steps ? (index === 0 ? 0 : from) : 0;
          const mine = [...Array(count).keys()].map((i) => first + i);
          const keep = expected.filter((step) => index > 0 && steps && step < first);
          // What begins before the earlier one did, or exactly with it, begins anew.
          expected = [...keep, ...mine];
          values = [...values.slice(0, keep.length), ...mine.map((step) => 1000 * attempt + step)];
          let offset = 0;
          for (let at = 0; at < mine.length; at += cut) {
            const lines = mine.slice(at, at + cut).map((step, i) => ({
              n: at + i + 1,
              t: 1,
              m: { loss: 1000 * attempt + step },
              ...(steps ? { s: step } : {}),
            }));
            offset = say(id, attempt, `journal/h-1-${attempt}.jsonl`, lines, offset);
          }
          assert.deepEqual(points(seq, 'loss'), { steps: expected, values });
          if (index > 0) assert.deepEqual(points(seq, `attempt-${index}/loss`), before);
        }
      },
    ),
    { numRuns: Number(process.env['RUNYARD_PROPERTY_RUNS'] ?? 60) },
  );
});

test('parameters, tables and files of a later attempt take the place of the earlier ones, which stay', () => {
  const { seq, id } = newRun();
  const table = (value: number) => ({ type: 'table', name: 'rows', value: { x: [value] } });
  say(id, 1, 'journal/a.jsonl', [{ n: 1, t: 1, params: { seed: '1' }, document: table(1) }]);
  say(id, 2, 'journal/b.jsonl', [
    { n: 1, t: 1, params: { seed: '2' }, document: table(2) },
    { n: 2, t: 1, document: table(3) },
  ]);
  const detail = queries.getRunDetail(tx, id);
  assert.deepEqual(detail.parameters, { seed: '2' });
  assert.equal(detail.badJournalLines, 0);
  say(id, 2, 'journal/c.jsonl', [{ n: 1, t: 1, params: { seed: '3' } }]);
  assert.equal(queries.getRunDetail(tx, id).badJournalLines, 1, 'within an attempt the first value counts');
  const tables = queries.listDocuments(tx, seq).map(({ name, value }) => [name, value]);
  assert.deepEqual(tables, [
    ['attempt-1/rows', { x: [1] }],
    ['rows', { x: [2, 3] }],
  ]);
  const file = (name: string, size: number) => ({
    path: name,
    size,
    mtime: 1,
    sha256: String(size).repeat(64).slice(0, 64),
  });
  writes['runs.files'](tx, { id, attempt: 1, files: [file('outputs/a', 1), file('outputs/only-first', 2)] });
  writes['runs.files'](tx, { id, attempt: 2, files: [file('outputs/a', 3)] });
  assert.deepEqual(
    queries.artifactRows(tx, seq).map(({ path, attempt, size }) => [path, attempt, size]),
    [
      ['attempts/1/outputs/a', 1, 1],
      ['outputs/a', 2, 3],
      ['outputs/only-first', 1, 2],
    ],
  );
});
