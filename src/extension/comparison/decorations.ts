import * as vscode from 'vscode';
import type { SnapshotChange } from '../../api/entities.ts';

const scheme = 'runyard-change';
type Change = SnapshotChange['change'];

/** Names the row of a change, so that the editor finds its icon and its decoration. */
export function changeUri(change: SnapshotChange): vscode.Uri {
  return vscode.Uri.from({ scheme, path: `/${change.path}`, query: change.change });
}

/** What a change is, in words. */
export function changeWord(change: Change): string {
  switch (change) {
    case 'added':
      return vscode.l10n.t('Added');
    case 'deleted':
      return vscode.l10n.t('Deleted');
    case 'modified':
      return vscode.l10n.t('Modified');
    case 'mode':
      return vscode.l10n.t('Permissions changed');
    case 'kind':
      return vscode.l10n.t('Became something else');
  }
}

/** Letter and colour as git's own view has them. */
const marks: Record<Change, [letter: string, color: string]> = {
  added: ['A', 'gitDecoration.addedResourceForeground'],
  deleted: ['D', 'gitDecoration.deletedResourceForeground'],
  modified: ['M', 'gitDecoration.modifiedResourceForeground'],
  mode: ['M', 'gitDecoration.modifiedResourceForeground'],
  kind: ['T', 'gitDecoration.modifiedResourceForeground'],
};

/** Draws the letters of the *Comparison* view. */
export class ChangeDecorations implements vscode.FileDecorationProvider {
  provideFileDecoration(uri: vscode.Uri): vscode.FileDecoration | undefined {
    if (uri.scheme !== scheme) return undefined;
    const mark = marks[uri.query as Change];
    if (!mark) return undefined;
    const [letter, color] = mark;
    return new vscode.FileDecoration(letter, changeWord(uri.query as Change), new vscode.ThemeColor(color));
  }
}
