import type { GitFacts, Run, RunScheduler } from '../api/entities.ts';
import type { RunEnvironmentRef } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import { isTerminal, mayFollow } from '../api/run-status.ts';
import type { AttemptStatus, FileEntry } from '../protocol/messages.ts';
import type { Transaction, WriteOperations } from '../store/writer-loop.ts';
import { ingest, type IngestArgs, type JournalConsumer } from './ingest.ts';
import { pathOfAttempt } from './attempt-names.ts';
import { emitExperiment, emitRun, requeue, transition, type Transition } from './lifecycle.ts';
import { forgetSeries } from './metrics/series-writer.ts';
import type { Launch } from './launch.ts';
import { getRun, runRow } from './queries.ts';

export interface NewRun {
  id: string;
  experiment: string;
  displayName: string | null;
  parentId: string | null;
  compute: string;
  script: string;
  createdAt: number;
  requestId: string | null;
  sourceDirectory: string;
  configuration: object;
  launch: Launch;
  environment: RunEnvironmentRef;
  tags: Record<string, string>;
  warnings: string[];
  reason: string;
  /** The run whose snapshot and git facts are used; null when the folder is taken anew. */
  snapshotOf: string | null;
}

export interface PreparedRun {
  id: string;
  snapshot: { id: string; files: number; bytes: number };
  git: GitFacts | null;
  properties: Record<string, string>;
  warnings: string[];
}

export interface Sealed {
  id: string;
  attempt: number;
  /** The supervisor's last status. */
  last: AttemptStatus;
}

export interface LogCursor {
  run: string;
  attempt: number;
  file: string;
  generation: string;
  offset: number;
  base: number;
}

const putValue = `INSERT INTO run_values (run_seq, kind, name, value) VALUES (?, ?, ?, ?)
  ON CONFLICT DO UPDATE SET value = excluded.value`;

