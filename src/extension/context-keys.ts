import * as vscode from 'vscode';

/** Every context key that Runyard sets; menus and welcome texts in package.json test them. */
export const contextKeys = {
  /** At least one run of the current workspace is active. */
  hasActiveRuns: 'runyard.hasActiveRuns',
} as const;

/** Sets a context key for `when` clauses. */
export function setContext(key: (typeof contextKeys)[keyof typeof contextKeys], value: boolean): void {
  void vscode.commands.executeCommand('setContext', key, value);
}
