import * as vscode from 'vscode';
import type { RunRef } from '../run-ref.ts';

/** Files of runs open as `runyard:/<workspace>/<run>/<path>`; `?tail` asks for the end of a big one only. */
export const scheme = 'runyard';

/** Which file of which run a URI means. */
export interface FileAddress extends RunRef {
  path: string;
  tail: boolean;
}

export function fileUri(ref: RunRef, path: string, tail = false): vscode.Uri {
  return vscode.Uri.from({
    scheme,
    path: `/${ref.workspace}/${ref.runId}/${path}`,
    query: tail ? 'tail' : '',
  });
}

/** The address in a URI; undefined for a folder above a run's files. */
export function parseUri(uri: vscode.Uri): FileAddress | undefined {
  const [, workspace, runId, ...path] = uri.path.split('/');
  if (!workspace || !runId || path.length === 0) return undefined;
  return { workspace, runId, path: path.join('/'), tail: uri.query === 'tail' };
}