/** The changes of this capability; they run in the writer thread. Consumers see every journal record. */
export const runWrites = (consumers: readonly JournalConsumer[] = []) =>
  ({
    /** Makes the run (and its experiment). The same request id again gives the run that is there. */
    'runs.create': (tx: Transaction, run: NewRun): Run => {
      if (run.requestId) {
        const known = tx.get<{ id: string }>('SELECT id FROM runs WHERE request_id = ?', run.requestId);
        if (known) return getRun(tx, known.id);
      }
      tx.run(
        'INSERT INTO experiments (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING',
        run.experiment,
        run.createdAt,
      );
      const { id: experimentId, number } = tx.get<{ id: number; number: number }>(
        'UPDATE experiments SET last_number = last_number + 1 WHERE name = ? RETURNING id, last_number AS number',
        run.experiment,
      )!;
      // Taken over now: the other run may be deleted before this one is on its host.
      const original = run.snapshotOf === null ? undefined : runRow(tx, run.snapshotOf);
      const { seq } = tx.get<{ seq: number }>(
        `INSERT INTO runs (id, experiment_id, number, display_name, parent_id, status, status_reason, compute, script,
           created_at, request_id, source_directory, configuration, launch, environment, warnings,
           snapshot_id, snapshot_files, snapshot_bytes, git)
         VALUES (?, ?, ?, ?, ?, 'NotStarted', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING seq`,
        run.id,
        experimentId,
        number,
        run.displayName ?? `${run.experiment} ${number}`,
        run.parentId,
        run.reason,
        run.compute,
        run.script,
        run.createdAt,
        run.requestId,
        run.sourceDirectory,
        JSON.stringify(run.configuration),
        JSON.stringify(run.launch),
        JSON.stringify(run.environment),
        JSON.stringify(run.warnings),
        original?.snapshot_id ?? null,
        original?.snapshot_files ?? null,
        original?.snapshot_bytes ?? null,
        original?.git ?? null,
      )!;
      tx.run(
        `INSERT INTO run_events (run_seq, number, attempt, time, status, reason) VALUES (?, 1, 0, ?, 'NotStarted', ?)`,
        seq,
        run.createdAt,
        run.reason,
      );
      for (const [name, value] of Object.entries(run.tags)) tx.run(putValue, seq, 'tag', name, value);
      emitRun(tx, run.id);
      emitExperiment(tx, run.experiment);
      return getRun(tx, run.id);
    },

    /** What is known once the snapshot is there; opens the attempt and gives its number. */
    'runs.prepared': (tx: Transaction, { id, snapshot, git, properties, warnings }: PreparedRun): number => {
      const { seq } = runRow(tx, id);
      tx.run(
        `UPDATE runs SET snapshot_id = ?, snapshot_files = ?, snapshot_bytes = ?, git = ?, warnings = ? WHERE seq = ?`,
        snapshot.id,
        snapshot.files,
        snapshot.bytes,
        git ? JSON.stringify(git) : null,
        JSON.stringify(warnings),
        seq,
      );
      for (const [name, value] of Object.entries(properties)) tx.run(putValue, seq, 'property', name, value);
      // Of no attempt: what the host lists leaves them alone.
      for (const { path, size, hash } of gitArtifacts(git)) {
        tx.run(
          `INSERT INTO artifacts (run_seq, attempt, path, size, modified_at, hash, stored) VALUES (?, 0, ?, ?, ?, ?, 1)
           ON CONFLICT DO NOTHING`,
          seq,
          path,
          size,
          Date.now(),
          hash,
        );
      }
      tx.run(
        'INSERT INTO attempts (run_seq, number, created_at) VALUES (?, 1, ?) ON CONFLICT DO NOTHING',
        seq,
        Date.now(),
      );
      emitRun(tx, id);
      return 1;
    },

    /** False when the table of transitions does not allow it; then only the event is kept. */
    'runs.transition': (tx: Transaction, { id, ...to }: Transition & { id: string }): boolean =>
      transition(tx, id, to),

    /** Why the run is where it is; no event. */
    'runs.reason': (tx: Transaction, { id, reason }: { id: string; reason: string }): void => {
      const row = runRow(tx, id);
      if (row.status_reason === reason || isTerminal(row.status)) return;
      tx.run('UPDATE runs SET status_reason = ? WHERE seq = ?', reason, row.seq);
      emitRun(tx, id);
    },

    /** What the scheduler of a cluster says of the run's job; no event. */
    'runs.scheduler': (tx: Transaction, { id, scheduler }: { id: string; scheduler: RunScheduler }): void => {
      const row = runRow(tx, id);
      const said = JSON.stringify(scheduler);
      if (row.scheduler === said) return;
      tx.run('UPDATE runs SET scheduler = ? WHERE seq = ?', said, row.seq);
      emitRun(tx, id);
    },

    'runs.ingest': (tx: Transaction, args: IngestArgs): void => ingest(tx, args, consumers),

    'runs.logCursor': (tx: Transaction, cursor: LogCursor): void => {
      const run = tx.get<{ seq: number }>('SELECT seq FROM runs WHERE id = ?', cursor.run);
      if (!run) return;
      tx.run(
        `INSERT INTO cursors (run_seq, attempt, file, generation, offset, base) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET generation = excluded.generation, offset = excluded.offset, base = excluded.base`,
        run.seq,
        cursor.attempt,
        cursor.file,
        cursor.generation,
        cursor.offset,
        cursor.base,
      );
    },

    /** The listing of the run's files as the host has it; what is stored stays stored while it is the same. */
    'runs.files': (tx: Transaction, args: { id: string; attempt: number; files: FileEntry[] }): void => {
      const run = tx.get<{ seq: number }>('SELECT seq FROM runs WHERE id = ?', args.id);
      if (!run) return;
      const listed = new Set(args.files.map((file) => file.path));
      for (const { path } of tx.all<{ path: string }>(
        'SELECT path FROM artifacts WHERE run_seq = ? AND attempt = ?',
        run.seq,
        args.attempt,
      )) {
        if (!listed.has(path)) tx.run('DELETE FROM artifacts WHERE run_seq = ? AND path = ?', run.seq, path);
      }
      for (const file of args.files) {
        setAside(tx, run.seq, args.attempt, file.path);
        tx.run(
          `INSERT INTO artifacts (run_seq, attempt, path, size, modified_at, hash) VALUES (?, ?, ?, ?, ?, ?)
           ON CONFLICT DO UPDATE SET attempt = excluded.attempt, size = excluded.size,
             modified_at = excluded.modified_at, hash = excluded.hash,
             stored = stored AND excluded.hash IS NOT NULL AND hash = excluded.hash`,
          run.seq,
          args.attempt,
          file.path,
          file.size,
          Math.round(file.mtime),
          file.sha256 ?? null,
        );
      }
      tx.hint({ type: 'details', runId: args.id });
    },

    'runs.artifactsStored': (
      tx: Transaction,
      args: { id: string; files: readonly { path: string; hash: string }[] },
    ): void => {
      const { seq } = runRow(tx, args.id);
      for (const { path, hash } of args.files) {
        tx.run('UPDATE artifacts SET stored = 1, hash = ? WHERE run_seq = ? AND path = ?', hash, seq, path);
      }
    },

    /** Whether the host knows what is collected of an attempt. */
    'runs.told': (tx: Transaction, args: { run: string; attempt: number; told: boolean }): void => {
      tx.run(
        'UPDATE attempts SET told = ? WHERE number = ? AND run_seq = (SELECT seq FROM runs WHERE id = ?)',
        args.told ? 1 : 0,
        args.attempt,
        args.run,
      );
    },

    /**
     * Everything of the attempt is collected: the run ends as its supervisor's last status says, whatever the
     * run has done to its events.
     */
    'runs.seal': (tx: Transaction, { id, attempt, last }: Sealed): void => {
      const { seq, status, attempts } = runRow(tx, id);
      tx.run('UPDATE attempts SET sealed = 1 WHERE run_seq = ? AND number = ?', seq, attempt);
      if (last.state === 'Requeued') {
        requeue(tx, id, attempt, { t: last.since, reason: last.reason, next: last.next });
        return;
      }
      if (attempt < attempts) return;
      if (!isTerminal(last.state)) throw new RunyardError('conflict', `The run ${id} has not ended.`);
      const time = last.ended ?? last.since;
      if (!mayFollow(status, last.state))
        transition(tx, id, { status: 'Finalizing', reason: last.reason, attempt, time });
      transition(tx, id, {
        status: last.state,
        reason: last.reason,
        attempt,
        time,
        error: last.error ?? null,
        exitCode: last.exit_code ?? null,
      });
    },

    'runs.update': (
      tx: Transaction,
      {
        id,
        displayName,
        tags,
      }: { id: string; displayName?: string | undefined; tags?: Record<string, string | null> | undefined },
    ): Run => {
      const { seq } = runRow(tx, id);
      if (displayName !== undefined)
        tx.run('UPDATE runs SET display_name = ? WHERE seq = ?', displayName, seq);
      for (const [name, value] of Object.entries(tags ?? {})) {
        if (value === null)
          tx.run(`DELETE FROM run_values WHERE run_seq = ? AND kind = 'tag' AND name = ?`, seq, name);
        else tx.run(putValue, seq, 'tag', name, value);
      }
      emitRun(tx, id);
      return getRun(tx, id);
    },

    /** Removes a run that has ended, with everything in the database that is its own. */
    'runs.delete': (tx: Transaction, { id }: { id: string }): void => {
      const row = runRow(tx, id);
      refuseActive(row.status, `The run ${id}`);
      const active = tx.get<{ id: string; status: Run['status'] }>(
        `SELECT id, status FROM runs WHERE parent_id = ? AND status NOT IN ('Completed', 'Failed', 'Canceled')`,
        id,
      );
      if (active) refuseActive(active.status, `The child run ${active.id}`);
      deleteRun(tx, id, row.experiment);
      emitExperiment(tx, row.experiment);
    },

    /** The host has nothing of a deleted run any more. */
    'runs.removed': (tx: Transaction, { run }: { run: string }): void => {
      tx.run('DELETE FROM removals WHERE run = ?', run);
    },

    /** Removes an experiment with its runs; the ids of the runs are the result. */
    'experiments.delete': (tx: Transaction, { name }: { name: string }): string[] => {
      const experiment = tx.get<{ id: number }>('SELECT id FROM experiments WHERE name = ?', name);
      if (!experiment)
        throw new RunyardError('not_found', `There is no experiment "${name}" in this workspace.`);
      const runs = tx.all<{ id: string; status: Run['status'] }>(
        'SELECT id, status FROM runs WHERE experiment_id = ?',
        experiment.id,
      );
      for (const run of runs) refuseActive(run.status, `The run ${run.id} of the experiment "${name}"`);
      for (const run of runs)
        if (tx.get('SELECT 1 FROM runs WHERE id = ?', run.id)) deleteRun(tx, run.id, name);
      tx.run('DELETE FROM experiments WHERE id = ?', experiment.id);
      tx.emit({ type: 'experiment.deleted', name });
      return runs.map((run) => run.id);
    },
  }) satisfies WriteOperations;

