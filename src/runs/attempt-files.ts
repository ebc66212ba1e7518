import path from 'node:path';
import { RunyardError } from '../api/errors.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';

/** Our folder of an attempt: its logs. */
export function attemptDir(workspace: OpenWorkspace, run: string, attempt: number): string {
  return path.join(workspace.runDir(run), 'attempts', String(attempt));
}

/** Streamed files that are kept as files; all others are journals. */
export function isLog(file: string): boolean {
  return file.startsWith('user_logs/') || file.startsWith('logs/');
}

/** A path below the attempt's folder. The host is not trusted with where our files go. */
export function safeName(file: string): string {
  const parts = file.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..') || file.includes('\0')) {
    throw new RunyardError('bad_request', `The host names a file "${file}".`);
  }
  return file;
}
