import {
  environmentDefinitionSchema,
  type Environment,
  type EnvironmentDefinition,
} from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import type { Statements } from '../store/database.ts';
import { kindOf, summaryOf, unpinnedOf } from './definition.ts';

interface Row {
  name: string;
  version: number;
  hash: string;
  created_at: number;
  definition: string;
}

const selectRows = `
  SELECT environments.name, version, environments.hash, environments.created_at, definition
  FROM environments JOIN environment_definitions ON environment_definitions.hash = environments.hash`;

/** Each at its latest version, by name. */
export function listEnvironments(db: Statements): Environment[] {
  return db
    .all<Row>(
      `${selectRows} WHERE version = (SELECT max(version) FROM environments AS other WHERE other.name = environments.name)
       ORDER BY environments.name`,
    )
    .map((row) => toEnvironment(db, row));
}

/** `name` (its latest version) or `name:version`. Throws `not_found`, naming what there is. */
export function findEnvironment(db: Statements, asked: string): Environment {
  const { name, version } = parseReference(asked);
  const row = db.get<Row>(
    `${selectRows} WHERE environments.name = ? AND (? IS NULL OR version = ?) ORDER BY version DESC LIMIT 1`,
    name,
    version,
    version,
  );
  if (row) return toEnvironment(db, row);
  const versions = versionsOf(db, name);
  if (versions.length > 0) {
    throw new RunyardError('not_found', `The environment "${name}" has no version ${version}.`, {
      action: `Its versions are ${versions.join(', ')}.`,
    });
  }
  const names = db.all<{ name: string }>('SELECT DISTINCT name FROM environments ORDER BY name');
  throw new RunyardError('not_found', `There is no environment "${name}".`, {
    action:
      names.length > 0
        ? `There is: ${names.map((one) => one.name).join(', ')}.`
        : 'Create it from a requirements.txt, environment.yml, pyproject.toml or Dockerfile.',
  });
}

/** Names hold no colon, so the last one begins a version. */
export function parseReference(asked: string): { name: string; version: number | null } {
  const found = /^(.*):(\d{1,9})$/.exec(asked);
  return found ? { name: found[1]!, version: Number(found[2]) } : { name: asked, version: null };
}

/** Null for a run of before there were environments. */
export function definitionOf(db: Statements, hash: string): EnvironmentDefinition | null {
  const row = db.get<{ definition: string }>(
    'SELECT definition FROM environment_definitions WHERE hash = ?',
    hash,
  );
  return row ? environmentDefinitionSchema.parse(JSON.parse(row.definition)) : null;
}

const usedBy = `FROM runs WHERE json_extract(environment, '$.hash') = ?`;
const mostRuns = 100;

/** Runs that used a definition, newest first. */
export function runsOf(db: Statements, hash: string): string[] {
  return db
    .all<{ id: string }>(`SELECT id ${usedBy} ORDER BY seq DESC LIMIT ${mostRuns}`, hash)
    .map(({ id }) => id);
}

export function activeRunsOf(db: Statements, hash: string): number {
  return db.get<{ n: number }>(
    `SELECT count(*) AS n ${usedBy} AND status NOT IN ('Completed', 'Failed', 'Canceled')`,
    hash,
  )!.n;
}

function versionsOf(db: Statements, name: string): number[] {
  return db
    .all<{ version: number }>('SELECT version FROM environments WHERE name = ? ORDER BY version', name)
    .map(({ version }) => version);
}

function toEnvironment(db: Statements, row: Row): Environment {
  const definition = environmentDefinitionSchema.parse(JSON.parse(row.definition));
  return {
    name: row.name,
    version: row.version,
    hash: row.hash,
    kind: kindOf(definition),
    summary: summaryOf(definition),
    definition,
    createdAt: row.created_at,
    versions: versionsOf(db, row.name),
    runs: db.get<{ n: number }>(`SELECT count(*) AS n ${usedBy}`, row.hash)!.n,
    unpinned: unpinnedOf(definition),
  };
}
