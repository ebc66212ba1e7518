import type { RunError } from '../api/entities.ts';
import { isTerminal, mayFollow, type RunStatus } from '../api/run-status.ts';
import type { AttemptEvent } from '../protocol/messages.ts';
import type { Transaction } from '../store/writer-loop.ts';
import { getExperiment, getRun, runRow } from './queries.ts';

export interface Transition {
  status: RunStatus;
  reason: string;
  attempt: number;
  /** Epoch milliseconds. */
  time: number;
  error?: RunError | null;
  exitCode?: number | null;
}

/** Tells everybody how the run is now. */
export function emitRun(tx: Transaction, id: string): void {
  const run = getRun(tx, id);
  tx.emit({ type: 'run', run });
}

export function emitExperiment(tx: Transaction, name: string): void {
  const experiment = getExperiment(tx, name);
  if (experiment) tx.emit({ type: 'experiment', experiment });
}

/**
 * Moves a run by the table of transitions. Every change is an event with time and reason; what the table
 * does not allow (a late event of before a cancel) is kept as an event and moves nothing.
 */
export function transition(tx: Transaction, id: string, to: Transition): boolean {
  const row = runRow(tx, id);
  const time = Math.round(to.time);
  const allowed = mayFollow(row.status, to.status);
  if (row.status === to.status && !allowed) {
    if (to.reason && to.reason !== row.status_reason) {
      tx.run('UPDATE runs SET status_reason = ? WHERE seq = ?', to.reason, row.seq);
      emitRun(tx, id);
    }
    return false;
  }
  if (isTerminal(row.status)) return false;
  tx.run(
    `INSERT INTO run_events (run_seq, number, attempt, time, status, reason)
     VALUES (?, (SELECT coalesce(max(number), 0) + 1 FROM run_events WHERE run_seq = ?), ?, ?, ?, ?)`,
    row.seq,
    row.seq,
    to.attempt,
    time,
    to.status,
    to.reason,
  );
  const started = to.status === 'Running' && row.started_at === null ? time : row.started_at;
  tx.run('UPDATE runs SET started_at = ? WHERE seq = ?', started, row.seq);
  if (allowed) {
    tx.run(
      'UPDATE runs SET status = ?, status_reason = ?, ended_at = ?, exit_code = ?, error = ? WHERE seq = ?',
      to.status,
      to.reason,
      isTerminal(to.status) ? time : null,
      to.exitCode ?? null,
      to.error ? JSON.stringify(to.error) : null,
      row.seq,
    );
  }
  emitRun(tx, id);
  if (allowed && (isTerminal(to.status) || row.status === 'NotStarted')) emitExperiment(tx, row.experiment);
  return allowed;
}

/**
 * Follows what the supervisor says. How an attempt ended is kept until everything it left was collected:
 * Completed means that the command and the collection succeeded, as in Azure ML v1; until then the run is
 * Finalizing.
 */
export function applyAttemptEvent(tx: Transaction, id: string, attempt: number, event: AttemptEvent): void {
  if (event.state === 'Requeued') {
    requeue(tx, id, attempt, event);
    return;
  }
  const isLatest = attempt >= runRow(tx, id).attempts;
  if (!isTerminal(event.state)) {
    if (isLatest) transition(tx, id, { status: event.state, reason: event.reason, attempt, time: event.t });
    return;
  }
  const { seq, status } = runRow(tx, id);
  tx.run(
    'UPDATE attempts SET ending = ? WHERE run_seq = ? AND number = ?',
    JSON.stringify(event),
    seq,
    attempt,
  );
  if (isLatest && mayFollow(status, 'Finalizing')) {
    transition(tx, id, {
      status: 'Finalizing',
      reason: 'Collecting logs and outputs',
      attempt,
      time: event.t,
    });
  }
}

/** The scheduler has taken an attempt back into its queue: the run waits again, and another attempt goes on. */
export function requeue(
  tx: Transaction,
  id: string,
  attempt: number,
  { t, reason, next }: Pick<AttemptEvent, 't' | 'reason' | 'next'>,
): void {
  const { seq, attempts } = runRow(tx, id);
  tx.run(
    'UPDATE attempts SET ending = coalesce(ending, ?) WHERE run_seq = ? AND number = ?',
    JSON.stringify({ state: 'Requeued', t, reason, next }),
    seq,
    attempt,
  );
  if (attempt < attempts) return;
  tx.run(
    'INSERT INTO attempts (run_seq, number, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
    seq,
    attempt + 1,
    Math.round(t),
  );
  transition(tx, id, { status: 'Queued', reason, attempt, time: t });
}
