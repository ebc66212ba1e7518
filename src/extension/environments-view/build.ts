import { createInterface } from 'node:readline';
import * as vscode from 'vscode';
import { localCompute, type Compute } from '../../api/compute.ts';
import type { BuildLine } from '../../api/environment.ts';
import { RunyardError } from '../../api/errors.ts';
import type { Computes } from '../computes/computes.ts';
import type { Connector } from '../computes/connect.ts';
import { computeItem } from '../computes/pick.ts';
import type { Connection } from '../connection.ts';
import { describe } from '../errors.ts';
import { submitterEnvironment } from '../submit/environment.ts';
import { requireTrust } from '../submit/trust.ts';
import { isUsable, placeOf, startEngine } from './engine.ts';
import type { Environments } from './environments.ts';
import { packagesOf } from './items.ts';
import type { EnvironmentRef } from './reference.ts';

/** What is sooner there has not been built just now, nor what was ready so long before. */
const soonestMs = 1_000;
const clocksMs = 60_000;

/** Builds environments on hosts, with their log in an output channel of its own for each. */
export class Builder implements vscode.Disposable {
  private readonly connection: Connection;
  private readonly computes: Computes;
  private readonly connector: Connector;
  private readonly environments: Environments;
  private readonly channels = new Map<string, vscode.OutputChannel>();

  constructor(connection: Connection, computes: Computes, connector: Connector, environments: Environments) {
    this.connection = connection;
    this.computes = computes;
    this.connector = connector;
    this.environments = environments;
  }

  dispose(): void {
    for (const channel of this.channels.values()) channel.dispose();
  }

  /** Asks where to where there is a choice, and builds; `compute` is known when a build's own line was clicked. */
  async run(ref: EnvironmentRef, rebuild: boolean, compute?: string): Promise<void> {
    requireTrust();
    const target = compute ?? (await this.askTarget(ref, rebuild));
    if (target === undefined || !(await this.connectTo(target))) return;
    const channel = this.channelOf(ref, target);
    channel.clear();
    channel.show(true);
    const started = Date.now();
    const outcome = await this.build(ref, target, rebuild, channel);
    void this.environments.refresh().catch(() => undefined);
    void this.tell(ref, target, rebuild ? undefined : started, outcome, channel);
  }

  private async connectTo(target: string): Promise<boolean> {
    if (target === localCompute) return true;
    await this.connector.connect(target);
    return true;
  }

  private async askTarget(ref: EnvironmentRef, rebuild: boolean): Promise<string | undefined> {
    const computes = await this.computes.refresh();
    if (computes.length <= 1) return localCompute;
    const items = computes.map((compute) => ({ ...computeItem(compute), name: compute.name }));
    const picked = await vscode.window.showQuickPick(items, {
      title: rebuild
        ? vscode.l10n.t('Rebuild {0}', ref.environment)
        : vscode.l10n.t('Build {0}', ref.environment),
      placeHolder: vscode.l10n.t('The compute target to build it on'),
      ignoreFocusOut: true,
    });
    return picked?.name;
  }

  private channelOf({ workspace, environment }: EnvironmentRef, compute: string): vscode.OutputChannel {
    const key = `${workspace}/${environment}@${compute}`;
    const channel =
      this.channels.get(key) ??
      vscode.window.createOutputChannel(vscode.l10n.t('Runyard: {0} on {1}', environment, placeOf(compute)));
    this.channels.set(key, channel);
    return channel;
  }

