import type { EnvironmentDefinition } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import type { Transaction, WriteOperations } from '../store/writer-loop.ts';

export interface Registration {
  /** Null: only its content is kept, for the runs that use it. */
  name: string | null;
  hash: string;
  definition: EnvironmentDefinition;
  createdAt: number;
}

/** The changes of this capability; they run in the writer thread. */
export const environmentWrites = {
  /**
   * Keeps a definition, and registers it under a name. The content of a name's latest version again gives that
   * version; any other content makes the next one.
   */
  'environments.register': (
    tx: Transaction,
    { name, hash, definition, createdAt }: Registration,
  ): { version: number | null; created: boolean } => {
    tx.run(
      `INSERT INTO environment_definitions (hash, definition, context, created_at) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET created_at = excluded.created_at`,
      hash,
      JSON.stringify(definition),
      definition.context,
      createdAt,
    );
    if (name === null) return { version: null, created: false };
    const last = tx.get<{ version: number; hash: string }>(
      'SELECT version, hash FROM environments WHERE name = ? ORDER BY version DESC LIMIT 1',
      name,
    );
    if (last?.hash === hash) return { version: last.version, created: false };
    const version = (last?.version ?? 0) + 1;
    tx.run(
      'INSERT INTO environments (name, version, hash, created_at) VALUES (?, ?, ?, ?)',
      name,
      version,
      hash,
      createdAt,
    );
    tx.emit({ type: 'environments' });
    return { version, created: true };
  },

  /** Forgets a name, or one version of it. What runs used stays with them. */
  'environments.delete': (
    tx: Transaction,
    { name, version }: { name: string; version: number | null },
  ): void => {
    const gone = tx.run(
      'DELETE FROM environments WHERE name = ? AND (? IS NULL OR version = ?)',
      name,
      version,
      version,
    );
    if (gone === 0) throw new RunyardError('not_found', `There is no environment "${name}".`);
    tx.emit({ type: 'environments' });
  },
} satisfies WriteOperations;

export type EnvironmentWrites = typeof environmentWrites;
