import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { RunyardError } from '../api/errors.ts';
import { fileProblem } from './file-problem.ts';
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
      throw fileProblem(cause, relative, folder);
    }
    try {
      const { size } = await handle.stat();
      if (!(await handle.stat()).isFile()) throw new RunyardError('bad_request', `${relative} is no file.`);
      if (size > mostBytes) throw new RunyardError('too_large', `${relative} has more than a megabyte.`);
      const text = textOf(await handle.readFile());
      if (text.includes('\0')) {
        throw new RunyardError('bad_request', `${relative} in ${folder} is no text file.`, {
          action: 'Choose another file.',
        });
      }
      return text;
    } finally {
      await handle.close();
    }
  };
}

/** UTF-8, or what a byte order mark says: PowerShell's `pip freeze > requirements.txt` is UTF-16. */
function textOf(data: Buffer): string {
  const encoding =
    data[0] === 0xff && data[1] === 0xfe
      ? 'utf-16le'
      : data[0] === 0xfe && data[1] === 0xff
        ? 'utf-16be'
        : 'utf-8';
  return new TextDecoder(encoding).decode(data);
}
