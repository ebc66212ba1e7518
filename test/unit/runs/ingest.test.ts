import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { openForWriting, Statements } from '../../../src/store/database.ts';
import { storeMigrations, type Transaction } from '../../../src/store/writer-loop.ts';
import { ingest } from '../../../src/runs/ingest.ts';
import { runMigrations } from '../../../src/runs/migrations.ts';
import { cursorRows } from '../../../src/runs/queries.ts';
import { readWindow } from '../../../src/runs/metrics/window.ts';

const dir = mkdtempSync(path.join(os.tmpdir(), 'runyard-ingest-'));
const db = openForWriting(path.join(dir, 'i.db'), [storeMigrations, runMigrations]);
let rollbacks: (() => void)[] = [];
const tx = Object.assign(new Statements(db), {
  emit() {},
  hint() {},
  onRollback: (callback: () => void) => rollbacks.push(callback),
}) as unknown as Transaction;
db.exec(`INSERT INTO experiments (id, name, created_at) VALUES (1, 'e', 0)`);
after(() => {
  db.close();
  rmSync(dir, { recursive: true });
});

/** One transaction, which may be made to fail at its end. */
function transaction(work: () => void, fail: boolean): boolean {
  rollbacks = [];
  db.exec('BEGIN');
  try {
    work();
    if (fail) throw new Error('failed at the end');
    db.exec('COMMIT');
    return true;
  } catch {
    db.exec('ROLLBACK');
    rollbacks.forEach((callback) => callback());
    return false;
  }
}

let nextRun = 1;

test('however frames are cut, repeated, refused and taken up again: each line counts once', () => {
  const step = fc.record({
    size: fc.integer({ min: 1, max: 300 }),
    /** What happens after this frame: on, a failed transaction, a reconnection at the stored offset. */
    then: fc.constantFrom('on', 'on', 'on', 'fail', 'reconnect', 'repeat'),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 60 }),
      fc.array(step, { minLength: 1, maxLength: 30 }),
      fc.boolean(),
      (count, steps, open) => {
        const seq = nextRun++;
        const id = `run-${seq}`;
        db.exec(`INSERT INTO runs (seq, id, experiment_id, number, display_name, status, compute, script, created_at,
        source_directory, configuration, launch)
        VALUES (${seq}, '${id}', 1, ${seq}, 'r', 'Running', 'local', 's', 0, '/', '{}', '{}')`);
        const text = Array.from({ length: count }, (_, i) =>
          i % 7 === 3 ? 'garbage' : JSON.stringify({ n: i + 1, t: 1000 + i, m: { v: i }, s: i }),
        ).join('\n');
        const journal = Buffer.from(count === 0 ? '' : open ? text : `${text}\n`);
        const file = 'journal/a.jsonl';
        const stored = () => cursorRows(tx, seq, 1).find((row) => row.file === file)?.offset ?? 0;
        const send = (from: number, to: number, fail = false, last = false): boolean =>
          transaction(
            () =>
              ingest(tx, {
                run: id,
                attempt: 1,
                file,
                generation: 'g',
                offset: from,
                bytes: new Uint8Array(journal.subarray(from, to)),
                last,
              }),
            fail,
          );
        let at = 0;
        for (let i = 0; at < journal.length; i++) {
          const { size, then } = i < 200 ? steps[i % steps.length]! : { size: 4096, then: 'on' };
          const end = Math.min(journal.length, at + size);
          const accepted = send(at, end, then === 'fail');
          if (then === 'repeat') send(at, end);
          at = !accepted || then === 'reconnect' ? stored() : end;
        }
        send(journal.length, journal.length, false, true);
        const series = tx.get<{ id: number }>('SELECT id FROM series WHERE run_seq = ?', seq);
        const wanted = Array.from({ length: count }, (_, i) => i).filter((i) => i % 7 !== 3);
        const values = series
          ? readWindow(tx, series.id, 'v', { from: -Infinity, to: Infinity, axis: 'step', points: 1000 })
              .values
          : [];
        assert.deepEqual(values, wanted);
        const { bad } = tx.get<{ bad: number }>('SELECT bad_lines AS bad FROM runs WHERE seq = ?', seq)!;
        assert.equal(bad, count - wanted.length);
        assert.equal(stored(), journal.length);
      },
    ),
    { numRuns: 300 },
  );
});
