import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { RunyardError, systemErrorCode } from '../api/errors.ts';
import type { ReadText } from './requirements.ts';

const mostBytes = 1_000_000;

/** Reads text files below a folder. Throws `not_found`, `bad_request` for what is no plain file or outside. */
export function textReader(folder: string): ReadText {
  return async (relative) => {
    const file = path.resolve(folder, relative);
    if (path.relative(folder, file).startsWith('..')) {
      throw new RunyardError('bad_request', `${relative} is outside of ${folder}.`, {
        action: 'Name a file inside the folder.',
      });
    }
    let handle;
    try {
      // A pipe would be waited for.
      handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (cause) {
      if (!['ENOENT', 'ENOTDIR'].includes(systemErrorCode(cause) ?? '')) throw cause;
      throw new RunyardError('not_found', `There is no ${relative} in ${folder}.`, { cause });
    }
    try {
      const { size } = await handle.stat();
      if (!(await handle.stat()).isFile()) throw new RunyardError('bad_request', `${relative} is no file.`);
      if (size > mostBytes) throw new RunyardError('too_large', `${relative} has more than a megabyte.`);
      return (await handle.readFile('utf8')).replace(/^\uFEFF/, '');
    } finally {
      await handle.close();
    }
  };
}
