import type { Migrations } from '../../store/database.ts';

/** Snapshots that are kept without a run; those of runs are in the runs' rows. After `runMigrations`. */
export const snapshotMigrations: Migrations = {
  room: 'snapshots',
  steps: [
    `
    CREATE TABLE snapshots (
      id TEXT PRIMARY KEY, created_at INTEGER NOT NULL, source_directory TEXT NOT NULL,
      files INTEGER NOT NULL, bytes INTEGER NOT NULL, git TEXT) WITHOUT ROWID;
    CREATE INDEX runs_by_snapshot ON runs (snapshot_id);
    `,
  ],
};
