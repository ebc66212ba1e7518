import type { Migrations } from '../store/database.ts';

/** Definitions by hash, and the names and versions under which they are registered. After `runMigrations`. */
export const environmentMigrations: Migrations = {
  room: 'environments',
  steps: [
    `
    CREATE TABLE environment_definitions (
      hash TEXT PRIMARY KEY, definition TEXT NOT NULL, context TEXT, created_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE environments (
      name TEXT NOT NULL, version INTEGER NOT NULL,
      hash TEXT NOT NULL REFERENCES environment_definitions (hash),
      created_at INTEGER NOT NULL,
      PRIMARY KEY (name, version)) WITHOUT ROWID;
    CREATE INDEX environments_by_hash ON environments (hash);
    `,
  ],
};
