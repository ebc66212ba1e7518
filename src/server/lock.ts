import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/**
 * The right to be the server of a home: an exclusive transaction on a small database, which the system
 * frees when the process dies, however it dies.
 */
export class ServerLock {
  private readonly db: DatabaseSync;

  private constructor(db: DatabaseSync) {
    this.db = db;
  }

  /** The lock, or undefined when another process has it. */
  static acquire(serverDir: string): ServerLock | undefined {
    mkdirSync(serverDir, { recursive: true, mode: 0o700 });
    const db = new DatabaseSync(path.join(serverDir, 'lock.db'));
    try {
      db.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE;');
      return new ServerLock(db);
    } catch (error) {
      db.close();
      if (/locked|busy/i.test((error as Error).message)) return undefined;
      throw error;
    }
  }

  release(): void {
    this.db.close();
  }
}
