import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { RunyardError, systemErrorCode } from '../api/errors.ts';

/** Writes a stream into a file; a file that was there is replaced once everything has arrived. */
export async function writeFileFrom(stream: NodeJS.ReadableStream, file: string): Promise<void> {
  const part = `${file}.${process.pid}.part`;
  try {
    await pipeline(stream, createWriteStream(part, { flags: 'wx' }));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true }).catch(() => undefined);
    throw failed(error, file);
  }
}

/** What a person can do something about; other errors as they are. */
function failed(error: unknown, file: string): unknown {
  const folder = path.dirname(file);
  switch (systemErrorCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new RunyardError('not_found', `The folder ${folder} is not there.`, { cause: error });
    case 'EISDIR':
      return new RunyardError('conflict', `${file} is a folder.`, {
        action: 'Name a file by --output.',
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new RunyardError('not_permitted', `${folder} cannot be written.`, { cause: error });
    case 'ENOSPC':
    case 'EDQUOT':
      return new RunyardError('no_space', `The disk is full: nothing more fits into ${folder}.`, {
        action: 'Free some room and try again.',
        cause: error,
      });
    default:
      return error;
  }
}