  /** Gives the last line that the server said: the result or the error; undefined when it was canceled. */
  private async build(
    { workspace, environment }: EnvironmentRef,
    compute: string,
    rebuild: boolean,
    channel: vscode.OutputChannel,
  ): Promise<BuildLine | undefined> {
    const client = await this.connection.client();
    const location = vscode.ProgressLocation.Notification;
    const title = vscode.l10n.t('Building {0} on {1}', environment, placeOf(compute));
    const abort = new AbortController();
    let last: BuildLine | undefined;
    try {
      await vscode.window.withProgress({ location, title, cancellable: true }, async (progress, token) => {
        token.onCancellationRequested(() => abort.abort());
        // Variables of this machine say nothing to another one.
        const mine = compute === localCompute ? { environment: submitterEnvironment(process.env) } : {};
        const answer = await client.stream('buildEnvironment', {
          params: { workspace, environment },
          body: { compute, rebuild, ...mine },
          signal: abort.signal,
        });
        const clean = cleaner((text) => channel.append(text));
        for await (const text of createInterface({ input: answer, crlfDelay: Infinity })) {
          if (!text) continue;
          const line = JSON.parse(text) as BuildLine;
          if ('log' in line) clean(line.log);
          else if ('reason' in line) {
            // The title says it already; a wait or a pull is news.
            if (!line.reason.startsWith('Building the environment '))
              progress.report({ message: line.reason });
          } else last = line;
        }
        // What had no end of its line.
        clean('\n');
      });
    } catch (error) {
      if (!abort.signal.aborted) throw error;
    }
    if (abort.signal.aborted) {
      channel.appendLine(`\n${vscode.l10n.t('The build was canceled.')}`);
      return undefined;
    }
    if (last) return last;
    throw new RunyardError('unavailable', vscode.l10n.t('The build broke off.'), {
      action: vscode.l10n.t('Try again.'),
    });
  }

  private async tell(
    ref: EnvironmentRef,
    compute: string,
    /** When it was asked for, where it may have been there already. */
    started: number | undefined,
    outcome: BuildLine | undefined,
    channel: vscode.OutputChannel,
  ): Promise<void> {
    if (!outcome) return;
    const where = placeOf(compute);
    const showLog = vscode.l10n.t('Show Log');
    if ('result' in outcome) {
      const { built, packages, python } = outcome.result;
      const already =
        started !== undefined &&
        (Date.now() - started < soonestMs || (typeof built === 'number' && built < started - clocksMs));
      const facts = [python ? `Python ${python}` : '', packages ? packagesOf(packages.length) : ''];
      const told = facts.filter(Boolean).join(', ');
      const text = already
        ? vscode.l10n.t('{0} is built on {1} already.', ref.environment, where)
        : vscode.l10n.t('{0} is built on {1}.', ref.environment, where);
      channel.appendLine([text, told].filter(Boolean).join(' '));
      const again = vscode.l10n.t('Rebuild');
      const buttons = already ? [again] : [showLog];
      const answer = await vscode.window.showInformationMessage(told ? `${text} ${told}.` : text, ...buttons);
      if (answer === showLog) channel.show();
      if (answer === again) await vscode.commands.executeCommand('runyard.rebuildEnvironment', ref, compute);
      return;
    }
    if (!('error' in outcome)) return;
    const { code, message, action } = outcome.error;
    channel.appendLine([message, action].filter(Boolean).join('\n'));
    const text = describe(new RunyardError('internal', message, action ? { action } : {}));
    const start = code === 'engine' ? await this.startButton(compute) : undefined;
    const shown = vscode.l10n.t('{0} on {1}: {2}', ref.environment, where, text);
    const buttons = start ? [start.label, showLog] : [showLog];
    const answer = await vscode.window.showErrorMessage(shown, ...buttons);
    if (answer === showLog) channel.show();
    else if (start && answer === start.label) start.run();
  }

  private async startButton(compute: string): Promise<{ label: string; run(): void } | undefined> {
    const client = await this.connection.client();
    const target: Compute | undefined = this.computes.get(compute);
    const engine = await client
      .call('getEngine', { params: { compute }, body: { environment: submitterEnvironment(process.env) } })
      .catch(() => undefined);
    if (!engine?.start || isUsable(engine) || !target) return undefined;
    return { label: vscode.l10n.t('Start Docker'), run: () => startEngine(target, engine) };
  }
}

/** Colours go, and of a line that is written over only what stood there last is told. */
export function cleaner(write: (text: string) => void): (piece: string) => void {
  let rest = '';
  return (piece) => {
    const text = rest + piece;
    const end = text.lastIndexOf('\n') + 1;
    rest = text.slice(end);
    if (end > 0) write(cleanLines(text.slice(0, end)));
  };
}

function cleanLines(text: string): string {
  return (
    text
      // eslint-disable-next-line no-control-regex
      .replace(/\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.)/g, '')
      .replace(/\r+\n/g, '\n')
      .replace(/^.*\r/gm, '')
  );
}
