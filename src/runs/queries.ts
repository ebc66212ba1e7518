import type {
  Artifact,
  Experiment,
  MonitorSample,
  Run,
  RunDetail,
  RunDocument,
  RunError,
  RunEvent,
  RunImage,
  RunScheduler,
  Series,
} from '../api/entities.ts';
import type { RunEnvironmentRef } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import type { RunConfiguration } from '../api/run-configuration.ts';
import { terminalStatuses, type RunStatus } from '../api/run-status.ts';
import type { Statements } from '../store/database.ts';
import { monitorRecordSchema } from '../protocol/messages.ts';
import { isLog } from './attempt-files.ts';
import type { Launch } from './launch.ts';
import { toMetricValue } from './metrics/window.ts';

export interface RunRow {
  seq: number;
  id: string;
  experiment: string;
  number: number;
  display_name: string;
  parent_id: string | null;
  status: RunStatus;
  status_reason: string;
  compute: string;
  script: string;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  exit_code: number | null;
  error: string | null;
  snapshot_id: string | null;
  snapshot_files: number | null;
  snapshot_bytes: number | null;
  source_directory: string;
  configuration: string;
  launch: string;
  environment: string | null;
  git: string | null;
  warnings: string;
  bad_lines: number;
  bad_reason: string | null;
  attempts: number;
  scheduler: string | null;
}

const terminal = terminalStatuses.map((status) => `'${status}'`).join(', ');

const selectRuns = `
  SELECT runs.*, experiments.name AS experiment,
    (SELECT count(*) FROM attempts WHERE run_seq = runs.seq) AS attempts
  FROM runs JOIN experiments ON experiments.id = runs.experiment_id`;

/** The row of a run. Throws `not_found`. */
export function runRow(db: Statements, id: string): RunRow {
  const row = db.get<RunRow>(`${selectRuns} WHERE runs.id = ?`, id);
  if (!row) {
    throw new RunyardError('not_found', `There is no run "${id}" in this workspace.`, {
      action: 'List the runs with "runyard run list".',
    });
  }
  return row;
}

/** False for a run that was deleted. */
export function hasRun(db: Statements, id: string): boolean {
  return db.get('SELECT 1 FROM runs WHERE id = ?', id) !== undefined;
}

export function getRun(db: Statements, id: string): Run {
  return toRun(db, runRow(db, id));
}

/** Runs that have not ended, in order of submission. */
export function activeRunIds(db: Statements): { id: string; status: RunStatus }[] {
  return db.all(`SELECT id, status FROM runs WHERE status NOT IN (${terminal}) ORDER BY seq`);
}

export interface RunListQuery {
  experiment?: string | undefined;
  status?: RunStatus | undefined;
  active?: boolean | undefined;
  limit: number;
  cursor?: string | undefined;
}

/** Newest first; the cursor is the last run's sequence number. */
export function listRuns(db: Statements, query: RunListQuery): { runs: Run[]; cursor: string | null } {
  const before = query.cursor === undefined ? Number.MAX_SAFE_INTEGER : Number(query.cursor);
  if (!Number.isSafeInteger(before)) throw new RunyardError('bad_request', 'The cursor is not one of ours.');
  const conditions = ['runs.seq < ?'];
  const values: (string | number)[] = [before];
  if (query.experiment !== undefined) {
    conditions.push('experiments.name = ?');
    values.push(query.experiment);
  }
  if (query.status !== undefined) {
    conditions.push('runs.status = ?');
    values.push(query.status);
  }
  if (query.active !== undefined) {
    conditions.push(`runs.status ${query.active ? 'NOT IN' : 'IN'} (${terminal})`);
  }
  const rows = db.all<RunRow>(
    `${selectRuns} WHERE ${conditions.join(' AND ')} ORDER BY runs.seq DESC LIMIT ?`,
    ...values,
    query.limit + 1,
  );
  const page = rows.slice(0, query.limit);
  const more = rows.length > query.limit;
  return { runs: page.map((row) => toRun(db, row)), cursor: more ? String(page.at(-1)!.seq) : null };
}

export function toRun(db: Statements, row: RunRow): Run {
  return {
    id: row.id,
    number: row.number,
    displayName: row.display_name,
    experiment: row.experiment,
    parentId: row.parent_id,
    status: row.status,
    statusReason: row.status_reason,
    compute: row.compute,
    script: row.script,
    createdAt: row.created_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    durationMs: row.started_at !== null && row.ended_at !== null ? row.ended_at - row.started_at : null,
    exitCode: row.exit_code,
    error: row.error === null ? null : (JSON.parse(row.error) as RunError),
    tags: valuesOf(db, row.seq, 'tag'),
    attempts: row.attempts,
    scheduler: row.scheduler === null ? null : (JSON.parse(row.scheduler) as RunScheduler),
    snapshotId: row.snapshot_id,
    hostReachable: true,
  };
}

