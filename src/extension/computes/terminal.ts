import * as vscode from 'vscode';
import type { SshSettings } from '../../api/compute.ts';

/** What `ssh` is called with to be on a target's host as Runyard is. */
export function sshArguments({ host, user, port, configFile }: SshSettings): string[] {
  return [
    ...(configFile ? ['-F', configFile] : []),
    ...(user ? ['-l', user] : []),
    ...(port ? ['-p', String(port)] : []),
    '--',
    host,
  ];
}

/**
 * A terminal on a target's host; with a command it begins with that. The set-up lines are not run: it is the
 * person's own session.
 */
export function openHostTerminal(name: string, settings: SshSettings, command?: string): void {
  // Never typed into the terminal: a question for a password would take it.
  const shellArgs =
    command === undefined
      ? sshArguments(settings)
      : ['-t', ...sshArguments(settings), `${command}; exec "\${SHELL:-/bin/sh}" -l`];
  vscode.window
    .createTerminal({
      name: vscode.l10n.t('ssh {0}', name),
      shellPath: 'ssh',
      shellArgs,
      iconPath: new vscode.ThemeIcon('remote'),
    })
    .show();
}
