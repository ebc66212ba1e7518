import * as vscode from 'vscode';

/** The first opened folder that is on a disk: where a file that is saved would go. */
export function folderOnDisk(): vscode.Uri | undefined {
  return vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === 'file')?.uri;
}
