import type { RunConfiguration } from '../api/run-configuration.ts';
import { type BlobReader, readManifest } from '../snapshot/manifest.ts';
import { definedOf, overlaid } from './configuration/defined.ts';
import {
  type EnvironmentSource,
  resolveConfiguration,
  type ResolvedConfiguration,
  type SettingsOf,
} from './configuration/resolve.ts';
import type { Launch } from './launch.ts';
import { environmentOf, type RunRow } from './queries.ts';

/** What is to be different when a run is run again. */
export interface RerunArgs {
  configuration?: Partial<RunConfiguration> | undefined;
  experiment?: string | undefined;
  displayName?: string | undefined;
  interpreter?: string | undefined;
  useEnvironment?: string | undefined;
  useImage?: string | undefined;
  environment: Record<string, string>;
  requestId?: string | undefined;
}

/** A run's configuration with changes, resolved against its snapshot; without changes as it was. Throws as a submit
 * for what cannot be run. */
export async function changedConfiguration(
  blobs: BlobReader,
  row: RunRow,
  snapshot: string,
  { configuration: changes, interpreter, useEnvironment, useImage, environment }: RerunArgs,
  settingsOf: SettingsOf,
  environments: EnvironmentSource,
): Promise<ResolvedConfiguration & { configuration: RunConfiguration }> {
  const before = JSON.parse(row.configuration) as RunConfiguration;
  const launch = JSON.parse(row.launch) as Launch;
  const changed = definedOf(changes);
  const ref = environmentOf(row, launch);
  // A target may have become a Slurm cluster since, or be none any more.
  const isThere = (settingsOf(row.compute)?.scheduler === 'slurm') === Boolean(launch.slurm);
  const isChanged =
    Object.keys(changed).length > 0 || interpreter !== undefined || useEnvironment !== undefined;
  if (!isChanged && isThere) {
    return { configuration: before, launch, environment: ref, compute: row.compute, warnings: [] };
  }
  const configuration = overlaid({ target: row.compute, ...before }, changed);
  if (interpreter !== undefined) {
    const { environment: section } = configuration;
    configuration.environment = {
      ...section,
      python: { ...section?.python, interpreterPath: interpreter },
    };
  }
  const isFile = async (path: string) => {
    for await (const entries of readManifest(blobs, snapshot)) {
      if (entries.some((entry) => entry.path === path && 'hash' in entry)) return true;
    }
    return false;
  };
  // Another machine has its interpreters elsewhere.
  const same = configuration.target === row.compute;
  const as = launch.environment ? undefined : launch.interpreter;
  const submitter = { interpreter: same ? as : undefined, environment };
  // As it was, unless it is what changes; its files are those of the folder as they are now.
  const asBefore =
    useEnvironment === undefined &&
    interpreter === undefined &&
    row.environment !== null &&
    !('environment' in changed || 'docker' in changed);
  const resolved = await resolveConfiguration(
    row.source_directory,
    configuration,
    submitter,
    settingsOf,
    (find) =>
      asBefore
        ? environments.again(ref, configuration)
        : environments.choose(row.source_directory, configuration, find, useEnvironment, useImage),
    isFile,
  );
  return { ...resolved, configuration };
}
