import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import type { FoundConfiguration } from '../../api/entities.ts';
import { RunyardError, systemErrorCode } from '../../api/errors.ts';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import { parseConfiguration, type ParsedConfiguration } from './parse.ts';

/** Where run configurations are; Azure ML v1's folder is read, ours is also written. */
const folders = ['.runyard', '.azureml'];
const extension = '.runconfig';

/** All run configurations of a folder, also those that cannot be used, with the reason. */
export async function findConfigurations(folder: string): Promise<FoundConfiguration[]> {
  const found: FoundConfiguration[] = [];
  for (const dir of folders) {
    const names = await readdir(path.join(folder, dir)).catch(() => [] as string[]);
    for (const file of names.filter((name) => name.endsWith(extension)).sort()) {
      const name = file.slice(0, -extension.length);
      if (found.some((other) => other.name === name)) continue;
      found.push(await describe(folder, `${dir}/${file}`, name));
    }
  }
  return found;
}

async function describe(folder: string, relative: string, name: string): Promise<FoundConfiguration> {
  const base = { name, path: relative };
  try {
    const { configuration, warnings } = await read(folder, relative);
    return { ...base, configuration, warnings, problem: null };
  } catch (error) {
    return { ...base, configuration: null, warnings: [], problem: (error as Error).message };
  }
}

/** The configuration of that name. Throws `not_found`, or `bad_request` with file, line and key. */
export async function readConfiguration(folder: string, name: string): Promise<ParsedConfiguration> {
  if (/[/\\\0]/.test(name))
    throw new RunyardError('bad_request', `"${name}" is not a run configuration's name.`);
  for (const dir of folders) {
    try {
      return await read(folder, `${dir}/${name}${extension}`);
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }
  const known = (await findConfigurations(folder)).map((one) => one.name);
  throw new RunyardError('not_found', `There is no run configuration "${name}" in ${folder}.`, {
    action: known.length > 0 ? `There is: ${known.join(', ')}.` : 'Submit once to write one.',
  });
}

async function read(folder: string, relative: string): Promise<ParsedConfiguration> {
  return parseConfiguration(await readPlain(path.join(folder, relative), relative), relative);
}

/** The text of a plain file: a pipe would be waited for, and hold up everybody else's files. */
async function readPlain(file: string, shown: string): Promise<string> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if ((await handle.stat()).isFile()) return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
  throw new RunyardError('bad_request', `${shown} is no file.`);
}

/** Writes `.runyard/<name>.runconfig`; the path relative to the folder is the result. */
export async function writeConfiguration(
  folder: string,
  name: string,
  configuration: RunConfiguration,
): Promise<string> {
  const dir = path.join(folder, folders[0]!);
  const file = path.join(dir, `${name}${extension}`);
  const text =
    '# A Runyard run configuration; the schema is that of Azure Machine Learning v1.\n' +
    stringify(configuration);
  try {
    await mkdir(dir, { recursive: true });
    await writeFile(`${file}.tmp`, text);
    await rename(`${file}.tmp`, file);
  } catch (cause) {
    throw new RunyardError('not_permitted', `The run configuration cannot be written to ${file}.`, {
      action: 'Check who owns the folder.',
      cause,
    });
  }
  return path.relative(folder, file);
}

const likelyScripts = ['train.py', 'main.py', 'run.py', 'score.py', 'app.py'];

/** Python files at the top of a folder, the likeliest entry script first. */
export async function findScripts(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const rank = (name: string) => {
    const known = likelyScripts.indexOf(name);
    if (known >= 0) return known;
    return name.startsWith('train') ? 10 : name.startsWith('_') || name === 'setup.py' ? 30 : 20;
  };
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.py'))
    .map((entry) => entry.name)
    .sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}
