import path from 'node:path';
import * as vscode from 'vscode';
import type { Client } from '../client/client.ts';
import type { Log } from './log.ts';
import { homeSetting } from './settings.ts';

/** The one client of this window. It is opened when something first asks for it. */
export class Connection implements vscode.Disposable {
  private readonly extensionPath: string;
  private readonly log: Log;
  private opening: Promise<Client> | undefined;
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly settings: vscode.Disposable;

  /** Fires when another home was chosen: whatever was shown belongs to the old one. */
  readonly onDidChangeHome = this.changed.event;

  constructor(extensionPath: string, log: Log) {
    this.extensionPath = extensionPath;
    this.log = log;
    this.settings = vscode.workspace.onDidChangeConfiguration((event) => {
      if (!event.affectsConfiguration('runyard.home')) return;
      this.close();
      this.changed.fire();
    });
  }

  /** True once anything asked for the server. */
  get used(): boolean {
    return this.opening !== undefined;
  }

  /** The client; the server is found, or started, on the first call. */
  client(): Promise<Client> {
    const opening = (this.opening ??= this.open());
    opening.catch(() => {
      if (this.opening === opening) this.opening = undefined;
    });
    return opening;
  }

  dispose(): void {
    this.settings.dispose();
    this.changed.dispose();
    this.close();
  }

  private async open(): Promise<Client> {
    const { openClient } = await import('../client/client.ts');
    return openClient({
      home: homeSetting() || undefined,
      distDir: path.join(this.extensionPath, 'dist'),
      launcher: { command: process.execPath, env: { ELECTRON_RUN_AS_NODE: '1' } },
      log: (line) => this.log.info(line),
    });
  }

  private close(): void {
    const opening = this.opening;
    this.opening = undefined;
    opening?.then(
      (client) => client.close(),
      () => undefined,
    );
  }
}
