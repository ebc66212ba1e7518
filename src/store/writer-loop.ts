import type { MessagePort } from 'node:worker_threads';
import { errorFromSqlite } from './sqlite-errors.ts';
import { openForWriting, Statements, type Migrations } from './database.ts';

/** One transaction of the writer. What `emit` is given is published once the transaction is committed. */
export interface Transaction extends Statements {
  /** A numbered event of the workspace: stored, and sent to whoever listens. */
  emit(event: object): void;
  /** A hint to whoever listens now; not stored. */
  hint(event: object): void;
  /** Called when the transaction fails: caches that were changed with it must be dropped. */
  onRollback(callback: () => void): void;
}

/** A change, by name. Runs in the writer thread, inside one transaction; synchronous. */
export type WriteOperations = Record<string, (tx: Transaction, args: never) => unknown>;

export interface WriteMessage {
  id: number;
  file: string;
  operation: string;
  args: unknown;
}

export interface WriteReply {
  id: number;
  result?: unknown;
  error?: { code: string; message: string; action?: string | undefined; stack?: string | undefined };
  events: { id: number | null; event: object }[];
}

/** Reserved operation names. */
export const openOperation = 'store.open';
export const closeOperation = 'store.close';

/** Stored events beyond this many are dropped, oldest first: a client that was away longer starts afresh. */
const keptEvents = 20_000;

export const storeMigrations: Migrations = {
  room: 'store',
  steps: [
    `CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
     CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;`,
  ],
};

class WriterTransaction extends Statements implements Transaction {
  events: WriteReply['events'] = [];
  rollbacks: (() => void)[] = [];

  emit(event: object): void {
    const info = this.prepare('INSERT INTO events (event) VALUES (?)').run(JSON.stringify(event));
    const id = Number(info.lastInsertRowid);
    if (id % 1000 === 0) this.run('DELETE FROM events WHERE id <= ?', id - keptEvents);
    this.events.push({ id, event });
  }

  hint(event: object): void {
    this.events.push({ id: null, event });
  }

  onRollback(callback: () => void): void {
    this.rollbacks.push(callback);
  }
}

/**
 * The writer thread: takes changes one at a time, each in a transaction of its own, and answers with the
 * result and the events. One thread writes all workspaces of a home.
 */
export function runWriterLoop(
  port: MessagePort,
  operations: WriteOperations,
  migrations: readonly Migrations[],
): void {
  const open = new Map<string, WriterTransaction>();

  const handle = (message: WriteMessage): Omit<WriteReply, 'id'> => {
    if (message.operation === openOperation) {
      if (!open.has(message.file)) {
        open.set(
          message.file,
          new WriterTransaction(openForWriting(message.file, [storeMigrations, ...migrations])),
        );
      }
      return { events: [] };
    }
    const tx = open.get(message.file);
    if (message.operation === closeOperation) {
      tx?.close();
      open.delete(message.file);
      return { events: [] };
    }
    const operation = operations[message.operation];
    if (!tx || !operation) throw new Error(`cannot do ${message.operation} on ${message.file}`);
    tx.events = [];
    tx.rollbacks = [];
    tx.db.exec('BEGIN IMMEDIATE');
    try {
      const result = operation(tx, message.args as never);
      tx.db.exec('COMMIT');
      return { result, events: tx.events };
    } catch (error) {
      if (tx.db.isTransaction) tx.db.exec('ROLLBACK');
      for (const callback of tx.rollbacks) callback();
      throw error;
    }
  };

  port.on('message', (message: WriteMessage) => {
    let reply: WriteReply;
    try {
      reply = { id: message.id, ...handle(message) };
    } catch (error) {
      const known = errorFromSqlite(error, message.file);
      reply = {
        id: message.id,
        error: {
          code: known.code,
          message: known.message,
          action: known.action,
          stack: (error as Error).stack,
        },
        events: [],
      };
    }
    port.postMessage(reply);
  });
}