export type RunWrites = ReturnType<typeof runWrites>;

/** What of the git facts is a file of the run. */
function gitArtifacts(git: GitFacts | null): { path: string; size: number; hash: string }[] {
  const { patch, untracked } = git?.changes ?? {};
  return [
    ...(patch ? [{ path: 'git/changes.patch', ...patch }] : []),
    ...(untracked
      ? [{ path: 'git/untracked.json', size: untracked.manifestBytes, hash: untracked.manifest }]
      : []),
  ];
}

/** A file of an earlier attempt keeps its content, under that attempt's name. */
function setAside(tx: Transaction, seq: number, attempt: number, path: string): void {
  if (attempt === 1) return;
  const old = tx.get<{ attempt: number }>(
    'SELECT attempt FROM artifacts WHERE run_seq = ? AND path = ? AND attempt BETWEEN 1 AND ?',
    seq,
    path,
    attempt - 1,
  );
  if (!old) return;
  const kept = pathOfAttempt(old.attempt, path);
  tx.run('UPDATE OR REPLACE artifacts SET path = ? WHERE run_seq = ? AND path = ?', kept, seq, path);
  tx.run(
    'UPDATE images SET path = ? WHERE run_seq = ? AND path = ? AND attempt = ?',
    kept,
    seq,
    path,
    old.attempt,
  );
}

function refuseActive(status: Run['status'], what: string): void {
  if (isTerminal(status)) return;
  throw new RunyardError('conflict', `${what} is ${status} and cannot be deleted.`, {
    action: 'Cancel it first.',
  });
}

function deleteRun(tx: Transaction, id: string, experiment: string): void {
  forgetSeries(tx);
  for (const child of tx.all<{ id: string }>('SELECT id FROM runs WHERE parent_id = ?', id)) {
    deleteRun(tx, child.id, experiment);
  }
  tx.run(
    `INSERT INTO removals (run, compute) SELECT id, compute FROM runs
     WHERE id = ? AND EXISTS (SELECT 1 FROM attempts WHERE run_seq = runs.seq) ON CONFLICT DO NOTHING`,
    id,
  );
  tx.run('DELETE FROM runs WHERE id = ?', id);
  tx.emit({ type: 'run.deleted', runId: id, experiment });
}