export function getRunDetail(db: Statements, id: string): RunDetail {
  const row = runRow(db, id);
  const launch = JSON.parse(row.launch) as Launch;
  return {
    ...toRun(db, row),
    parameters: valuesOf(db, row.seq, 'parameter'),
    properties: valuesOf(db, row.seq, 'property'),
    configuration: JSON.parse(row.configuration) as RunConfiguration,
    sourceDirectory: row.source_directory,
    command: launch.command ?? ['/bin/sh', '-c', launch.shell ?? ''],
    interpreter: launch.interpreter,
    environment: environmentOf(row, launch),
    git: row.git === null ? null : (JSON.parse(row.git) as RunDetail['git']),
    snapshot:
      row.snapshot_id === null
        ? null
        : { id: row.snapshot_id, files: row.snapshot_files ?? 0, bytes: row.snapshot_bytes ?? 0 },
    events: db.all<RunEvent>(
      'SELECT attempt, time, status, reason FROM run_events WHERE run_seq = ? ORDER BY number',
      row.seq,
    ),
    series: listSeries(db, row.seq),
    badJournalLines: row.bad_lines,
    badJournalReason: row.bad_reason,
    warnings: JSON.parse(row.warnings) as string[],
  };
}

/** Runs of before there were environments used an interpreter as it was. */
export function environmentOf(row: Pick<RunRow, 'environment'>, launch: Launch): RunEnvironmentRef {
  if (row.environment !== null) return JSON.parse(row.environment) as RunEnvironmentRef;
  return { name: null, version: null, hash: null, kind: 'system', label: launch.interpreter };
}

function valuesOf(
  db: Statements,
  seq: number,
  kind: 'tag' | 'parameter' | 'property',
): Record<string, string> {
  const rows = db.all<{ name: string; value: string }>(
    'SELECT name, value FROM run_values WHERE run_seq = ? AND kind = ? ORDER BY name',
    seq,
    kind,
  );
  return Object.fromEntries(rows.map(({ name, value }) => [name, value]));
}

interface SeriesRow {
  name: string;
  count: number;
  min: number | null;
  max: number | null;
  first_step: number;
  last_step: number | null;
  last_time: number | null;
  last_value: number | 'NaN' | null;
}

export function listSeries(db: Statements, seq: number): Series[] {
  const rows = db.all<SeriesRow>(
    `SELECT name, count, min, max, first_step, last_step, last_time, last_value
     FROM series WHERE run_seq = ? ORDER BY name`,
    seq,
  );
  return rows.map((row) => ({
    name: row.name,
    count: row.count,
    last: row.last_value === null ? null : toMetricValue(Number(row.last_value)),
    lastStep: row.last_step,
    lastTime: row.last_time,
    min: row.min,
    max: row.max,
    firstStep: row.first_step,
  }));
}

/** Ids of series by name; names that a run has not are absent. */
export function seriesIds(db: Statements, seq: number, names: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const name of names) {
    const row = db.get<{ id: number }>('SELECT id FROM series WHERE run_seq = ? AND name = ?', seq, name);
    if (row) found.set(name, row.id);
  }
  return found;
}

export function listExperiments(db: Statements): Experiment[] {
  return db.all<Experiment>(`${selectExperiments} GROUP BY experiments.id ORDER BY lastRunAt DESC, name`);
}

export function getExperiment(db: Statements, name: string): Experiment | undefined {
  return db.get<Experiment>(`${selectExperiments} WHERE experiments.name = ? GROUP BY experiments.id`, name);
}

const selectExperiments = `
  SELECT experiments.name AS name, experiments.created_at AS createdAt,
    count(runs.seq) AS runs,
    coalesce(sum(runs.status NOT IN (${terminal})), 0) AS activeRuns,
    max(runs.created_at) AS lastRunAt
  FROM experiments LEFT JOIN runs ON runs.experiment_id = experiments.id`;

/** Documents in order; tables of one name are one table with all their rows. */
export function listDocuments(db: Statements, seq: number): RunDocument[] {
  const rows = db.all<Omit<RunDocument, 'value'> & { value: string }>(
    'SELECT type, name, step, time, value FROM documents WHERE run_seq = ? ORDER BY id',
    seq,
  );
  const tables = new Map<string, Record<string, unknown[]>>();
  const documents: RunDocument[] = [];
  for (const row of rows) {
    const value: unknown = JSON.parse(row.value);
    if (row.type === 'table') {
      const known = tables.get(row.name);
      if (known) {
        appendRows(known, value as Record<string, unknown[]>);
        continue;
      }
      tables.set(row.name, value as Record<string, unknown[]>);
    }
    documents.push({ ...row, value });
  }
  return documents;
}

/** Also a column named "__proto__" is one. */
const ownValue = { configurable: true, enumerable: true, writable: true };

