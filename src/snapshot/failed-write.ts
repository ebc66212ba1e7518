import { RunyardError, systemErrorCode } from '../api/errors.ts';

/** The error for a person when something could not be written; others as they are. */
export function failedWrite(error: unknown, where: string): unknown {
  if (error instanceof RunyardError) return error;
  const code = systemErrorCode(error);
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new RunyardError('no_space', `The disk is full: nothing more fits into ${where}.`, {
      action: 'Free some room and try again.',
      cause: error,
    });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return new RunyardError('not_permitted', `${where} cannot be written (${code}).`, {
      action: 'Choose another folder, or change its rights.',
      cause: error,
    });
  }
  if (code === 'ENOTDIR') {
    return new RunyardError('conflict', `${where} is below something that is no folder.`, {
      action: 'Choose another folder.',
      cause: error,
    });
  }
  if (code === 'ENAMETOOLONG' || code === 'EINVAL' || code === 'EILSEQ') {
    return new RunyardError('bad_request', `The file system cannot hold a name (${code}, in ${where}).`, {
      action: 'Choose a folder on another file system.',
      cause: error,
    });
  }
  return error;
}
