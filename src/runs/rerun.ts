import type { RunConfiguration } from '../api/run-configuration.ts';
import { type BlobReader, readManifest } from '../snapshot/manifest.ts';
import { definedOf } from './configuration/defined.ts';
import {
  resolveConfiguration,
  type ResolvedConfiguration,
  type SettingsOf,
} from './configuration/resolve.ts';
import type { Launch } from './launch.ts';
import type { RunRow } from './queries.ts';

/** What is to be different when a run is run again. */
export interface RerunArgs {
  configuration?: Partial<RunConfiguration> | undefined;
  experiment?: string | undefined;
  displayName?: string | undefined;
  interpreter?: string | undefined;
  environment: Record<string, string>;
  requestId?: string | undefined;
}

/** A run's configuration with changes, resolved against its snapshot; without changes as it was. Throws as a submit
 * for what cannot be run. */
export async function changedConfiguration(
  blobs: BlobReader,
  row: RunRow,
  snapshot: string,
  { configuration: changes, interpreter, environment }: RerunArgs,
  settingsOf: SettingsOf,
): Promise<ResolvedConfiguration & { configuration: RunConfiguration }> {
  const before = JSON.parse(row.configuration) as RunConfiguration;
  const launch = JSON.parse(row.launch) as Launch;
  const changed = definedOf(changes);
  if (Object.keys(changed).length === 0 && interpreter === undefined) {
    settingsOf(row.compute);
    return { configuration: before, launch, compute: row.compute, warnings: [] };
  }
  const configuration: RunConfiguration = { target: row.compute, ...before, ...changed };
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
  const submitter = { interpreter: same ? launch.interpreter : undefined, environment };
  const resolved = await resolveConfiguration(
    row.source_directory,
    configuration,
    submitter,
    settingsOf,
    isFile,
  );
  return { ...resolved, configuration };
}
