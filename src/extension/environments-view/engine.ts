import * as vscode from 'vscode';
import { isOverSsh, localCompute, type Compute } from '../../api/compute.ts';
import type { Engine } from '../../api/environment.ts';
import type { Client } from '../../client/client.ts';
import { openHostTerminal } from '../computes/terminal.ts';
import { submitterEnvironment } from '../submit/environment.ts';

/** How often it is looked whether an engine runs that a person is starting. */
const lookMs = 1000;

/** "Docker", or what stands in for it. */
export function engineName({ kind }: Pick<Engine, 'kind'>): string {
  const name = kind ?? 'docker';
  return name[0]!.toUpperCase() + name.slice(1);
}

/** Whether a container can be run with it now. */
export function isUsable(engine: Engine): boolean {
  return engine.kind !== null && engine.running && engine.problem === null;
}

/** Whether all that is missing is that it runs. */
export function isStopped({ running, start, problem }: Engine): boolean {
  return !running && (start !== null || /is not running/.test(problem ?? ''));
}

/** Its state in a few words. */
export function describeEngine(engine: Engine | undefined): string {
  if (!engine) return '';
  if (engine.kind === null) return vscode.l10n.t('not installed');
  const version = [engineName(engine), engine.version ?? ''].filter(Boolean).join(' ');
  if (isStopped(engine)) return vscode.l10n.t('{0} is not running', version);
  if (!engine.running) return vscode.l10n.t('{0} cannot be used now', version);
  return engine.problem ?? (engine.rootless ? vscode.l10n.t('{0}, rootless', version) : version);
}

/** Opens a terminal where the engine is, with the command that starts it. */
export function startEngine(compute: Compute, engine: Engine): void {
  if (engine.start === null) return;
  const { settings } = compute;
  if (settings && isOverSsh(settings)) return openHostTerminal(compute.name, settings, engine.start);
  const name = vscode.l10n.t('Start {0}', engineName(engine));
  const terminal = vscode.window.createTerminal({ name, iconPath: new vscode.ThemeIcon('vm') });
  terminal.show();
  terminal.sendText(engine.start);
}

/** Looks until the engine can be used; false: the person does not want to wait any longer. */
export function waitForEngine(client: Client, compute: string, engine: Engine): Promise<boolean> {
  const location = vscode.ProgressLocation.Notification;
  const title = vscode.l10n.t('Waiting until {0} runs on {1}', engineName(engine), placeOf(compute));
  return Promise.resolve(
    vscode.window.withProgress({ location, title, cancellable: true }, async (_, token) => {
      while (!token.isCancellationRequested) {
        const now = await client.call('getEngine', {
          params: { compute },
          body: { environment: submitterEnvironment(process.env) },
        });
        if (isUsable(now)) return true;
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, lookMs);
          token.onCancellationRequested(() => (clearTimeout(timer), resolve()));
        });
      }
      return false;
    }),
  );
}

export function placeOf(compute: string): string {
  return compute === localCompute ? vscode.l10n.t('this machine') : compute;
}
