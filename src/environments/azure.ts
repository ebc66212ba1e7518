import { lstat, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { EnvironmentDefinition } from '../api/environment.ts';
import { RunyardError, systemErrorCode } from '../api/errors.ts';
import { formatConda, fromObject, readConda } from './conda.ts';
import { definitionOf, isContainer } from './definition.ts';
import { readPackages } from './packages-file.ts';
import { constraintMark, type ReadText } from './requirements.ts';

/** Azure ML v1's names for what `Environment.save_to_directory` writes. */
export const azureFiles = {
  definition: 'azureml_environment.json',
  conda: 'conda_dependencies.yml',
  dockerfile: 'BaseDockerfile',
};

/** What an environment section of Azure says (`azureml_environment.json`, and `environment` of a `.runconfig`). */
export interface AzureSection {
  name?: string | null | undefined;
  environmentVariables?: Record<string, string> | null | undefined;
  python?:
    | {
        userManagedDependencies?: boolean | null | undefined;
        interpreterPath?: string | null | undefined;
        condaDependenciesFile?: string | null | undefined;
        condaDependencies?: unknown;
        requirementsFile?: string | null | undefined;
        baseCondaEnvironment?: string | null | undefined;
      }
    | null
    | undefined;
  docker?:
    | {
        enabled?: boolean | null | undefined;
        baseImage?: string | null | undefined;
        baseDockerfile?: string | null | undefined;
        platform?: unknown;
      }
    | null
    | undefined;
}

export interface FromAzure {
  definition: EnvironmentDefinition;
  paths: string[];
  warnings: string[];
}

/**
 * The definition that a section stands for. `container` says whether the image counts (`docker.enabled`,
 * `useDocker`). `read` reads files beside it. Throws `bad_request`, `not_found`.
 */
export async function fromAzureSection(
  section: AzureSection,
  container: boolean,
  read: ReadText,
): Promise<FromAzure> {
  const { python, docker } = section;
  const warnings: string[] = [];
  const found: Partial<EnvironmentDefinition> = { variables: section.environmentVariables ?? {} };
  const interpreter = python?.interpreterPath;
  // "python" is what Azure writes when nobody said anything.
  if (interpreter && interpreter !== 'python') found.interpreter = interpreter;
  let paths: string[] = [];
  if (python && python.userManagedDependencies !== true) {
    const file = python.condaDependenciesFile;
    const conda = python.condaDependencies
      ? await fromObject(python.condaDependencies, 'condaDependencies', read)
      : file
        ? await readConda(await read(file), file, read)
        : undefined;
    if (conda) {
      warnings.push(...conda.warnings);
      paths = conda.paths;
      found.variables = { ...conda.variables, ...found.variables };
      const { conda: names, pip } = conda.specification;
      // Azure writes an empty specification where nothing is asked for.
      if (pip.length > 0 || names.some((one) => !/^(python|pip)\b/.test(one)))
        found.condaSpecification = conda.specification;
    }
    if (python.requirementsFile) {
      if (found.condaSpecification)
        throw wrong('An environment has either conda dependencies or a requirements file, not both.');
      const requirements = await readPackages(python.requirementsFile, read);
      warnings.push(...requirements.warnings);
      found.requirements = requirements.text;
      paths = requirements.paths;
    }
    if (python.baseCondaEnvironment && !container) {
      if (found.condaSpecification || found.requirements)
        warnings.push('baseCondaEnvironment is not used: the packages go into an environment of their own.');
      else found.condaEnvironment = python.baseCondaEnvironment;
    }
  } else if (python?.baseCondaEnvironment && !container) {
    found.condaEnvironment = python.baseCondaEnvironment;
  }
  if (container) {
    if (docker?.baseDockerfile) found.dockerfile = await dockerfileOf(docker.baseDockerfile, read);
    else if (docker?.baseImage) found.image = docker.baseImage;
  }
  return { definition: definitionOf(found), paths, warnings };
}

/** Azure takes a Dockerfile's text or its path. */
async function dockerfileOf(value: string, read: ReadText): Promise<string> {
  return /\n|^\s*FROM\s/i.test(value) ? value : read(value);
}

/** Reads `azureml_environment.json` and the files beside it. */
export async function readAzureEnvironment(
  text: string,
  read: ReadText,
): Promise<FromAzure & { name: string | null }> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw wrong(`${azureFiles.definition}: ${(cause as Error).message}`);
  }
  const section = sectionOf(value);
  const exists = async (file: string) =>
    read(file).then(
      () => true,
      () => false,
    );
  const python = section.python ?? {};
  if (!python.condaDependencies && !python.condaDependenciesFile && (await exists(azureFiles.conda)))
    python.condaDependenciesFile = azureFiles.conda;
  const docker = section.docker ?? {};
  if (!docker.baseDockerfile && (await exists(azureFiles.dockerfile)))
    docker.baseDockerfile = azureFiles.dockerfile;
  // A saved environment has no switch: an image of its own is meant, Azure's default image is not.
  const custom = docker.baseImage && !/^mcr\.microsoft\.com\/azureml\//.test(docker.baseImage);
  const container = docker.enabled === true || Boolean(docker.baseDockerfile) || Boolean(custom);
  const found = await fromAzureSection({ ...section, python, docker }, container, read);
  return { ...found, name: section.name ?? null };
}

