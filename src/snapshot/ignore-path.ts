import { lstat, open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { RunyardError } from '../api/errors.ts';
import { existingFolder } from './folder.ts';
import { gitText } from './git.ts';
import { amlIgnore, escaped } from './ignore-levels.ts';
import { ignoreFileOf } from './list-folder.ts';

/**
 * Leaves a path (text, relative to the folder) out of the folder's snapshots from now on: adds a line to the
 * ignore file that counts, making it if need be. Throws `not_found` when nothing is there, `conflict` when the
 * ignore file is no plain file, or when the line would leave nothing out because git tracks what is there.
 */
export async function ignorePath(folder: string, name: string): Promise<{ file: string; line: string }> {
  const root = await existingFolder(folder);
  const found = await lstat(path.join(root, name)).catch(() => undefined);
  if (!found) throw new RunyardError('not_found', `There is no ${name} in ${folder}.`);
  if (/[\r\n]/.test(name)) {
    throw new RunyardError('bad_request', 'No line of an ignore file can name a path with a line break.');
  }
  const file = ignoreFileOf(Buffer.from(root).toString('latin1'));
  const line = `/${escaped(name)}${found.isDirectory() ? '/' : ''}`;
  if (file !== amlIgnore && (await isTracked(root, name))) {
    throw new RunyardError('conflict', `Git tracks ${name}: a line in ${file} does not leave it out.`, {
      action: `Take it out of git (git rm --cached -r "${name}"), or write an .amlignore: it replaces every .gitignore.`,
    });
  }
  const target = path.join(root, file);
  const there = await lstat(target).catch(() => undefined);
  if (there && !there.isFile()) {
    throw new RunyardError('conflict', `${file} in ${folder} is not a plain file.`, {
      action: 'Replace it by a file, and try again.',
    });
  }
  const text = there ? await readFile(target, 'utf8') : '';
  if (text.split(/\r?\n/).includes(line)) return { file, line };
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const added = `${text}${text === '' || text.endsWith('\n') ? '' : newline}${line}${newline}`;
  await replace(target, added, there ? (await stat(target)).mode & 0o777 : 0o644);
  return { file, line };
}

/** Whether git has all that it would take of a path in its index already: no `.gitignore` changes that. */
async function isTracked(root: string, name: string): Promise<boolean> {
  const listed = (...which: string[]) =>
    gitText(root, ['--literal-pathspecs', 'ls-files', '-z', ...which, '--', name]);
  if (!(await listed('-c'))) return false;
  return !(await listed('-o', '--exclude-standard'));
}

/** Writes a file whole or not at all. */
async function replace(file: string, text: string, mode: number): Promise<void> {
  const temporary = `${file}.${process.pid}.tmp`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx', mode);
    await handle.writeFile(text);
    await handle.close();
    await rename(temporary, file);
  } catch (error) {
    await handle?.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}
