import * as vscode from 'vscode';

/** Every context key that Runyard sets; menus and welcome texts in package.json test them. */
export const contextKeys = {
  /** At least one run of the current workspace is active. */
  hasActiveRuns: 'runyard.hasActiveRuns',
  /** The view *Snapshot* has one. */
  snapshotOpen: 'runyard.snapshotOpen',
  /** The view *Comparison* has one. */
  comparisonOpen: 'runyard.comparisonOpen',
  /** The extension Remote - SSH is installed. */
  remoteSsh: 'runyard.remoteSsh',
} as const;

/** Sets a context key for `when` clauses; done when menus and views follow. */
export async function setContext(
  key: (typeof contextKeys)[keyof typeof contextKeys],
  value: boolean,
): Promise<void> {
  await vscode.commands.executeCommand('setContext', key, value);
}
