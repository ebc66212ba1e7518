import { RunyardError } from '../api/errors.ts';

/** SQLite's primary result codes that a person can do something about. */
const full = 13;
const ioError = 10;
const readOnly = 8;
const corrupt = 11;
const notADatabase = 26;

/** Turns what SQLite (or an operation) threw into an error with a sentence for a person. */
export function errorFromSqlite(error: unknown, file: string): RunyardError {
  if (error instanceof RunyardError) return error;
  const code = (error as { errcode?: number }).errcode;
  const primary = code === undefined ? undefined : code & 0xff;
  if (primary === full || (primary === ioError && /disk|full|space/i.test(String(error)) && code === 778)) {
    return new RunyardError('no_space', `The disk is full: ${file} cannot grow.`, {
      action: 'Free some room; Runyard goes on by itself.',
      cause: error,
    });
  }
  if (primary === ioError) {
    return new RunyardError('unavailable', `The disk does not take what is written to ${file}.`, {
      action: 'Look whether the disk is full or failing; Runyard tries again.',
      cause: error,
    });
  }
  if (primary === readOnly) {
    return new RunyardError('not_permitted', `${file} cannot be written.`, {
      action: 'Check who owns the file and its folder.',
      cause: error,
    });
  }
  if (primary === corrupt || primary === notADatabase) {
    return new RunyardError('unavailable', `${file} is damaged.`, {
      action: 'Put back a copy of it (see docs/backup.md), or delete the workspace.',
      cause: error,
    });
  }
  return new RunyardError('internal', `Something went wrong inside Runyard: ${(error as Error).message}`, {
    action: 'See the server log, and report it.',
    cause: error,
  });
}
