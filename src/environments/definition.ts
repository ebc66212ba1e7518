import { createHash } from 'node:crypto';
import {
  environmentDefinitionSchema,
  type EnvironmentDefinition,
  type EnvironmentKind,
} from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import { isCondaPinned, pipOnly } from './conda.ts';
import { hasLongWord, isPinned, packageLines, refuseSecrets, requirementName } from './requirements.ts';

/** Canonical JSON: members sorted by name, no white space. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`;
}

/** SHA-256 over what an environment contains: the same content is the same environment. */
export function hashOf(definition: EnvironmentDefinition): string {
  return createHash('sha256').update(canonicalJson(definition)).digest('hex');
}

/** The definition with its defaults. Throws `bad_request`, `too_large` for what is none. */
export function definitionOf(members: Partial<EnvironmentDefinition>): EnvironmentDefinition {
  const parsed = environmentDefinitionSchema.safeParse(members);
  if (parsed.success) return parsed.data;
  const { path, message, code } = parsed.error.issues[0]!;
  if (code === 'too_big')
    throw new RunyardError('too_large', `The environment's ${path.join('.')} has more than a megabyte.`);
  throw new RunyardError('bad_request', `The environment's ${path.join('.')}: ${message}.`);
}

/** An environment with nothing in it: the host's own Python. */
export const systemDefinition: EnvironmentDefinition = environmentDefinitionSchema.parse({});

export function kindOf(definition: EnvironmentDefinition): EnvironmentKind {
  if (definition.dockerfile !== null) return 'dockerfile';
  if (definition.image !== null) return 'image';
  if (definition.condaEnvironment !== null) return 'conda-environment';
  if (definition.condaSpecification !== null) return definition.into === 'venv' ? 'venv' : 'conda';
  if (definition.requirements !== null) return definition.into === 'conda' ? 'conda' : 'venv';
  return definition.interpreter !== null ? 'interpreter' : 'system';
}

/** Whether it is run in a container. */
export function isContainer(definition: EnvironmentDefinition): boolean {
  return definition.image !== null || definition.dockerfile !== null;
}

/** Whether a command runs with an interpreter of the host as it is: nothing is built, and there is no container. */
export function runsOnHost(definition: EnvironmentDefinition): boolean {
  return ['system', 'interpreter'].includes(kindOf(definition));
}

/** What pip and conda are asked to install. */
export function packagesOf({ requirements, condaSpecification }: EnvironmentDefinition): string[] {
  return [
    ...(condaSpecification?.conda ?? []),
    ...(condaSpecification?.pip ?? []).filter((line) => requirementName(line) !== undefined),
    ...packageLines(requirements ?? ''),
  ];
}

/** What it is, in a line. */
export function summaryOf(definition: EnvironmentDefinition): string {
  const packages = packagesOf(definition).length;
  const withPackages = packages > 0 ? ` with ${packages} ${packages === 1 ? 'package' : 'packages'}` : '';
  switch (kindOf(definition)) {
    case 'dockerfile':
      return `image of a Dockerfile${withPackages}`;
    case 'image':
      return `image ${definition.image}${withPackages}`;
    case 'conda-environment':
      return `conda environment ${definition.condaEnvironment}`;
    case 'conda':
      return `conda${withPackages}`;
    case 'venv':
      return `venv${withPackages}`;
    case 'interpreter':
      return definition.interpreter!;
    case 'system':
      return "the host's own Python";
  }
}

/** Packages whose version is decided when it is built, and stays as it was then. */
export function unpinnedOf({ requirements, condaSpecification }: EnvironmentDefinition): string[] {
  const pip = [
    ...packageLines(requirements ?? ''),
    ...packageLines((condaSpecification?.pip ?? []).join('\n')),
  ];
  return [
    ...(condaSpecification?.conda ?? []).filter((one) => !isCondaPinned(one)),
    ...pip.filter((line) => !isPinned(line)).map((line) => requirementName(line) ?? line),
  ];
}

