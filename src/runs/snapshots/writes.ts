import type { GitFacts } from '../../api/entities.ts';
import { RunyardError } from '../../api/errors.ts';
import type { Transaction, WriteOperations } from '../../store/writer-loop.ts';
import { runsOfSnapshot } from './queries.ts';

export interface KeptSnapshot {
  id: string;
  createdAt: number;
  sourceDirectory: string;
  files: number;
  bytes: number;
  git: GitFacts | null;
}

/** The changes of kept snapshots; they run in the writer thread. */
export const snapshotWrites = {
  /** Taken again, a snapshot is as new as the last time, with what git said then. */
  'snapshots.keep': (tx: Transaction, one: KeptSnapshot): void => {
    tx.run(
      `INSERT INTO snapshots (id, created_at, source_directory, files, bytes, git) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET created_at = excluded.created_at, source_directory = excluded.source_directory,
         git = excluded.git`,
      one.id,
      one.createdAt,
      one.sourceDirectory,
      one.files,
      one.bytes,
      one.git ? JSON.stringify(one.git) : null,
    );
  },

  'snapshots.drop': (tx: Transaction, { id }: { id: string }): void => {
    if (tx.run('DELETE FROM snapshots WHERE id = ?', id) > 0) return;
    const [run] = runsOfSnapshot(tx, id, 1);
    if (run === undefined)
      throw new RunyardError('not_found', `There is no snapshot "${id}" in this workspace.`);
    throw new RunyardError('conflict', `The snapshot ${id.slice(0, 12)} belongs to the run ${run}.`, {
      action: 'It goes when the last run that has it is deleted.',
    });
  },
} satisfies WriteOperations;

export type SnapshotWrites = typeof snapshotWrites;
