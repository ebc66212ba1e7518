import * as vscode from 'vscode';

const section = 'runyard';

/** The home that the settings name; empty: RUNYARD_HOME, else the default. */
export function homeSetting(): string {
  return vscode.workspace.getConfiguration(section).get<string>('home', '').trim();
}

/** The workspace that the settings name for a folder (or the window); empty: the server's current one. */
export function workspaceSetting(resource?: vscode.Uri): string {
  return vscode.workspace.getConfiguration(section, resource).get<string>('workspace', '').trim();
}

/** The ssh configuration file that the settings name; empty: `~/.ssh/config`. */
export function sshConfigFile(): string {
  return vscode.workspace.getConfiguration(section).get<string>('sshConfigFile', '').trim();
}

/** Whether the end of a run is told by a notification. */
export function notifyOnFinish(): boolean {
  return vscode.workspace.getConfiguration(section).get<boolean>('notifyOnFinish', true);
}

/** Turns the notifications off for good ("Don't Show Again"). */
export async function neverNotify(): Promise<void> {
  const target = vscode.ConfigurationTarget.Global;
  await vscode.workspace.getConfiguration(section).update('notifyOnFinish', false, target);
}