/** The name of an image without its registry, its tag and its digest. */
function repositoryOf(image: string): string {
  const parts = image
    .replace(/^\w+:\/\//, '')
    .replace(/@.*$/, '')
    .replace(/:[^/]*$/, '')
    .split('/');
  return (parts.length > 1 ? parts.slice(1) : parts).join('/');
}

/** Whether an image is a file of the target (`.sif`, or a folder), which Apptainer runs as it is. */
function isImagePath(image: string): boolean {
  return /^(\/|~\/)[^\0\n]+$/.test(image) || /^[\w][^\0\n:]*\.sif$/.test(image);
}

/** Throws `bad_request` for what contradicts itself. */
export function checkDefinition(definition: EnvironmentDefinition): EnvironmentDefinition {
  const { image, dockerfile, condaEnvironment, requirements, condaSpecification, into } = definition;
  const refuse = (message: string, action: string): never => {
    throw new RunyardError('bad_request', message, { action });
  };
  if (image !== null && dockerfile !== null)
    refuse('An environment has either a base image or a Dockerfile, not both.', 'Remove one of the two.');
  const isPath = image !== null && isImagePath(image);
  if (image !== null && !isPath && !/^(\w+:\/\/)?[\w][\w./:@-]*$/.test(image))
    refuse(`"${image}" cannot be the name of an image.`, 'Write it as name:tag.');
  if (image !== null && !isPath && /[A-Z]/.test(repositoryOf(image)))
    refuse(`"${image}" cannot be the name of an image.`, 'Write it in small letters.');
  if (dockerfile !== null && !/^[ \t]*FROM\s/im.test(dockerfile))
    refuse('The Dockerfile has no FROM line.', 'Begin it with FROM and a base image.');
  if (requirements !== null && condaSpecification !== null)
    refuse(
      'An environment has either requirements or a conda specification.',
      'Put pip packages below "pip:".',
    );
  const packages = requirements !== null || condaSpecification !== null;
  if (isPath && packages)
    refuse(
      `Packages cannot be installed into the image ${image}, which is a file.`,
      'Make a file that has them, or name an image of a registry.',
    );
  if (condaEnvironment !== null && (packages || isContainer(definition)))
    refuse(
      'An existing conda environment is used as it is: without packages, without an image.',
      'Remove the one or the other.',
    );
  if (into === 'image' && !isContainer(definition))
    refuse(
      'Packages cannot go into an image: none is named.',
      'Name a base image, such as python:3.12-slim.',
    );
  if ((into === 'venv' || into === 'conda') && isContainer(definition))
    refuse(`Packages of an image are installed into it, not into a ${into}.`, 'Leave out "into".');
  if (into === 'venv' && condaSpecification !== null && !pipOnly(condaSpecification))
    refuse('A venv holds pip packages only; the conda specification has others.', 'Use conda, or an image.');
  const written = [...packagesAndOptions(definition), ...(condaSpecification?.channels ?? [])];
  for (const line of written) {
    if (hasLongWord(line)) refuse('A line of the packages is too long to be one.', 'Correct it.');
    refuseSecrets(line, 'The packages');
  }
  for (const text of [definition.interpreter, condaEnvironment, ...written, dockerfile])
    if (text?.includes('\0')) refuse('The environment holds a NUL.', 'Correct it.');
  for (const [name, value] of Object.entries(definition.variables)) {
    if (name === '' || /[=]|\0|\p{Surrogate}/u.test(name) || /\0|\p{Surrogate}/u.test(value))
      refuse(`"${name}" cannot be an environment variable.`, 'Correct its name or its value.');
  }
  return definition;
}

/** Every line of packages, with pip's options. */
function packagesAndOptions({ requirements, condaSpecification }: EnvironmentDefinition): string[] {
  return [
    ...(requirements ?? '').split('\n'),
    ...(condaSpecification?.conda ?? []),
    ...(condaSpecification?.pip ?? []),
  ];
}
