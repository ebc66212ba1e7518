import * as vscode from 'vscode';
import type { Connection } from './connection.ts';
import { workspaceSetting } from './settings.ts';

/** Which Runyard workspace is meant: the one in the settings, else the server's current one. */
export class WorkspaceChoice implements vscode.Disposable {
  private readonly connection: Connection;
  private current: Promise<string> | undefined;
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];

  /** Fires when the window's workspace may be another one now. */
  readonly onDidChange = this.changed.event;

  constructor(connection: Connection) {
    this.connection = connection;
    this.subscriptions = [
      connection.onDidChangeHome(() => this.forget()),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('runyard.workspace')) this.changed.fire();
      }),
    ];
  }

  /** The workspace for a folder, or for the window. */
  async name(resource?: vscode.Uri): Promise<string> {
    const setting = workspaceSetting(resource);
    if (setting) return setting;
    const current = (this.current ??= this.ask());
    current.catch(() => {
      if (this.current === current) this.current = undefined;
    });
    return current;
  }

  /** Asks the server again the next time; tells everybody. */
  forget(): void {
    this.current = undefined;
    this.changed.fire();
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.changed.dispose();
  }

  private async ask(): Promise<string> {
    const client = await this.connection.client();
    const { workspaces } = await client.call('listWorkspaces');
    return (workspaces.find((w) => w.current) ?? workspaces[0])?.name ?? 'default';
  }
}
