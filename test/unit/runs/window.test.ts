import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { openForWriting, Statements } from '../../../src/store/database.ts';
import { storeMigrations, type Transaction } from '../../../src/store/writer-loop.ts';
import { runMigrations } from '../../../src/runs/migrations.ts';
import { appendPoints, forgetSeries } from '../../../src/runs/metrics/series-writer.ts';
import { readWindow, toMetricValue } from '../../../src/runs/metrics/window.ts';

const dir = mkdtempSync(path.join(os.tmpdir(), 'runyard-window-'));
const db = openForWriting(path.join(dir, 'w.db'), [storeMigrations, runMigrations]);
const tx = Object.assign(new Statements(db), {
  emit() {},
  hint() {},
  onRollback() {},
}) as unknown as Transaction;
db.exec(`INSERT INTO experiments (id, name, created_at) VALUES (1, 'e', 0);
  INSERT INTO runs (seq, id, experiment_id, number, display_name, status, compute, script, created_at, source_directory, configuration, launch)
  VALUES (1, 'r', 1, 1, 'r', 'Running', 'local', 's', 0, '/', '{}', '{}');`);
after(() => {
  db.close();
  rmSync(dir, { recursive: true });
});

let nextName = 0;

/** Appends the points in portions, and gives the series' id. */
function store(steps: number[], values: number[], portions: number[]): { id: number; name: string } {
  const name = `series ${nextName++}`;
  let at = 0;
  db.exec('BEGIN');
  for (let p = 0; at < values.length; p++) {
    const end = Math.min(values.length, at + portions[p % portions.length]!);
    appendPoints(tx, 1, name, {
      steps: Float64Array.from(steps.slice(at, end)),
      times: Float64Array.from(steps.slice(at, end), (_, i) => 1000 + at + i),
      values: Float64Array.from(values.slice(at, end)),
    });
    at = end;
    // A writer that was started anew knows nothing: the state must come from the tables alone.
    if (p % 3 === 2) forgetSeries(tx);
  }
  db.exec('COMMIT');
  return { id: tx.get<{ id: number }>('SELECT id FROM series WHERE name = ?', name)!.id, name };
}

interface Shape {
  length: number;
  /** Steps go back to 0 this often. */
  passes: number;
  stride: number;
}

function series({ length, passes, stride }: Shape, seed: number): { steps: number[]; values: number[] } {
  const perPass = Math.ceil(length / passes);
  let state = seed >>> 0 || 1;
  const random = () => (state = (state * 1664525 + 1013904223) >>> 0) / 2 ** 32;
  const steps = Array.from({ length }, (_, i) => (i % perPass) * stride);
  const values = steps.map(() => {
    const r = random();
    if (r < 0.002) return NaN;
    if (r < 0.003) return Infinity;
    if (r < 0.004) return random() * 1e6;
    return random();
  });
  return { steps, values };
}

const shape = fc.record({
  length: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 60_000 })),
  passes: fc.integer({ min: 1, max: 4 }),
  stride: fc.constantFrom(1, 7, 0.5),
});

test('a window equals the full series, or keeps its extremes with real points only', () => {
  fc.assert(
    fc.property(
      shape,
      fc.integer(),
      fc.array(fc.integer({ min: 1, max: 9000 }), { minLength: 1, maxLength: 6 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 4, max: 3000 }),
      (form, seed, portions, a, b, points) => {
        const { steps, values } = series(form, seed);
        const { id, name } = store(steps, values, portions);
        const span = Math.max(...steps);
        const [from, to] = [Math.min(a, b) * span, Math.max(a, b) * span];
        const inside = steps.flatMap((s, i) => (s >= from && s <= to ? [i] : []));
        const window = readWindow(tx, id, name, { from, to, axis: 'step', points });
        assert.equal(window.total, inside.length);
        if (inside.length <= points) {
          assert.deepEqual(
            window.values,
            inside.map((i) => toMetricValue(values[i]!)),
          );
          assert.deepEqual(
            window.steps,
            inside.map((i) => steps[i]!),
          );
          return;
        }
        assert.ok(window.values.length <= points * 1.5 + 3);
        const real = new Set(inside.map((i) => `${steps[i]} ${1000 + i} ${toMetricValue(values[i]!)}`));
        window.values.forEach((value, i) =>
          assert.ok(real.has(`${window.steps[i]} ${window.times[i]} ${value}`), 'a real point of the window'),
        );
        const finite = inside.map((i) => values[i]!).filter(Number.isFinite);
        const shown = window.values.filter((v) => typeof v === 'number');
        assert.equal(
          Math.max(...shown),
          finite.reduce((x, y) => Math.max(x, y), -Infinity),
        );
        assert.equal(
          Math.min(...shown),
          finite.reduce((x, y) => Math.min(x, y), Infinity),
        );
        const gaps = inside.some((i) => !Number.isFinite(values[i]!));
        assert.equal(
          window.values.some((v) => typeof v !== 'number'),
          gaps,
        );
      },
    ),
    { numRuns: 150 },
  );
});

test('a series with blocks: every bucket of the whole keeps its minimum and maximum', () => {
  const { steps, values } = series({ length: 600_000, passes: 1, stride: 1 }, 42);
  const { id, name } = store(steps, values, [50_000, 3]);
  const blocks = tx.get<{ n: number }>('SELECT count(*) AS n FROM blocks WHERE series_id = ?', id)!;
  assert.equal(blocks.n, 2);
  for (const [from, to] of [
    [0, 599_999],
    [100_000.5, 599_000],
    [262_000, 263_000],
  ] as const) {
    const window = readWindow(tx, id, name, { from, to, axis: 'step', points: 2000 });
    const inside = values.slice(Math.ceil(from), Math.floor(to) + 1);
    assert.equal(window.total, inside.length);
    const shown = window.values.filter((v) => typeof v === 'number');
    const finite = inside.filter(Number.isFinite);
    assert.equal(
      Math.max(...shown),
      finite.reduce((x, y) => Math.max(x, y)),
    );
    assert.equal(
      Math.min(...shown),
      finite.reduce((x, y) => Math.min(x, y)),
    );
    assert.ok(window.values.length >= 900, `${window.values.length} points`);
  }
});

test('a series whose steps jump all the time stays within its window', () => {
  const steps = Array.from({ length: 400_000 }, (_, i) => i % 500);
  const values = steps.map((s, i) => (i === 123_250 ? 1e9 : s));
  const { id, name } = store(steps, values, [4096]);
  const window = readWindow(tx, id, name, { from: 240, to: 260, axis: 'step', points: 1000 });
  assert.ok(window.steps.every((s) => s >= 240 && s <= 260));
  assert.ok(window.values.includes(1e9), 'the spike is there');
});
