import type { Migrations } from '../store/database.ts';

/**
 * Metric bytes are in tables apart from what is searched (a window over ten million points is 28 times
 * slower when they share a row), and keyed by a row id.
 */
export const runMigrations: Migrations = {
  room: 'runs',
  steps: [
    `
    CREATE TABLE experiments (
      id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at INTEGER NOT NULL,
      last_number INTEGER NOT NULL DEFAULT 0);

    CREATE TABLE runs (
      seq INTEGER PRIMARY KEY AUTOINCREMENT,
      id TEXT NOT NULL UNIQUE,
      experiment_id INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
      number INTEGER NOT NULL,
      display_name TEXT NOT NULL,
      parent_id TEXT REFERENCES runs (id) ON DELETE CASCADE,
      status TEXT NOT NULL,
      status_reason TEXT NOT NULL DEFAULT '',
      compute TEXT NOT NULL,
      script TEXT NOT NULL,
      created_at INTEGER NOT NULL,
      started_at INTEGER, ended_at INTEGER,
      exit_code INTEGER,
      error TEXT,
      snapshot_id TEXT, snapshot_files INTEGER, snapshot_bytes INTEGER,
      request_id TEXT UNIQUE,
      source_directory TEXT NOT NULL,
      configuration TEXT NOT NULL,
      launch TEXT NOT NULL,
      git TEXT,
      warnings TEXT NOT NULL DEFAULT '[]',
      bad_lines INTEGER NOT NULL DEFAULT 0, bad_reason TEXT);
    CREATE INDEX runs_by_experiment ON runs (experiment_id, seq DESC);
    CREATE INDEX runs_by_parent ON runs (parent_id);
    CREATE INDEX runs_active ON runs (status)
      WHERE status NOT IN ('Completed', 'Failed', 'Canceled');

    CREATE TABLE attempts (
      run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
      number INTEGER NOT NULL,
      created_at INTEGER NOT NULL,
      ending TEXT,
      sealed INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (run_seq, number)) WITHOUT ROWID;

    CREATE TABLE run_events (
      run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
      number INTEGER NOT NULL,
      attempt INTEGER NOT NULL, time INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL,
      PRIMARY KEY (run_seq, number)) WITHOUT ROWID;

    CREATE TABLE run_values (
      run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
      kind TEXT NOT NULL CHECK (kind IN ('tag', 'parameter', 'property')),
      name TEXT NOT NULL, value TEXT NOT NULL,
      PRIMARY KEY (run_seq, kind, name)) WITHOUT ROWID;

    CREATE TABLE cursors (
      run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
      attempt INTEGER NOT NULL, file TEXT NOT NULL,
      generation TEXT NOT NULL, offset INTEGER NOT NULL, base INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (run_seq, attempt, file)) WITHOUT ROWID;

    CREATE TABLE documents (
      id INTEGER PRIMARY KEY,
      run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
      type TEXT NOT NULL, name TEXT NOT NULL, step REAL, time INTEGER NOT NULL, value TEXT NOT NULL);
    CREATE INDEX documents_by_run ON documents (run_seq, name);

    CREATE TABLE images (
      id INTEGER PRIMARY KEY,
      run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
      name TEXT NOT NULL, path TEXT NOT NULL, step REAL, time INTEGER NOT NULL);
    CREATE INDEX images_by_run ON images (run_seq, name);

    CREATE TABLE artifacts (
      run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
      attempt INTEGER NOT NULL, path TEXT NOT NULL,
      size INTEGER NOT NULL, modified_at INTEGER NOT NULL, hash TEXT, stored INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (run_seq, path)) WITHOUT ROWID;

    CREATE TABLE monitor (
      run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
      attempt INTEGER NOT NULL, number INTEGER NOT NULL, sample TEXT NOT NULL,
      PRIMARY KEY (run_seq, attempt, number)) WITHOUT ROWID;

    CREATE TABLE series (
      id INTEGER PRIMARY KEY,
      run_seq INTEGER NOT NULL REFERENCES runs (seq) ON DELETE CASCADE,
      name TEXT NOT NULL,
      count INTEGER NOT NULL DEFAULT 0, non_finite INTEGER NOT NULL DEFAULT 0,
      min REAL, max REAL, full INTEGER NOT NULL DEFAULT 0,
      first_step REAL, last_step REAL, last_time REAL, last_value,
      UNIQUE (run_seq, name));

    CREATE TABLE chunks (
      id INTEGER PRIMARY KEY,
      series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
      count INTEGER NOT NULL,
      step_min REAL, step_max REAL, time_min REAL, time_max REAL,
      quarters BLOB NOT NULL);
    CREATE INDEX chunks_by_series ON chunks (series_id, id);
    CREATE TABLE chunk_points (
      id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE, points BLOB NOT NULL);
    CREATE TABLE chunk_groups (
      id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE, rows BLOB NOT NULL);
    CREATE TABLE blocks (
      id INTEGER PRIMARY KEY,
      series_id INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
      last_chunk INTEGER NOT NULL,
      step_min REAL, step_max REAL, time_min REAL, time_max REAL);
    CREATE INDEX blocks_by_series ON blocks (series_id, id);
    CREATE TABLE block_rows (
      id INTEGER PRIMARY KEY REFERENCES blocks (id) ON DELETE CASCADE,
      chunk_ids BLOB NOT NULL, quarters BLOB NOT NULL);
    `,
    // Whether the host knows that it was collected, and what exists only there.
    'ALTER TABLE attempts ADD COLUMN told INTEGER NOT NULL DEFAULT 0',
    // Deleted here; their folders are still on the host, as far as anybody knows.
    'CREATE TABLE removals (run TEXT PRIMARY KEY, compute TEXT NOT NULL) WITHOUT ROWID',
    // Which environment a run uses (`RunEnvironmentRef`); null in runs of before there were any.
    `ALTER TABLE runs ADD COLUMN environment TEXT;
     CREATE INDEX runs_by_environment ON runs (json_extract(environment, '$.hash'));`,
    // What a cluster's scheduler says (`RunScheduler`), and of which attempt things are: a later one takes their place.
    `ALTER TABLE runs ADD COLUMN scheduler TEXT;
     ALTER TABLE series ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
     ALTER TABLE documents ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
     ALTER TABLE images ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;
     ALTER TABLE run_values ADD COLUMN attempt INTEGER NOT NULL DEFAULT 1;`,
  ],
};
