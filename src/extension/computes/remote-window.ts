import * as vscode from 'vscode';
import type { SshSettings } from '../../api/compute.ts';
import { contextKeys, setContext } from '../context-keys.ts';

const extensionId = 'ms-vscode-remote.remote-ssh';

/** Tells the menus whether a window on a host can be opened: whether Remote-SSH is there. */
export function followRemoteSsh(): vscode.Disposable {
  const tell = () => void setContext(contextKeys.remoteSsh, hasRemoteSsh());
  tell();
  return vscode.extensions.onDidChange(tell);
}

export function hasRemoteSsh(): boolean {
  return vscode.extensions.getExtension(extensionId) !== undefined;
}

/** A window of the editor on the host, by the Remote-SSH extension. */
export async function openRemoteWindow({ host, user, port }: SshSettings): Promise<void> {
  const at = `${user ? `${user}@` : ''}${host}${port ? `:${port}` : ''}`;
  await vscode.commands.executeCommand('vscode.newWindow', { remoteAuthority: `ssh-remote+${at}` });
}
