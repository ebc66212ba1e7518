import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import path from 'node:path';
import { localCompute, type ComputeSettings } from '../../api/compute.ts';
import type { RunEnvironmentRef } from '../../api/environment.ts';
import { RunyardError } from '../../api/errors.ts';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import type { SpecEnvironment } from '../../protocol/messages.ts';
import type { Launch } from '../launch.ts';
import { layoutOf } from './distributed.ts';
import { slurmOf, type SchedulerSettings } from './slurm.ts';

/** Whether a file is among those that are run: in a folder, or in a snapshot of it. */
export type IsFile = (relative: string) => Promise<boolean>;

/** The environment that was chosen for it; `src/environments` has it. */
export interface ChosenEnvironment {
  ref: RunEnvironmentRef;
  spec: SpecEnvironment | null;
  /** The interpreter it names; null: the usual one. */
  interpreter: string | null;
  variables: Record<string, string>;
  warnings: string[];
}

/** Looks for what an environment without a build or container runs with. Throws `not_found`, `bad_request`. */
export type FindInterpreter = (named: string | null) => Promise<string>;

/** Says which environment a configuration asks for, and keeps it. */
export interface EnvironmentSource {
  /**
   * `asked` is a name, `name:version` or a file, whose packages go into `image`; files are those of the folder. What
   * is new is kept once `find` has found what it runs with. Throws `bad_request`, `not_found`.
   */
  choose(
    folder: string,
    configuration: RunConfiguration,
    find: FindInterpreter,
    asked?: string,
    image?: string,
  ): Promise<ChosenEnvironment>;
  /** That of an earlier run. Throws `not_found` when it is known no more. */
  again(ref: RunEnvironmentRef, configuration: RunConfiguration): ChosenEnvironment;
}

/** A configuration that can be run, and what has to be said about it. */
export interface ResolvedConfiguration {
  launch: Launch;
  environment: RunEnvironmentRef;
  compute: string;
  warnings: string[];
}

export interface Submitter {
  /** Interpreter the person has selected. */
  interpreter?: string | undefined;
  /** Their environment; PATH is looked at. */
  environment: Record<string, string>;
}

/** What a person has set of a target: null for this machine. Throws `not_found` for one that is not there. */
export type SettingsOf = (
  compute: string,
) => (Pick<ComputeSettings, 'interpreter'> & SchedulerSettings) | null;

const python3 = 'python3';
/** What no process can be given as an argument or variable. */
const unfit = /\0|\p{Surrogate}/u;

/**
 * Says what is to be run. Throws `bad_request` or `not_found` for what cannot be: nothing has been written
 * then.
 */
export async function resolveConfiguration(
  folder: string,
  configuration: RunConfiguration,
  submitter: Submitter,
  settingsOf: SettingsOf,
  environmentOf: (find: FindInterpreter) => ChosenEnvironment | Promise<ChosenEnvironment>,
  isFile: IsFile = (relative) => isFileOf(path.join(folder, relative)),
): Promise<ResolvedConfiguration> {
  const warnings: string[] = [];
  refuseUnsupported(configuration);
  warnAboutUnused(configuration, warnings);
  const compute = configuration.target || localCompute;
  const settings = settingsOf(compute);
  const layout = layoutOf(configuration, warnings);
  const slurm = slurmOf(configuration, compute, settings, layout, warnings);
  const what = await whatToRun(folder, configuration, isFile);
  stringsOf(configuration.environment?.environmentVariables);
  stringsOf(configuration.environmentVariables);
  const find: FindInterpreter = async (named) =>
    settings ? remoteInterpreter(named, submitter, settings) : findInterpreter(folder, named, submitter);
  const chosen = await environmentOf(find);
  warnings.push(...chosen.warnings);
  const { spec } = chosen;
  const interpreter = spec ? (spec.interpreter ?? 'python') : await find(chosen.interpreter);
  const launch = {
    ...what,
    command: what.isScript ? [interpreter, ...what.command!] : what.command,
    interpreter,
    python: spec !== null && what.isScript,
    environment: spec,
    variables: {
      ...chosen.variables,
      ...stringsOf(configuration.environment?.environmentVariables),
      ...stringsOf(configuration.environmentVariables),
    },
    slots: configuration.resources?.slots ?? 1,
    gpus: configuration.resources?.gpus ?? 0,
    ...layout,
    slurm,
    maxSeconds: configuration.maxRunDurationSeconds ?? null,
  };
  const { isScript: _, ...kept } = launch;
  const environment = spec ? chosen.ref : { ...chosen.ref, label: chosen.ref.label || interpreter };
  return { launch: kept, environment, compute, warnings };
}

