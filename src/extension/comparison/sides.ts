import path from 'node:path';
import * as vscode from 'vscode';
import type { SnapshotChange, SnapshotEntry } from '../../api/entities.ts';
import { snapshotUri, textUri } from '../snapshots/address.ts';
import type { RunSnapshot } from '../snapshots/source.ts';

/** What a snapshot is compared with: another one, or a folder as it is now. */
export type OtherSide = RunSnapshot | { folder: string };

/** The two that are compared; `left` is the older. */
export interface Sides {
  left: RunSnapshot;
  right: OtherSide;
}

/** `digits 1 ↔ digits 2`, `digits 1 ↔ digits (now)`. */
export function titleOf({ left, right }: Sides): string {
  const other = 'folder' in right ? vscode.l10n.t('{0} (now)', path.basename(right.folder)) : right.title;
  return `${left.title} ↔ ${other}`;
}

/** The two documents of a change; a side where the path is not there is empty. */
export function documentsOf({ left, right }: Sides, change: SnapshotChange): [vscode.Uri, vscode.Uri] {
  return [documentOf(left, change.path, change.left), documentOf(right, change.path, change.right)];
}

function documentOf(side: OtherSide, filePath: string, entry: SnapshotEntry | null): vscode.Uri {
  if (entry?.kind === 'link') return textUri(filePath, entry.target ?? '');
  if (entry?.kind !== 'file') return textUri(filePath, '');
  if ('folder' in side) return vscode.Uri.file(path.join(side.folder, ...filePath.split('/')));
  return snapshotUri(side, filePath);
}
