import type { Transaction } from '../../store/writer-loop.ts';
import { nameOfAttempt } from '../attempt-names.ts';
import { decodePoints, type Points } from './points.ts';
import { appendPoints, forgetSeries } from './series-writer.ts';

/**
 * Makes room for a series of a later attempt; to be called before its first points are appended. What an earlier
 * attempt has logged stays as `attempt-1/loss`; where the later one goes on from a checkpoint (its first step is
 * behind the earlier one's) the points before that step are its beginning too. Without a step it begins anew.
 */
export function supersede(
  tx: Transaction,
  runSeq: number,
  name: string,
  attempt: number,
  firstStep: number | undefined,
): void {
  const old = tx.get<{ id: number; attempt: number; first_step: number | null }>(
    'SELECT id, attempt, first_step FROM series WHERE run_seq = ? AND name = ?',
    runSeq,
    name,
  );
  if (!old || old.attempt >= attempt) return;
  tx.onRollback(() => forgetSeries(tx));
  tx.run(
    'UPDATE series SET name = ? WHERE id = ?',
    freeName(tx, runSeq, nameOfAttempt(old.attempt, name)),
    old.id,
  );
  forgetSeries(tx);
  if (firstStep === undefined || firstStep <= (old.first_step ?? Infinity)) return;
  for (const { points } of tx.all<{ points: Uint8Array }>(
    'SELECT points FROM chunk_points JOIN chunks USING (id) WHERE series_id = ? ORDER BY id',
    old.id,
  )) {
    appendPoints(tx, runSeq, name, before(decodePoints(points), firstStep));
  }
}

/** A script may have logged a metric of that very name. */
function freeName(tx: Transaction, runSeq: number, wanted: string): string {
  for (let name = wanted, i = 2; ; name = `${wanted} (${i++})`) {
    if (!tx.get('SELECT 1 FROM series WHERE run_seq = ? AND name = ?', runSeq, name)) return name;
  }
}

function before(points: Points, step: number): Points {
  const kept = [...points.steps.keys()].filter((i) => points.steps[i]! < step);
  const pick = (all: Float64Array) => Float64Array.from(kept, (i) => all[i]!);
  return { steps: pick(points.steps), times: pick(points.times), values: pick(points.values) };
}
