import * as vscode from 'vscode';

/** Files of snapshots open as `runyard-snapshot:/<workspace>/<snapshot>/<path>`. */
export const snapshotScheme = 'runyard-snapshot';

/** Names one snapshot of this home. */
export interface SnapshotRef {
  readonly workspace: string;
  /** Of the snapshot, or of a run that has it. */
  readonly snapshotId: string;
}

/** Which path of which snapshot a URI means; `` is the snapshot itself. */
export interface SnapshotAddress extends SnapshotRef {
  path: string;
}

export function snapshotUri(ref: SnapshotRef, path = ''): vscode.Uri {
  return vscode.Uri.from({
    scheme: snapshotScheme,
    path: `/${ref.workspace}/${ref.snapshotId}${path && `/${path}`}`,
  });
}

/** The address in a URI; undefined for a folder above a snapshot. */
export function parseSnapshotUri(uri: vscode.Uri): SnapshotAddress | undefined {
  const [, workspace, snapshotId, ...path] = uri.path.split('/');
  if (!workspace || !snapshotId) return undefined;
  return { workspace, snapshotId, path: path.filter(Boolean).join('/') };
}

/**
 * A document that holds this text under a path's name: the side of a comparison where the path is not
 * there (no text), or where it is a link (its target, as git shows it).
 */
export function textUri(path: string, text: string): vscode.Uri {
  return vscode.Uri.from({ scheme: snapshotScheme, path: `/-/-/${path}`, query: `text=${text}` });
}

/** The text that such a URI carries. */
export function textOf(uri: vscode.Uri): string | undefined {
  return uri.query.startsWith('text=') ? uri.query.slice('text='.length) : undefined;
}
