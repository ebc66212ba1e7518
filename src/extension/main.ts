import type * as vscode from 'vscode';
import { Extension } from './extension.ts';

/** Called by the editor. Wires things up and returns; no server is started or looked for here. */
export function activate(context: vscode.ExtensionContext): ExtensionApi {
  const extension = new Extension(context);
  context.subscriptions.push(extension);
  return extension.api;
}

/** What the extension gives to tests and to other extensions. */
export interface ExtensionApi {
  /** Milliseconds that wiring took, and whether anything has asked for the server yet. */
  readonly activationMs: number;
  readonly connected: boolean;
}
