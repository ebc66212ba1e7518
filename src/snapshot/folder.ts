import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { RunyardError, systemErrorCode } from '../api/errors.ts';

/** The folder's real path. Throws RunyardError when it is none or cannot be read. */
export async function existingFolder(folder: string): Promise<string> {
  try {
    const root = await realpath(folder);
    if ((await stat(root)).isDirectory()) return root;
  } catch (cause) {
    throw noFolder(folder, cause);
  }
  throw new RunyardError('bad_request', `${folder} is not a folder.`);
}

/** The same for a thread that may block; the folder can be read, too. */
export function readableFolder(folder: string): string {
  let root: string;
  try {
    root = realpathSync(folder);
    if (!statSync(root).isDirectory()) throw new RunyardError('bad_request', `${folder} is not a folder.`);
    accessSync(root, constants.R_OK | constants.X_OK);
  } catch (cause) {
    if (cause instanceof RunyardError) throw cause;
    throw noFolder(folder, cause);
  }
  return root;
}

/** Where a folder really is, or would be. */
export function resolved(folder: string): string {
  try {
    return realpathSync(folder);
  } catch {
    return folder;
  }
}

function noFolder(folder: string, cause: unknown): RunyardError {
  const code = systemErrorCode(cause);
  if (code === 'EACCES' || code === 'EPERM') {
    return new RunyardError('not_permitted', `The folder ${folder} cannot be read.`, { cause });
  }
  return new RunyardError('not_found', `The folder ${folder} is not there.`, { cause });
}

/** The error for something inside the folder (a binary path) that cannot be read. */
export function unreadable(binary: string, cause: unknown): RunyardError {
  const name = Buffer.from(binary, 'latin1').toString('utf8');
  return new RunyardError(
    'not_permitted',
    `${name} cannot be read (${systemErrorCode(cause) ?? 'unknown error'}).`,
    { action: 'Change its rights, or leave it out by .amlignore or .gitignore.', cause },
  );
}
