import { statfsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { RunyardError } from '../api/errors.ts';

/** Steps of one capability, numbered from 1 by their place; a step that was released never changes. */
export interface Migrations {
  room: string;
  steps: readonly string[];
}

/** File systems on which SQLite's locks and shared memory cannot be relied upon (statfs(2) numbers). */
const networkFileSystems = new Map<number, string>([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x517b, 'SMB'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x19830326, 'BeeGFS'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
]);

/** Throws when `dir` is on a network file system, saying what to do. */
export function refuseNetworkFileSystem(dir: string): void {
  if (process.platform === 'win32') return;
  const kind = networkFileSystems.get(statfsSync(dir).type >>> 0);
  if (kind) {
    throw new RunyardError(
      'bad_request',
      `The folder ${dir} is on a network file system (${kind}), where a database is not safe.`,
      {
        action: 'Set RUNYARD_HOME (or the setting runyard.home) to a folder on a local disk.',
      },
    );
  }
}

/** Opens (and creates) a database for its one writer, and brings its schema up to date. */
export function openForWriting(file: string, migrations: readonly Migrations[]): DatabaseSync {
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const db = new DatabaseSync(file);
  try {
    db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;
             PRAGMA busy_timeout = 5000; PRAGMA wal_autocheckpoint = 16000; PRAGMA temp_store = MEMORY;
             PRAGMA journal_size_limit = 67108864;`);
    migrate(db, migrations);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Opens a database that exists, for reading only. Each reader has its own cache of statements. */
export function openForReading(file: string): Reader {
  const db = new DatabaseSync(file, { readOnly: true });
  db.exec('PRAGMA busy_timeout = 5000; PRAGMA cache_size = -8000;');
  return new Reader(db);
}

type Parameter = null | number | bigint | string | Uint8Array;

/** Prepared statements by their text: preparing costs more than running a small query. */
export class Statements {
  readonly db: DatabaseSync;
  private readonly cache = new Map<string, StatementSync>();

  constructor(db: DatabaseSync) {
    this.db = db;
  }

  /** Throws `not_found` once it is closed: a workspace may be deleted while a request is under way. */
  prepare(sql: string): StatementSync {
    if (!this.db.isOpen) throw new RunyardError('not_found', 'The workspace was closed meanwhile.');
    let statement = this.cache.get(sql);
    if (!statement) {
      statement = this.db.prepare(sql);
      this.cache.set(sql, statement);
    }
    return statement;
  }

  /** All rows. The caller names the row's type; columns are as the statement names them. */
  all<Row>(sql: string, ...parameters: Parameter[]): Row[] {
    return this.prepare(sql).all(...parameters) as Row[];
  }

  get<Row>(sql: string, ...parameters: Parameter[]): Row | undefined {
    return this.prepare(sql).get(...parameters) as Row | undefined;
  }

  /** Runs a statement that changes rows; how many is the result. */
  run(sql: string, ...parameters: Parameter[]): number {
    return Number(this.prepare(sql).run(...parameters).changes);
  }

  close(): void {
    this.cache.clear();
    this.db.close();
  }
}

/** Statements on a read-only connection. */
export class Reader extends Statements {}

const bookkeeping = `
  CREATE TABLE IF NOT EXISTS schema_migrations (
    room TEXT NOT NULL, number INTEGER NOT NULL, applied_at INTEGER NOT NULL,
    PRIMARY KEY (room, number)
  ) WITHOUT ROWID;`;

/** How many steps of each room a database has. */
export function appliedMigrations(db: DatabaseSync): Map<string, number> {
  db.exec(bookkeeping);
  const rows = db.prepare('SELECT room, max(number) AS number FROM schema_migrations GROUP BY room').all();
  return new Map(rows.map((row) => [String(row['room']), Number(row['number'])]));
}

/** Applies what is missing, all in one transaction. Throws when the database is newer than this program. */
export function migrate(db: DatabaseSync, migrations: readonly Migrations[]): void {
  const applied = appliedMigrations(db);
  const missing = migrations.filter(({ room, steps }) => (applied.get(room) ?? 0) !== steps.length);
  if (missing.length === 0) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    for (const { room, steps } of missing) {
      const done = applied.get(room) ?? 0;
      if (done > steps.length) {
        throw new RunyardError(
          'conflict',
          `The workspace was written by a newer Runyard (${room} ${done}).`,
          {
            action: 'Update Runyard.',
          },
        );
      }
      for (let number = done + 1; number <= steps.length; number++) {
        db.exec(steps[number - 1]!);
        db.prepare('INSERT INTO schema_migrations VALUES (?, ?, ?)').run(room, number, Date.now());
      }
    }
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
}
