import os from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import type { Compute } from '../../api/compute.ts';
import type { Log } from '../log.ts';
import type { StepItem } from './multi-step.ts';

/** A Python interpreter and where it was learnt from. */
export interface Interpreter {
  path: string;
  source: string;
}

/** A line that shows the interpreter, and changes it when it is chosen. */
export function interpreterItem(interpreter: Interpreter, change: () => Promise<void>): StepItem {
  return {
    label: `$(symbol-misc) ${vscode.l10n.t('Interpreter: {0}', interpreter.path)}`,
    description: interpreter.source,
    alwaysShow: true,
    action: change,
  };
}

/** The same for a run on another host: there the target's setting counts. */
export function hostInterpreterItem({ name, settings }: Compute, change: () => Promise<void>): StepItem {
  const path = settings?.interpreter ?? vscode.l10n.t('python3 of {0}', name);
  const lines = settings?.setup.length ?? 0;
  const after =
    lines > 0
      ? vscode.l10n.t('after the set-up lines of {0}', name)
      : vscode.l10n.t('a setting of {0}', name);
  return {
    label: `$(symbol-misc) ${vscode.l10n.t('Interpreter: {0}', path)}`,
    description: after,
    alwaysShow: true,
    action: change,
  };
}

/** The part of the Python extension's API (ms-python.python) that is used here. */
interface PythonApi {
  environments: {
    getActiveEnvironmentPath(resource?: vscode.Uri): { path: string };
    resolveEnvironment(path: unknown): Promise<{ executable: { uri?: vscode.Uri } } | undefined>;
    known?: readonly { path: string; executable?: { uri?: vscode.Uri }; id: string }[];
  };
}

const pythonExtension = 'ms-python.python';

/** Finds the interpreter that a folder's scripts run with. */
export class Interpreters {
  private readonly log: Log;

  constructor(log: Log) {
    this.log = log;
  }

  /** What was chosen for this folder before, else the Python extension's, a setting's, or `python3`. */
  async of(folder: vscode.Uri, chosen?: string): Promise<Interpreter> {
    if (chosen) return { path: chosen, source: vscode.l10n.t('chosen for this folder') };
    const selected = await this.fromPythonExtension(folder);
    if (selected) return { path: selected, source: vscode.l10n.t('selected in the Python extension') };
    const setting = expand(
      vscode.workspace.getConfiguration('python', folder).get<string>('defaultInterpreterPath', ''),
      folder,
    );
    if (setting && setting !== 'python') {
      return { path: setting, source: 'python.defaultInterpreterPath' };
    }
    return { path: 'python3', source: vscode.l10n.t('found on the path') };
  }

  /** Asks for another interpreter. Empty: the default again; undefined: nothing changed. */
  async ask(folder: vscode.Uri, now: Interpreter): Promise<string | undefined> {
    interface Item extends vscode.QuickPickItem {
      choose?(): Promise<string | undefined> | string;
    }
    const fallback = await this.of(folder);
    const items: Item[] = [
      { label: fallback.path, description: fallback.source, choose: () => '' },
      ...(await this.known(folder))
        .filter((known) => known !== fallback.path)
        .map((known) => ({ label: known, choose: () => known })),
      { label: '', kind: vscode.QuickPickItemKind.Separator },
      { label: `$(edit) ${vscode.l10n.t('Enter Path...')}`, choose: () => enterPath(now.path) },
      { label: `$(folder-opened) ${vscode.l10n.t('Browse...')}`, choose: browse },
    ];
    const picked = await vscode.window.showQuickPick(items, {
      title: vscode.l10n.t('Interpreter'),
      placeHolder: vscode.l10n.t('Now: {0}', now.path),
    });
    return picked?.choose?.();
  }

  private async api(): Promise<PythonApi | undefined> {
    const extension = vscode.extensions.getExtension<PythonApi>(pythonExtension);
    if (!extension) return undefined;
    try {
      return extension.isActive ? extension.exports : await extension.activate();
    } catch (error) {
      this.log.error('The Python extension does not start', error);
      return undefined;
    }
  }

  private async fromPythonExtension(folder: vscode.Uri): Promise<string | undefined> {
    try {
      const environments = (await this.api())?.environments;
      if (!environments) return undefined;
      const active = environments.getActiveEnvironmentPath(folder);
      const resolved = await environments.resolveEnvironment(active);
      return resolved?.executable.uri?.fsPath ?? (path.isAbsolute(active.path) ? active.path : undefined);
    } catch (error) {
      this.log.error('The Python extension does not tell its interpreter', error);
      return undefined;
    }
  }

  private async known(folder: vscode.Uri): Promise<string[]> {
    const environments = (await this.api())?.environments.known ?? [];
    const paths = environments.map((e) => e.executable?.uri?.fsPath ?? e.path);
    const local = ['.venv', 'venv'].map((name) => path.join(folder.fsPath, name, 'bin', 'python'));
    const there = await Promise.all(
      local.map((file) =>
        vscode.workspace.fs.stat(vscode.Uri.file(file)).then(
          () => file,
          () => '',
        ),
      ),
    );
    return [...new Set([...there.filter(Boolean), ...paths])];
  }
}

function expand(value: string, folder: vscode.Uri): string {
  const root = vscode.workspace.getWorkspaceFolder(folder)?.uri.fsPath ?? folder.fsPath;
  return value
    .trim()
    .replaceAll('${workspaceFolder}', root)
    .replaceAll('${workspaceRoot}', root)
    .replace(/^~(?=$|[/\\])/, os.homedir());
}

/** Asks for an interpreter by its path. */
export function enterPath(value: string): Promise<string | undefined> {
  const prompt = vscode.l10n.t('Path of a Python interpreter, or its name on the path');
  return Promise.resolve(vscode.window.showInputBox({ prompt, value })).then((text) => text?.trim());
}

async function browse(): Promise<string | undefined> {
  const [file] = (await vscode.window.showOpenDialog({ openLabel: vscode.l10n.t('Select') })) ?? [];
  return file?.fsPath;
}
