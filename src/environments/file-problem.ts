import { RunyardError, systemErrorCode } from '../api/errors.ts';

/** What a file that an environment is made of cannot be read for, as a sentence; anything else stays as it is. */
export function fileProblem(cause: unknown, name: string, folder: string): unknown {
  const code = systemErrorCode(cause);
  if (code === undefined || cause instanceof RunyardError) return cause;
  if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes(code)) {
    const shown = name.length > 200 ? `${name.slice(0, 200)}...` : name;
    return new RunyardError('not_found', `There is no "${shown}" in ${folder}.`, { cause });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new RunyardError('not_permitted', `${name} in ${folder} may not be read.`, {
      action: 'Give yourself the right to read it.',
      cause,
    });
  }
  if (code === 'ELOOP' || code === 'ENXIO' || code === 'ERR_INVALID_ARG_VALUE')
    return new RunyardError('bad_request', `${name} in ${folder} is no file.`, { cause });
  return cause;
}
