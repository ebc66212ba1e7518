import * as vscode from 'vscode';
import { showError } from './errors.ts';
import type { Log } from './log.ts';

/** A command as data: what it does, and where its progress shows. */
export interface Command {
  id: `runyard.${string}`;
  /** The view whose progress bar runs while the command does. */
  progress?:
    | 'runyard.experiments'
    | 'runyard.workspaces'
    | 'runyard.compute'
    | 'runyard.environments'
    | 'runyard.snapshot'
    | 'runyard.comparison';
  run(...args: unknown[]): unknown;
}

/** Registers a table of commands. Each is wrapped the same way: progress, errors shown and logged. */
export function registerCommands(commands: readonly Command[], log: Log): vscode.Disposable {
  return vscode.Disposable.from(
    ...commands.map((command) =>
      vscode.commands.registerCommand(command.id, async (...args: unknown[]) => {
        try {
          return await withProgress(command, args);
        } catch (error) {
          showError(command.id, error, log);
          return undefined;
        }
      }),
    ),
  );
}

async function withProgress(command: Command, args: unknown[]): Promise<unknown> {
  if (!command.progress) return command.run(...args);
  return vscode.window.withProgress({ location: { viewId: command.progress } }, async () =>
    command.run(...args),
  );
}