function stringsOf(values: Record<string, string> | null | undefined): Record<string, string> {
  for (const [name, value] of Object.entries(values ?? {})) {
    if (name === '' || name.includes('=') || unfit.test(name)) {
      throw new RunyardError('bad_request', `"${name}" cannot be the name of an environment variable.`);
    }
    if (unfit.test(value)) {
      throw new RunyardError(
        'bad_request',
        `The environment variable ${name} holds a NUL or half a character.`,
      );
    }
  }
  return values ?? {};
}

async function whatToRun(
  folder: string,
  configuration: RunConfiguration,
  isFile: IsFile,
): Promise<Pick<Launch, 'script' | 'command' | 'shell'> & { isScript: boolean }> {
  const { script, command } = configuration;
  const args = configuration.arguments ?? [];
  if (
    [...args, script ?? '', ...(Array.isArray(command) ? command : [command ?? ''])].some((part) =>
      unfit.test(part),
    )
  ) {
    throw new RunyardError('bad_request', 'An argument holds a NUL or half a character.');
  }
  if (command && (typeof command === 'string' ? command.trim() : command.length > 0)) {
    if (script) {
      throw new RunyardError('bad_request', 'The run configuration has both "script" and "command".', {
        action: 'Keep one of the two.',
      });
    }
    if (typeof command === 'string')
      return { script: command.trim().slice(0, 200), command: null, shell: command, isScript: false };
    if (!command[0]) throw new RunyardError('bad_request', 'The "command" does not begin with a program.');
    return { script: command.join(' ').slice(0, 200), command, shell: null, isScript: false };
  }
  if (!script) {
    throw new RunyardError('bad_request', 'The run configuration says neither "script" nor "command".', {
      action: 'Say which script is to be run.',
    });
  }
  const file = path.resolve(folder, script);
  const relative = path.relative(folder, file);
  if (relative.startsWith('..') || path.isAbsolute(relative)) {
    throw new RunyardError('bad_request', `The script ${script} is outside the folder ${folder}.`, {
      action: 'Name a script inside the folder: only the folder is sent.',
    });
  }
  if (!(await isFile(relative.split(path.sep).join('/')))) {
    throw new RunyardError('not_found', `The script ${script} is not in ${folder}.`, {
      action: 'Name a script by its path in the folder, or choose another folder.',
    });
  }
  // "./" keeps a script named like an option from being one.
  const name = relative.split(path.sep).join('/');
  return {
    script: name,
    command: ['-u', name.startsWith('-') ? `./${name}` : name, ...args],
    shell: null,
    isScript: true,
  };
}

/** As on this machine, but looked for on the host, when the run starts there. */
function remoteInterpreter(
  named: string | null,
  submitter: Submitter,
  settings: Pick<ComputeSettings, 'interpreter'>,
): string {
  const asked = named ?? submitter.interpreter ?? settings.interpreter ?? python3;
  if (unfit.test(asked))
    throw new RunyardError('bad_request', 'The interpreter holds a NUL or half a character.');
  return asked;
}

/** The environment's interpreter, else the one the person has selected, else python3 of their PATH. */
export async function findInterpreter(
  folder: string,
  named: string | null,
  submitter: Submitter,
): Promise<string> {
  const asked = named ?? submitter.interpreter ?? python3;
  const candidates = asked.includes('/')
    ? [path.resolve(folder, asked)]
    : (submitter.environment['PATH'] ?? process.env['PATH'] ?? '')
        .split(path.delimiter)
        .filter(Boolean)
        .map((dir) => path.join(dir, asked));
  for (const file of candidates) {
    if (await isExecutable(file)) return file;
  }
  if (asked === python3) {
    throw new RunyardError('not_found', 'There is no python3 on the PATH.', {
      action: 'Install Python 3, or select an interpreter.',
    });
  }
  throw new RunyardError('not_found', `The Python interpreter ${asked} is not there or cannot be run.`, {
    action: 'Select another interpreter.',
  });
}

async function isFileOf(file: string): Promise<boolean> {
  return stat(file).then(
    (s) => s.isFile(),
    () => false,
  );
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

function refuseUnsupported(configuration: RunConfiguration): void {
  const { framework } = configuration;
  if (framework === 'PySpark' || framework === 'CNTK') {
    throw new RunyardError(
      'bad_request',
      `This version cannot run a configuration with framework: ${framework}.`,
      {
        action: 'Use framework: Python.',
      },
    );
  }
}

/** What Azure would have prepared and this version does not: said before, not found out after. */
function warnAboutUnused(configuration: RunConfiguration, warnings: string[]): void {
  for (const key of ['data', 'dataReferences', 'outputData'] as const) {
    const section = configuration[key];
    if (section && Object.keys(section).length > 0) warnings.push(`The section "${key}" is not used yet.`);
  }
}
