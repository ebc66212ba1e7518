import * as vscode from 'vscode';
import type { ComputeSettings } from '../../api/compute.ts';

/** What `ssh` is called with to be on a target's host as Runyard is. */
export function sshArguments({ host, user, port, configFile }: ComputeSettings): string[] {
  return [
    ...(configFile ? ['-F', configFile] : []),
    ...(user ? ['-l', user] : []),
    ...(port ? ['-p', String(port)] : []),
    '--',
    host,
  ];
}

/** A terminal on a target's host. The set-up lines are not run: it is the person's own session. */
export function openHostTerminal(name: string, settings: ComputeSettings): void {
  vscode.window
    .createTerminal({
      name: vscode.l10n.t('ssh {0}', name),
      shellPath: 'ssh',
      shellArgs: sshArguments(settings),
      iconPath: new vscode.ThemeIcon('remote'),
    })
    .show();
}
