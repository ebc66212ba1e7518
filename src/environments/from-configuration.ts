import path from 'node:path';
import { environmentNameSchema, type EnvironmentDefinition } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import type { RunConfiguration } from '../api/run-configuration.ts';
import type { Blobs } from '../store/blobs.ts';
import { fromAzureSection } from './azure.ts';
import { storeContext } from './context.ts';
import { checkDefinition, systemDefinition } from './definition.ts';
import { copiedPaths } from './dockerfile.ts';
import { textReader } from './read-text.ts';
import { defaultImage, plainContainer, type ContainerOptions } from './recipe.ts';

/** What a run configuration says of its environment. */
export interface Configured {
  /** Null where it only names a registered one. */
  definition: EnvironmentDefinition | null;
  name: string | null;
  version: number | null;
  options: ContainerOptions;
  prepare: boolean;
  warnings: string[];
}

/**
 * Reads the sections `environment` and `docker` (Azure ML v1's schema). Files are those of the folder. Call it while
 * blobs are in `using`. Throws `bad_request`, `not_found`.
 */
export async function environmentOfConfiguration(
  blobs: Blobs,
  folder: string,
  configuration: RunConfiguration,
): Promise<Configured> {
  const environment = configuration.environment ?? {};
  const warnings: string[] = [];
  const options = containerOptions(configuration, warnings);
  const prepare = configuration.autoPrepareEnvironment !== false;
  const name = environment.name || null;
  const version = versionOf(environment.version);
  const base = { name, version, options, prepare, warnings };
  const container = wantsContainer(configuration);
  const found = await fromAzureSection(
    {
      ...environment,
      environmentVariables: {},
      docker: { ...environment.docker, ...imageOf(configuration) },
    },
    container,
    textReader(folder),
  );
  warnings.push(...found.warnings);
  const definition = { ...found.definition };
  const empty = JSON.stringify(definition) === JSON.stringify(systemDefinition);
  // Only a name is a reference; keys beside it, even without effect, are what Azure's own files have.
  if (name && empty && !environment.python && !environment.docker && !container)
    return { ...base, definition: null };
  if (container && definition.image === null && definition.dockerfile === null) {
    if (name && empty && !environment.python) return { ...base, definition: null };
    definition.image = defaultImage(definition);
  }
  checkDefinition(definition);
  const file = environment.docker?.baseDockerfile ?? configuration.docker?.baseDockerfile;
  const ofFile = definition.dockerfile !== null && file && file !== definition.dockerfile;
  const contextFolder = ofFile ? path.resolve(folder, path.dirname(file)) : folder;
  const paths =
    definition.dockerfile === null ? found.paths : ofFile ? copiedPaths(definition.dockerfile) : [];
  const context = await storeContext(blobs, contextFolder, paths, { docker: definition.dockerfile !== null });
  // A name whose section says nothing that has to be there is Azure's habit, not an environment of one's own.
  const own = !empty || context !== null || container;
  return { ...base, name: own ? nameOf(name) : null, definition: { ...definition, context } };
}

function imageOf({ docker }: RunConfiguration): { baseImage?: string; baseDockerfile?: string } {
  return {
    ...(docker?.baseImage ? { baseImage: docker.baseImage } : {}),
    ...(docker?.baseDockerfile ? { baseDockerfile: docker.baseDockerfile } : {}),
  };
}

/** The later top-level section wins over the earlier one of the environment, as in Azure's SDK. */
function wantsContainer({ docker, environment }: RunConfiguration): boolean {
  return (
    docker?.useDocker ??
    docker?.enabled ??
    environment?.docker?.useDocker ??
    environment?.docker?.enabled ??
    false
  );
}

export function containerOptions(
  { docker: later, environment }: RunConfiguration,
  warnings: string[] = [],
): ContainerOptions {
  const earlier = environment?.docker;
  const registry = later?.baseImageRegistry ?? earlier?.baseImageRegistry;
  if (registry && (registry['username'] || registry['password'])) {
    warnings.push(
      'baseImageRegistry: user name and password are not used and not kept; sign in with "docker login" on the target.',
    );
  }
  const size = (value: string | null | undefined, key: string) => {
    if (!value) return null;
    if (!/^\d+(\.\d+)?\s*([bkmgt]i?b?)?$/i.test(value.trim()))
      throw new RunyardError('bad_request', `docker.${key}: "${value}" is no size.`, {
        action: 'Write it as 512m or 2g.',
      });
    return value
      .trim()
      .replace(/\s+/g, '')
      .replace(/([kmgt])i?b$/i, '$1')
      .toLowerCase();
  };
  return {
    ...plainContainer,
    shm_size: size(later?.shmSize ?? earlier?.shmSize, 'shmSize'),
    memory: size(later?.memory ?? earlier?.memory, 'memory'),
    cpus: later?.cpus ?? earlier?.cpus ?? null,
    network: later?.network ?? earlier?.network ?? null,
    arguments: later?.arguments ?? earlier?.arguments ?? [],
    all_gpus: later?.gpuSupport ?? earlier?.gpuSupport ?? false,
  };
}

/** Content is registered under it: it must be one that can be asked for again. */
function nameOf(name: string | null): string | null {
  if (!name) return null;
  if (environmentNameSchema.safeParse(name).success) return name;
  throw new RunyardError(
    'bad_request',
    `environment.name: ${JSON.stringify(name.slice(0, 100))} cannot be the name of an environment.`,
    { action: 'Use letters, digits, spaces, ".", "_" and "-"; a version is said by environment.version.' },
  );
}

function versionOf(value: string | null | undefined): number | null {
  if (value === null || value === undefined || value === '') return null;
  // Azure's own automatic versions name nothing here.
  return /^\d+$/.test(value) ? Number(value) : null;
}
