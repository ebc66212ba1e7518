import type {
  BuildLine,
  CreatedEnvironment,
  CreateEnvironmentRequest,
  Environment,
  EnvironmentComparison,
  EnvironmentDefinition,
  EnvironmentDetail,
  EnvironmentFacts,
  RunEnvironment,
  RunEnvironmentRef,
} from '../api/environment.ts';
import { environmentDefinitionSchema } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import type { RunConfiguration } from '../api/run-configuration.ts';
import type { Hosts } from '../compute/hosts.ts';
import type { SpecEnvironment } from '../protocol/messages.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import type { Writer } from '../store/writer.ts';
import { writeAzureEnvironment } from './azure.ts';
import { buildOn, mustBeBuilt } from './build.ts';
import { compareEnvironments } from './compare.ts';
import {
  canonicalJson,
  checkDefinition,
  hashOf,
  kindOf,
  runsOnHost,
  summaryOf,
  systemDefinition,
  unpinnedOf,
} from './definition.ts';
import { freeze } from './freeze.ts';
import { containerOptions, environmentOfConfiguration } from './from-configuration.ts';
import { definitionFromFile } from './from-file.ts';
import * as queries from './queries.ts';
import { plainContainer, specEnvironmentOf, type ContainerOptions } from './recipe.ts';
import type { EnvironmentWrites } from './writes.ts';

export interface EnvironmentServiceOptions {
  workspace: OpenWorkspace;
  writer: Writer;
  hosts: Hosts;
  /** What a run's host has said of its environment; null while it is not known. */
  factsOf(run: string): Promise<EnvironmentFacts | null>;
}

/** The environment that a run is going to have, in the shape `src/runs` asks for: the rooms stay apart. */
export interface ChosenEnvironment {
  ref: RunEnvironmentRef;
  /** What the agent is told; null where the command runs on the host as it is. */
  spec: SpecEnvironment | null;
  /** The interpreter it names; null: the usual one. */
  interpreter: string | null;
  variables: Record<string, string>;
  warnings: string[];
}

/** Environments of one workspace. */
export class EnvironmentService {
  private readonly options: EnvironmentServiceOptions;

  constructor(options: EnvironmentServiceOptions) {
    this.options = options;
  }

  list(): Environment[] {
    return queries.listEnvironments(this.reader);
  }

  /** Throws `not_found`. */
  get(asked: string): EnvironmentDetail {
    const found = queries.findEnvironment(this.reader, asked);
    return { ...found, usedBy: queries.runsOf(this.reader, found.hash) };
  }

  /** Registers a definition or what a file says. Throws `bad_request`, `not_found`. */
  create(request: CreateEnvironmentRequest): Promise<CreatedEnvironment> {
    const { name, file, definition, image, into, interpreter } = request;
    const { blobs } = this.options.workspace;
    return blobs.using(async () => {
      const found =
        file === undefined
          ? { definition: checkDefinition(environmentDefinitionSchema.parse(definition)), warnings: [] }
          : await definitionFromFile(blobs, file, {
              ...(image === undefined ? {} : { image }),
              ...(into === undefined ? {} : { into }),
              ...(interpreter === undefined ? {} : { interpreter }),
            });
      const { context } = found.definition;
      if (context !== null && !blobs.has(context))
        throw new RunyardError('not_found', `The files of the build (${context.slice(0, 12)}) are not here.`);
      return this.register(name, found.definition, found.warnings);
    });
  }

  /** Forgets a name or one version of it. Throws `conflict` while a run that uses it is active. */
  async delete(asked: string): Promise<void> {
    const { name, version } = queries.parseReference(asked);
    const { hash } = queries.findEnvironment(this.reader, asked);
    const active = queries.activeRunsOf(this.reader, hash);
    if (active > 0) {
      throw new RunyardError(
        'conflict',
        `${active} active ${active === 1 ? 'run uses' : 'runs use'} "${asked}".`,
        {
          action: 'Wait for the end, or cancel first.',
        },
      );
    }
    await this.write('environments.delete', { name, version });
  }

  export(asked: string, folder: string): Promise<{ files: string[]; warnings: string[] }> {
    return writeAzureEnvironment(folder, this.get(asked));
  }

  /** Registers a pinned copy. Throws `conflict` where nothing is known of what is installed. */
  async freeze(
    asked: string,
    request: { name?: string | undefined; run?: string | undefined },
  ): Promise<CreatedEnvironment> {
    const found = this.get(asked);
    const label = `${found.name}:${found.version}`;
    let facts: EnvironmentFacts | null = null;
    for (const run of request.run === undefined ? found.usedBy : [request.run]) {
      facts = await this.options.factsOf(run);
      if (facts?.packages) break;
    }
    const { definition, warnings } = freeze(found.definition, facts, label);
    return this.register(request.name ?? `${found.name}-frozen`, checkDefinition(definition), warnings);
  }

