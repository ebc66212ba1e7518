import path from 'node:path';
import * as vscode from 'vscode';

/** Asks about unsaved editors in the folder. False: the person wants to stop. */
export async function settleUnsaved(folder: vscode.Uri): Promise<boolean> {
  const inside = (uri: vscode.Uri) => {
    if (uri.scheme !== 'file') return false;
    const relative = path.relative(folder.fsPath, uri.fsPath);
    return !!relative && !relative.startsWith('..') && !path.isAbsolute(relative);
  };
  const texts = vscode.workspace.textDocuments.filter((d) => d.isDirty && inside(d.uri));
  const notebooks = vscode.workspace.notebookDocuments.filter((d) => d.isDirty && inside(d.uri));
  const names = [...texts, ...notebooks].map((d) => path.relative(folder.fsPath, d.uri.fsPath));
  if (names.length === 0) return true;
  const save = vscode.l10n.t('Save and Submit');
  const go = vscode.l10n.t('Submit Without Saving');
  const shown = [...new Set(names)].slice(0, 10).join('\n');
  const answer = await vscode.window.showWarningMessage(
    names.length === 1
      ? vscode.l10n.t('"{0}" has unsaved changes.', names[0]!)
      : vscode.l10n.t('{0} files have unsaved changes.', names.length),
    {
      modal: true,
      detail: `${vscode.l10n.t('A run gets the files as they are on disk.')}\n\n${shown}`,
    },
    save,
    go,
  );
  if (answer === go) return true;
  if (answer !== save) return false;
  const saved = await Promise.all([...texts, ...notebooks].map((d) => d.save()));
  return saved.every(Boolean);
}
