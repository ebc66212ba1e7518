import type { GitFacts, Snapshot } from '../../api/entities.ts';
import { gitFactsSchema } from '../../api/entities.ts';
import { RunyardError } from '../../api/errors.ts';
import type { Statements } from '../../store/database.ts';

/** What somebody means by a name: a snapshot, and the run they asked for it by. */
export interface Meant {
  id: string;
  run: string | null;
}

interface Facts {
  files: number;
  bytes: number;
  created_at: number;
  source_directory: string;
  git: string | null;
}

const mostRuns = 100;
const hexadecimal = /^[0-9a-f]{6,64}$/;

/**
 * What a snapshot's id, the beginning of one, or a run's id stands for. Only what a run has or what is kept: the
 * hash of any other blob is no snapshot. Throws `not_found`; `conflict` when it is not one snapshot.
 */
export function resolveSnapshot(db: Statements, name: string): Meant {
  const run = db.get<{ snapshot_id: string | null }>('SELECT snapshot_id FROM runs WHERE id = ?', name);
  if (run) {
    if (run.snapshot_id) return { id: run.snapshot_id, run: name };
    throw new RunyardError('conflict', `The run ${name} has no snapshot (yet).`);
  }
  const found = hexadecimal.test(name) ? startingWith(db, name) : [];
  if (found.length > 1) {
    throw new RunyardError('conflict', `"${name}" is the beginning of several snapshots.`, {
      action: `Say more of it: ${found.map((id) => id.slice(0, name.length + 6)).join(', ')}.`,
    });
  }
  if (found.length === 1) return { id: found[0]!, run: null };
  throw new RunyardError('not_found', `There is no snapshot "${name}" in this workspace.`, {
    action: 'Use its id, its first six characters or more, or the id of a run.',
  });
}

function startingWith(db: Statements, prefix: string): string[] {
  const range = [prefix, `${prefix}g`];
  const rows = db.all<{ id: string }>(
    `SELECT id FROM snapshots WHERE id >= ? AND id < ?
     UNION SELECT DISTINCT snapshot_id FROM runs WHERE snapshot_id >= ? AND snapshot_id < ? LIMIT 4`,
    ...range,
    ...range,
  );
  return rows.map(({ id }) => id);
}

/** Runs that have a snapshot, newest first. */
export function runsOfSnapshot(db: Statements, id: string, limit = mostRuns): string[] {
  return db
    .all<{ id: string }>('SELECT id FROM runs WHERE snapshot_id = ? ORDER BY seq DESC LIMIT ?', id, limit)
    .map((row) => row.id);
}

/** A snapshot as it was meant: folder and git facts are those of the run that was asked for. */
export function describeSnapshot(db: Statements, { id, run }: Meant): Snapshot {
  const kept = db.get<Facts>('SELECT * FROM snapshots WHERE id = ?', id);
  const ofRun = () =>
    db.get<Facts>(
      `SELECT snapshot_files AS files, snapshot_bytes AS bytes, created_at, source_directory, git FROM runs
       WHERE snapshot_id = ? AND (? IS NULL OR id = ?) ORDER BY seq DESC LIMIT 1`,
      id,
      run,
      run,
    );
  const facts = run === null ? (kept ?? ofRun()) : ofRun();
  if (!facts) throw new RunyardError('not_found', `There is no snapshot "${id}" in this workspace.`);
  return {
    id,
    files: facts.files ?? 0,
    bytes: facts.bytes ?? 0,
    createdAt: facts.created_at,
    sourceDirectory: facts.source_directory,
    git: gitOf(facts.git),
    runs: runsOfSnapshot(db, id),
    kept: kept !== undefined,
  };
}

/** Snapshots that are kept, newest first. */
export function keptSnapshots(db: Statements): Snapshot[] {
  return db
    .all<{ id: string }>('SELECT id FROM snapshots ORDER BY created_at DESC, id')
    .map(({ id }) => describeSnapshot(db, { id, run: null }));
}

/** Facts of an older Runyard lack what came later. */
function gitOf(text: string | null): GitFacts | null {
  return text === null ? null : gitFactsSchema.parse(JSON.parse(text));
}
