import path from 'node:path';
import { readPyProject } from './pyproject.ts';
import { readRequirements, type ReadText, type Requirements } from './requirements.ts';

/** The packages that a requirements.txt or the dependencies of a pyproject.toml ask for. Throws as their readers. */
export async function readPackages(
  file: string,
  read: ReadText,
): Promise<Requirements & { warnings: string[] }> {
  if (path.posix.basename(file) !== 'pyproject.toml')
    return { ...(await readRequirements(file, read)), warnings: [] };
  const { requirements, warnings } = readPyProject(await read(file), file);
  return { ...(await readRequirements(file, () => Promise.resolve(requirements.join('\n')))), warnings };
}