  /** Builds ahead of a run; see `buildOn`. Throws before the first line for what cannot be built. */
  build(
    asked: string,
    {
      compute,
      rebuild,
      variables,
    }: { compute: string; rebuild: boolean; variables?: Record<string, string> | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<BuildLine> {
    const found = this.get(asked);
    const label = `${found.name}:${found.version}`;
    const { hash, name, version } = found;
    const identity = { hash, name, version, label };
    const environment = mustBeBuilt(
      specEnvironmentOf(found.definition, identity, plainContainer, true),
      label,
    );
    const host = this.options.hosts.get(compute);
    return buildOn(environment, { host, blobs: this.options.workspace.blobs, rebuild, variables, signal });
  }

  /**
   * The environment for a submit: what was asked for by name or file (with `image`: its packages go into that one),
   * else what the configuration says. A definition that is new is kept, but one that runs on the host as it is only
   * once `find` has found its interpreter. Throws `bad_request`, `not_found` before anything is registered.
   */
  choose(
    folder: string,
    configuration: RunConfiguration,
    find: (interpreter: string | null) => Promise<string>,
    asked?: string,
    image?: string,
  ): Promise<ChosenEnvironment> {
    const { blobs } = this.options.workspace;
    if (image !== undefined && !asked?.startsWith('/')) {
      throw new RunyardError('bad_request', 'A registered environment says itself which image it is.', {
        action: 'Leave out the image, or name a file of packages to be installed into it.',
      });
    }
    return blobs.using(async () => {
      if (asked === undefined) {
        const found = await environmentOfConfiguration(blobs, folder, configuration);
        if (found.definition === null) {
          const reference = found.version === null ? found.name! : `${found.name}:${found.version}`;
          return this.registered(queries.findEnvironment(this.reader, reference), configuration);
        }
        const isSystem = canonicalJson(found.definition) === canonicalJson(systemDefinition);
        if (!isSystem && runsOnHost(found.definition)) await find(found.definition.interpreter);
        const { version } = isSystem ? { version: null } : await this.keep(found.name, found.definition);
        return this.chosen(found.definition, { ...found, version });
      }
      if (asked.startsWith('/')) {
        const { definition, warnings } = await definitionFromFile(
          blobs,
          asked,
          image === undefined ? {} : { image },
        );
        await this.keep(null, definition);
        const settings = settingsOf(configuration);
        settings.warnings.push(...warnings);
        return this.chosen(definition, { name: null, version: null, ...settings });
      }
      return this.registered(queries.findEnvironment(this.reader, asked), configuration);
    });
  }

  /** That of an earlier run. Throws `not_found` when its definition is known no more. */
  again(ref: RunEnvironmentRef, configuration: RunConfiguration): ChosenEnvironment {
    const definition = ref.hash === null ? systemDefinition : queries.definitionOf(this.reader, ref.hash);
    if (!definition) throw new RunyardError('not_found', `The environment ${ref.label} is known no more.`);
    return this.chosen(definition, { name: ref.name, version: ref.version, ...settingsOf(configuration) });
  }

  /** The environment of a run, as it was asked for and as it was found. */
  async ofRun(run: string, ref: RunEnvironmentRef): Promise<RunEnvironment> {
    const definition = ref.hash === null ? null : queries.definitionOf(this.reader, ref.hash);
    return {
      ...ref,
      definition,
      facts: await this.options.factsOf(run),
      unpinned: definition ? unpinnedOf(definition) : [],
    };
  }

  compare(left: RunEnvironment, right: RunEnvironment): EnvironmentComparison {
    return compareEnvironments(left, right);
  }

  private registered(found: Environment, configuration: RunConfiguration): ChosenEnvironment {
    const { name, version } = found;
    return this.chosen(found.definition, { name, version, ...settingsOf(configuration) });
  }

  private chosen(
    definition: EnvironmentDefinition,
    about: {
      name: string | null;
      version: number | null;
      options: ContainerOptions;
      prepare: boolean;
      warnings: string[];
    },
  ): ChosenEnvironment {
    const { name, version, options, prepare } = about;
    const hash = hashOf(definition);
    const kind = kindOf(definition);
    const label = name === null ? summaryOf(definition) : `${name}:${version}`;
    const spec = specEnvironmentOf(definition, { hash, name, version, label }, options, prepare);
    const unpinned = unpinnedOf(definition);
    const warnings = [...about.warnings];
    if (unpinned.length > 0) {
      const some = unpinned.slice(0, 5).join(', ') + (unpinned.length > 5 ? ', ...' : '');
      warnings.push(
        `${unpinned.length === 1 ? 'A package has' : `${unpinned.length} packages have`} no exact version (${some}): ` +
          'it stays what it is when the environment is first built; Rebuild renews it, Freeze pins it.',
      );
    }
    return {
      ref: {
        name,
        version,
        hash: kind === 'system' && name === null ? null : hash,
        kind,
        // The interpreter that is found names it.
        label: kind === 'system' && name === null ? '' : label,
      },
      spec,
      interpreter: definition.interpreter,
      variables: definition.variables,
      warnings,
    };
  }

  private async register(
    name: string,
    definition: EnvironmentDefinition,
    warnings: string[],
  ): Promise<CreatedEnvironment> {
    const { version, created } = await this.keep(name, definition);
    return { ...queries.findEnvironment(this.reader, `${name}:${version}`), created, warnings };
  }

  private keep(
    name: string | null,
    definition: EnvironmentDefinition,
  ): Promise<{ version: number | null; created: boolean }> {
    const hash = hashOf(definition);
    return this.write('environments.register', { name, hash, definition, createdAt: Date.now() });
  }

  private write<N extends keyof EnvironmentWrites & string>(
    operation: N,
    args: Parameters<EnvironmentWrites[N]>[1],
  ): Promise<ReturnType<EnvironmentWrites[N]>> {
    const { writer, workspace } = this.options;
    return writer.write<EnvironmentWrites, N>(workspace.file, operation, args as never) as Promise<
      ReturnType<EnvironmentWrites[N]>
    >;
  }

  private get reader() {
    return this.options.workspace.reader;
  }
}

/** What a configuration says beside the definition. */
function settingsOf(configuration: RunConfiguration): {
  options: ContainerOptions;
  prepare: boolean;
  warnings: string[];
} {
  const warnings: string[] = [];
  const options = containerOptions(configuration, warnings);
  return { options, prepare: configuration.autoPrepareEnvironment !== false, warnings };
}
