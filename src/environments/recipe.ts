import type { EnvironmentDefinition } from '../api/environment.ts';
import type { Recipe, SpecEnvironment } from '../protocol/messages.ts';
import { condaFiles, pipOnly, pythonVersionOf } from './conda.ts';
import { baseImageOf } from './dockerfile.ts';
import { isContainer, runsOnHost } from './definition.ts';
import { constraintsOf } from './requirements.ts';

/** How a container is to be run; what a run configuration's docker sections say. */
export type ContainerOptions = Omit<NonNullable<SpecEnvironment['container']>, 'image'>;

export const plainContainer: ContainerOptions = {
  shm_size: null,
  memory: null,
  cpus: null,
  network: null,
  arguments: [],
  all_gpus: false,
};

export interface Identity {
  hash: string;
  name: string | null;
  version: number | null;
  label: string;
}

/** Where a build in an image finds its files. */
const place = '/opt/runyard';

/** Base images where nobody names one. */
const defaultCondaImage = 'condaforge/miniforge3';
const defaultPython = '3.12';

/** What an image is built on where packages are asked for and no image is named. */
export function defaultImage({ condaSpecification }: EnvironmentDefinition): string {
  if (condaSpecification && !pipOnly(condaSpecification)) return defaultCondaImage;
  const version = (condaSpecification && pythonVersionOf(condaSpecification)) ?? defaultPython;
  return `python:${version.includes('.') ? version : defaultPython}-slim`;
}

/** What the agent is told; null where the command runs on the host as it is. */
export function specEnvironmentOf(
  definition: EnvironmentDefinition,
  identity: Identity,
  options: ContainerOptions,
  prepare: boolean,
): SpecEnvironment | null {
  if (runsOnHost(definition)) return null;
  const container = isContainer(definition);
  const recipe = recipeOf(definition);
  return {
    ...identity,
    recipe,
    conda_environment: definition.condaEnvironment,
    // A venv is made with it; everywhere else it is what runs.
    interpreter: container ? definition.interpreter : null,
    container: container ? { image: recipe ? null : definition.image, ...options } : null,
    prepare,
  };
}

/** What has to be built; null where nothing has. */
export function recipeOf(definition: EnvironmentDefinition): Recipe | null {
  const { image, dockerfile, requirements, condaSpecification: conda, context, interpreter } = definition;
  if (dockerfile !== null || (image !== null && (requirements !== null || conda !== null))) {
    return imageRecipe(definition);
  }
  if (image !== null) return null;
  const venv = (text: string) =>
    ({ kind: 'venv', files: requirementFiles(text), context, interpreter }) as const;
  if (conda !== null) {
    const pip = conda.pip.map((line) => `${line}\n`).join('');
    if (definition.into === 'venv') return venv(pip);
    return {
      kind: 'conda',
      files: condaFiles(conda),
      context,
      otherwise: definition.into === 'auto' && pipOnly(conda) ? venv(pip) : null,
    };
  }
  if (requirements === null) return null;
  if (definition.into === 'conda') {
    const pip = requirements.split('\n').filter(Boolean);
    const specification = { channels: [], conda: ['python'], pip };
    return {
      kind: 'conda',
      files: condaFiles(specification),
      context,
      otherwise: null,
    };
  }
  return venv(requirements);
}

function requirementFiles(text: string): Record<string, string> {
  const constraints = constraintsOf(text);
  if (constraints === null) return { 'requirements.txt': text };
  return { 'requirements.txt': `-c constraints.txt\n${text}`, 'constraints.txt': constraints };
}

function imageRecipe(definition: EnvironmentDefinition): Recipe {
  const { image, dockerfile, requirements, condaSpecification: conda, context } = definition;
  const base = image ?? baseImageOf(dockerfile!);
  const lines = [dockerfile === null ? `FROM ${image}` : dockerfile.trimEnd()];
  const files: Record<string, string> = {};
  if (requirements !== null || conda !== null) {
    if (dockerfile !== null) lines.push('USER root');
    lines.push(`COPY . ${place}/`);
    if (requirements !== null) {
      Object.assign(files, requirementFiles(requirements));
      lines.push(installPip());
    } else {
      Object.assign(files, condaFiles(conda!));
      const pip = pipOnly(conda!) ? requirementFiles(conda!.pip.map((line) => `${line}\n`).join('')) : null;
      Object.assign(files, pip);
      lines.push(installConda(pip !== null), `ENV PATH=${place}/conda/bin:$PATH CONDA_PREFIX=${place}/conda`);
    }
  }
  files['Dockerfile'] = `${lines.join('\n')}\n`;
  return { kind: 'image', files, context, base };
}

/** Images of distributions refuse to install beside their own packages unless one insists (PEP 668). */
const pip = 'PIP_BREAK_SYSTEM_PACKAGES=1 PIP_ROOT_USER_ACTION=ignore';
const pipCommand =
  'python=$(command -v python3 || command -v python) || { echo "The image has no Python." >&2; exit 1; };' +
  ` ${pip} "$python" -I -m pip install --no-cache-dir --disable-pip-version-check --no-input --progress-bar off -r requirements.txt`;

function installPip(): string {
  return `RUN cd ${place} && ${pipCommand}`;
}

/** By the image's own conda; without one pip does where it can. */
function installConda(orPip: boolean): string {
  const otherwise = orPip
    ? `mkdir -p conda/bin; ${pipCommand}`
    : 'echo "The image has no mamba, micromamba or conda." >&2; exit 1';
  return [
    `RUN cd ${place} &&`,
    'if command -v micromamba >/dev/null; then micromamba create -y -q -p ./conda -f environment.yml;',
    'elif command -v mamba >/dev/null; then mamba env create -q -p ./conda -f environment.yml;',
    'elif command -v conda >/dev/null; then conda env create -q -p ./conda -f environment.yml;',
    `else ${otherwise}; fi`,
  ].join(' ');
}