/** Writes the files of `save_to_directory`; nothing is written over. The absolute paths are the result. */
export async function writeAzureEnvironment(
  folder: string,
  { name, version, definition }: { name: string; version: number; definition: EnvironmentDefinition },
): Promise<{ files: string[]; warnings: string[] }> {
  const { condaSpecification, requirements, image, dockerfile, variables, interpreter, condaEnvironment } =
    definition;
  const conda =
    condaSpecification ??
    (requirements === null
      ? null
      : { channels: [], conda: ['python'], pip: requirements.split('\n').filter(Boolean) });
  const constraints = (conda?.pip ?? []).filter((line) => line.startsWith(constraintMark));
  const document = {
    name,
    version: String(version),
    environmentVariables: variables,
    python: {
      userManagedDependencies: conda === null,
      interpreterPath: interpreter ?? 'python',
      condaDependenciesFile: null,
      baseCondaEnvironment: condaEnvironment,
    },
    docker: {
      enabled: isContainer(definition),
      baseImage: image,
      baseDockerfile: null,
      shmSize: '2g',
      arguments: [],
    },
    inferencingStackVersion: null,
  };
  const texts: [string, string][] = [[azureFiles.definition, `${JSON.stringify(document, null, 2)}\n`]];
  if (conda) {
    const pip = conda.pip.filter((line) => !constraints.includes(line));
    texts.push([azureFiles.conda, formatConda({ ...conda, pip }, name)]);
  }
  if (dockerfile !== null) texts.push([azureFiles.dockerfile, dockerfile]);
  const files: string[] = texts.map(([file]) => path.join(folder, file));
  for (const file of files) {
    if (
      await lstat(file).then(
        () => true,
        () => false,
      )
    ) {
      throw new RunyardError('conflict', `${file} is there already.`, { action: 'Choose an empty folder.' });
    }
  }
  try {
    await mkdir(folder, { recursive: true });
    for (const [file, text] of texts) await writeFile(path.join(folder, file), text, { flag: 'wx' });
  } catch (cause) {
    if (systemErrorCode(cause) === undefined) throw cause;
    throw new RunyardError(
      'not_permitted',
      `The environment cannot be written to ${folder}: ${(cause as Error).message}.`,
      {
        action: 'Choose another folder.',
        cause,
      },
    );
  }
  const warnings: string[] = [];
  if (definition.context !== null)
    warnings.push('Files that the build needs beside it are not written: Azure has no place for them.');
  if (constraints.length > 0)
    warnings.push('Constraints of packages are not written: Azure has no place for them.');
  return { files, warnings };
}

const words = z.string().nullish();
const sectionSchema = z.object({
  name: words,
  environmentVariables: z.record(z.string(), z.string()).nullish(),
  python: z
    .object({
      userManagedDependencies: z.boolean().nullish(),
      interpreterPath: words,
      condaDependenciesFile: words,
      condaDependencies: z.unknown().optional(),
      baseCondaEnvironment: words,
    })
    .nullish(),
  docker: z.object({ enabled: z.boolean().nullish(), baseImage: words, baseDockerfile: words }).nullish(),
});

function sectionOf(value: unknown): AzureSection {
  const parsed = sectionSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path: at, message } = parsed.error.issues[0]!;
  if (at.length === 0) throw wrong(`${azureFiles.definition} is no environment.`);
  throw wrong(`${azureFiles.definition}: ${at.join('.')}: ${message}.`);
}

function wrong(message: string): RunyardError {
  return new RunyardError('bad_request', message, { action: 'Correct the file.' });
}
