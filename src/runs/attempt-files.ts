import path from 'node:path';
import { RunyardError } from '../api/errors.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';

/** Our folder of an attempt: its logs. */
export function attemptDir(workspace: OpenWorkspace, run: string, attempt: number): string {
  return path.join(workspace.runDir(run), 'attempts', String(attempt));
}

/** Streamed files that are kept as files, also those of an earlier attempt; all others are journals. */
export function isLog(file: string): boolean {
  const name = file.replace(/^attempts\/\d+\//, '');
  return name.startsWith('user_logs/') || name.startsWith('logs/');
}

/** Whether a path stays below the folder it belongs to. The host is not trusted with where our files go. */
export function isSafeName(file: string): boolean {
  const parts = file.split('/');
  return !parts.some((part) => part === '' || part === '.' || part === '..') && !file.includes('\0');
}

/** A path below the attempt's folder. Throws `bad_request` for one that leaves it. */
export function safeName(file: string): string {
  if (isSafeName(file)) return file;
  throw new RunyardError('bad_request', `The host names a file "${file}".`);
}
