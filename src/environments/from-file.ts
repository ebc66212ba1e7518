import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { CreateEnvironmentRequest, EnvironmentDefinition } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import type { Blobs } from '../store/blobs.ts';
import { azureFiles, readAzureEnvironment } from './azure.ts';
import { readConda } from './conda.ts';
import { storeContext } from './context.ts';
import { checkDefinition, definitionOf } from './definition.ts';
import { copiedPaths } from './dockerfile.ts';
import { readPackages } from './packages-file.ts';
import { textReader } from './read-text.ts';

type Into = Pick<CreateEnvironmentRequest, 'image' | 'into' | 'interpreter'>;

/** A definition that was read from a file; what it needs beside is stored. */
export interface FromFile {
  definition: EnvironmentDefinition;
  warnings: string[];
}

/**
 * Reads a requirements.txt, conda file, pyproject.toml, Dockerfile, or Azure's `azureml_environment.json` (or the
 * folder of one). Call it while blobs are in `using`. Throws `bad_request` for anything else, `not_found`.
 */
export async function definitionFromFile(blobs: Blobs, asked: string, into: Into = {}): Promise<FromFile> {
  const file = await fileMeant(asked);
  const folder = path.dirname(file);
  const name = path.basename(file);
  const read = textReader(folder);
  const text = await read(name);
  const warnings: string[] = [];
  let found: Partial<EnvironmentDefinition>;
  let paths: string[] | null;
  let docker = false;
  if (name === azureFiles.definition) {
    const azure = await readAzureEnvironment(text, read);
    warnings.push(...azure.warnings);
    ({ paths, definition: found } = azure);
  } else if (/dockerfile/i.test(name) || /\.dockerfile$/i.test(name)) {
    found = { dockerfile: text };
    docker = true;
    paths = copiedPaths(text);
    if (into.image !== undefined)
      throw new RunyardError('bad_request', 'A Dockerfile names its own base image.', {
        action: 'Leave out the image.',
      });
  } else if (name === 'pyproject.toml' || /\.(txt|in|pip)$/i.test(name)) {
    const packages = await readPackages(name, read);
    warnings.push(...packages.warnings);
    found = { requirements: packages.text };
    paths = packages.paths;
  } else if (/\.ya?ml$/i.test(name)) {
    const conda = await readConda(text, name, read);
    warnings.push(...conda.warnings);
    found = { condaSpecification: conda.specification, variables: conda.variables };
    paths = conda.paths;
  } else {
    throw new RunyardError('bad_request', `${name} is nothing an environment can be made of.`, {
      action:
        'Use a requirements.txt, environment.yml, pyproject.toml, Dockerfile or azureml_environment.json.',
    });
  }
  const definition = checkDefinition(
    definitionOf({
      ...found,
      ...(into.image === undefined ? {} : { image: into.image }),
      ...(into.into === undefined ? {} : { into: into.into }),
      ...(into.interpreter === undefined ? {} : { interpreter: into.interpreter }),
    }),
  );
  return {
    definition: { ...definition, context: await storeContext(blobs, folder, paths, { docker }) },
    warnings,
  };
}

async function fileMeant(asked: string): Promise<string> {
  if (!path.isAbsolute(asked)) throw new RunyardError('bad_request', `"${asked}" is not an absolute path.`);
  const found = await stat(asked).catch(() => undefined);
  if (!found) throw new RunyardError('not_found', `There is no ${asked}.`);
  return found.isDirectory() ? path.join(asked, azureFiles.definition) : asked;
}