function appendRows(table: Record<string, unknown[]>, more: Record<string, unknown[]>): void {
  const length = Math.max(0, ...Object.values(table).map((cells) => cells.length));
  for (const [name, cells] of Object.entries(more)) {
    if (!Object.hasOwn(table, name)) Object.defineProperty(table, name, { ...ownValue, value: [] });
    const column = table[name]!;
    while (column.length < length) column.push(null);
    for (const cell of cells) column.push(cell);
  }
}

export function listImages(db: Statements, seq: number): RunImage[] {
  return db.all('SELECT name, path, step, time FROM images WHERE run_seq = ? ORDER BY id', seq);
}

export interface ArtifactRow {
  path: string;
  attempt: number;
  size: number;
  modified_at: number;
  hash: string | null;
  stored: number;
}

export function artifactRows(db: Statements, seq: number): ArtifactRow[] {
  return db.all(
    'SELECT path, attempt, size, modified_at, hash, stored FROM artifacts WHERE run_seq = ? ORDER BY path',
    seq,
  );
}

/** Files of a run that the workspace does not have; logs are always there. */
export function onlyThere(db: Statements, seq: number): string[] {
  return db
    .all<{ path: string }>('SELECT path FROM artifacts WHERE run_seq = ? AND stored = 0', seq)
    .map(({ path }) => path)
    .filter((path) => !isLog(path));
}

/** Runs of a target some of whose files exist only there. */
export function runsOnlyOn(db: Statements, compute: string): string[] {
  return db
    .all<{ id: string; path: string }>(
      `SELECT runs.id, artifacts.path FROM runs JOIN artifacts ON artifacts.run_seq = runs.seq
       WHERE runs.compute = ? AND artifacts.stored = 0`,
      compute,
    )
    .filter(({ path }) => !isLog(path))
    .map(({ id }) => id)
    .filter((id, i, all) => all.indexOf(id) === i);
}

/** Attempts whose host does not know yet that they are collected. */
export function untoldAttempts(
  db: Statements,
  compute: string,
  most: number,
): { run_seq: number; run: string; attempt: number }[] {
  return db.all(
    `SELECT attempts.run_seq, runs.id AS run, attempts.number AS attempt
     FROM attempts JOIN runs ON runs.seq = attempts.run_seq
     WHERE attempts.sealed = 1 AND attempts.told = 0 AND runs.compute = ? LIMIT ?`,
    compute,
    most,
  );
}

/** The earliest attempt of which not everything was collected yet; none: the latest. */
export function attemptToCollect(db: Statements, seq: number): number {
  const { number } = db.get<{ number: number | null }>(
    'SELECT coalesce(min(CASE sealed WHEN 0 THEN number END), max(number)) AS number FROM attempts WHERE run_seq = ?',
    seq,
  )!;
  return number ?? 1;
}

/** Runs that were deleted here and may still have a folder on their host. */
export function removalsOn(db: Statements, compute: string): string[] {
  return db
    .all<{ run: string }>('SELECT run FROM removals WHERE compute = ? ORDER BY run', compute)
    .map(({ run }) => run);
}

/** Runs of a target that have not ended. */
export function countActiveOn(db: Statements, compute: string): number {
  return db.get<{ n: number }>(
    `SELECT count(*) AS n FROM runs WHERE compute = ? AND status NOT IN (${terminal})`,
    compute,
  )!.n;
}

export function toArtifact(row: ArtifactRow): Artifact {
  return { path: row.path, size: row.size, modifiedAt: row.modified_at, stored: row.stored === 1 };
}

/** At most about this many samples; a longer run shows each n-th. */
const mostSamples = 1000;

export function listMonitorSamples(db: Statements, seq: number): MonitorSample[] {
  const { n } = db.get<{ n: number }>('SELECT count(*) AS n FROM monitor WHERE run_seq = ?', seq)!;
  const stride = Math.max(1, Math.ceil(n / mostSamples));
  const rows = db.all<{ sample: string }>(
    'SELECT sample FROM monitor WHERE run_seq = ? AND number % ? = 0 ORDER BY attempt, number',
    seq,
    stride,
  );
  return rows.flatMap(({ sample }) => {
    const parsed = monitorRecordSchema.safeParse(JSON.parse(sample));
    if (!parsed.success) return [];
    const record = parsed.data;
    return [
      {
        time: record.t,
        cpu: record.cpu ?? null,
        memoryBytes: record.rss ?? null,
        hostCpu: record.host_cpu ?? null,
        hostMemoryBytes: record.host_memory ?? null,
        gpus: (record.gpus ?? []).map((gpu) => ({
          index: gpu.index,
          utilisation: gpu.utilisation,
          memoryBytes: gpu.memory,
        })),
      },
    ];
  });
}

export interface CursorRow {
  file: string;
  generation: string;
  offset: number;
  base: number;
}

export function cursorRows(db: Statements, seq: number, attempt: number): CursorRow[] {
  return db.all(
    'SELECT file, generation, offset, base FROM cursors WHERE run_seq = ? AND attempt = ?',
    seq,
    attempt,
  );
}
