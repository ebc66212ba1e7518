import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { openForReading, openForWriting, Statements } from '../../src/store/database.ts';
import { storeMigrations, type Transaction } from '../../src/store/writer-loop.ts';
import { appendPoints } from '../../src/runs/metrics/series-writer.ts';
import { readWindow } from '../../src/runs/metrics/window.ts';
import { runMigrations } from '../../src/runs/migrations.ts';
import { median, ms, quantile, type Figure } from './measure.ts';

const length = 10_000_000;
const portion = 20_000;
const tries = 300;

/** A window of 2,000 points of a series of ten million, against reading the points it spans and no more. */
export function benchWindows(): Figure[] {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'ry-bench-'));
  const file = path.join(dir, 'w.db');
  const db = openForWriting(file, [storeMigrations, runMigrations]);
  const tx = Object.assign(new Statements(db), {
    emit() {},
    hint() {},
    onRollback() {},
  }) as unknown as Transaction;
  db.exec(`INSERT INTO experiments (id, name, created_at) VALUES (1, 'e', 0);
    INSERT INTO runs (seq, id, experiment_id, number, display_name, status, compute, script, created_at,
      source_directory, configuration, launch) VALUES (1, 'r', 1, 1, 'r', 'Running', 'local', 's', 0, '/', '{}', '{}')`);
  const append = (name: string, from: number, count: number, stepOf: (i: number) => number) => {
    const points = {
      steps: new Float64Array(count),
      times: new Float64Array(count),
      values: new Float64Array(count),
    };
    for (let i = 0; i < count; i++) {
      points.steps[i] = stepOf(from + i);
      points.times[i] = from + i;
      points.values[i] = Math.sin((from + i) / 1e4) + Math.random();
    }
    db.exec('BEGIN');
    appendPoints(tx, 1, name, points);
    db.exec('COMMIT');
  };
  const begun = performance.now();
  for (let at = 0; at < length; at += portion) append('forward', at, portion, (i) => i);
  const appendRate = length / ((performance.now() - begun) / 1000);
  // Resumed five times from a checkpoint: each pass begins again some way back.
  for (let at = 0; at < length; at += portion)
    append('backward', at, portion, (i) => i - Math.floor(i / 2e6) * 5e5);

  const reader = openForReading(file);
  const idOf = (name: string) => reader.get<{ id: number }>('SELECT id FROM series WHERE name = ?', name)!.id;
  const zoom = (name: string, of: Statements): number => {
    const span = 10 ** (3 + Math.random() * 4);
    const from = Math.random() * (length - span);
    const start = performance.now();
    readWindow(of, idOf(name), name, { from, to: from + span, axis: 'step', points: 2000 });
    return performance.now() - start;
  };
  for (let i = 0; i < 20; i++) zoom('forward', reader);
  const times: Record<string, number[]> = { warm: [], cold: [], backward: [], 'during ingest': [] };
  for (let i = 0; i < tries; i++) {
    times['warm']!.push(zoom('forward', reader));
    times['backward']!.push(zoom('backward', reader));
    if (i % 5 === 0) {
      const cold = openForReading(file);
      times['cold']!.push(zoom('forward', cold));
      cold.close();
    }
    append('live', i * 1000, 1000, (n) => n);
    append('forward', length + i * 100, 100, (n) => n);
    times['during ingest']!.push(zoom('forward', reader));
  }
  const bytes = reader.all<{ points: Uint8Array }>('SELECT points FROM chunk_points LIMIT 40');
  const start = performance.now();
  let sum = 0;
  for (const { points } of bytes) for (const value of new Float64Array(points.slice().buffer)) sum += value;
  const reference = performance.now() - start;
  reader.close();
  db.close();
  rmSync(dir, { recursive: true });
  const rows: Figure[] = Object.entries(times).map(([name, values]) => ({
    what: `2,000-point window of 10,000,000 points, ${name}`,
    measured: `median ${ms(median(values))}, 95 % ${ms(quantile(values, 0.95))}`,
    reference: `adding up ${bytes.length * 4096 * 3} doubles: ${ms(reference)}${Number.isNaN(sum) ? ' (NaN)' : ''}`,
    limit: 'at most 5 ms (median)',
    reached: median(values) <= 5,
  }));
  rows.push({
    what: 'points appended to one series, 20,000 a transaction',
    measured: `${(appendRate / 1e6).toFixed(1)} M/s`,
    reference: '',
    limit: '',
    reached: true,
  });
  return rows;
}
