import * as vscode from 'vscode';
import type { Run, Series } from '../../api/entities.ts';
import type {
  PageState,
  RequestMessage,
  Requests,
  ToExtension,
  ToPage,
} from '../../../webview/run/contract.ts';
import type { Connection } from '../connection.ts';
import type { RunEnvironmentActions } from '../environments-view/run-environment.ts';
import { describe } from '../errors.ts';
import { readPiece } from '../files/file-system.ts';
import type { RunFiles } from '../files/run-files.ts';
import { runTitle } from '../format.ts';
import type { Live, LiveEvent } from '../live.ts';
import type { Log } from '../log.ts';
import type { RunRef } from '../run-ref.ts';
import { runActions } from './actions.ts';
import { pageHtml } from './html.ts';
import { Throttle } from './throttle.ts';

/** A page is told of new points, and of other changes, at most this often. */
const metricsMs = 500;
const detailsMs = 500;

export interface RunPageServices {
  connection: Connection;
  live: Live;
  files: RunFiles;
  environments: RunEnvironmentActions;
  log: Log;
  /** The folder with the page's bundle. */
  assets: vscode.Uri;
  icon: { light: vscode.Uri; dark: vscode.Uri };
}

/** One run's page. While it is visible it follows the run; hidden it does nothing. */
export class RunPage implements RunRef, vscode.Disposable {
  readonly workspace: string;
  readonly runId: string;
  readonly panel: vscode.WebviewPanel;
  run: Run | undefined;
  private readonly services: RunPageServices;
  private readonly subscriptions: vscode.Disposable[];
  private readonly metrics: Throttle;
  private readonly details: Throttle;
  private readonly changedNames = new Set<string>();
  private watch: vscode.Disposable | undefined;
  private ready = false;
  private readonly state: PageState;

  constructor(panel: vscode.WebviewPanel, state: PageState, services: RunPageServices) {
    this.panel = panel;
    this.workspace = state.workspace;
    this.runId = state.runId;
    this.state = state;
    this.services = services;
    this.metrics = new Throttle(metricsMs, () => this.guard(() => this.sendSeries()));
    this.details = new Throttle(detailsMs, () => this.guard(() => this.sendSnapshot()));
    panel.iconPath = services.icon;
    panel.webview.options = { enableScripts: true, localResourceRoots: [services.assets] };
    this.subscriptions = [
      panel.webview.onDidReceiveMessage((message: ToExtension) => this.guard(() => this.receive(message))),
      panel.onDidChangeViewState(() => this.followVisibility()),
      services.live.onEvent((event) => this.apply(event)),
      services.live.onLookAgain((workspace) => workspace === this.workspace && this.details.call()),
      services.live.onState(({ workspace, state: line }) => {
        if (workspace === this.workspace) this.post({ type: 'line', state: line });
      }),
    ];
    panel.webview.html = pageHtml(panel.webview, services.assets, panel.title);
    this.followVisibility();
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.watch?.dispose();
    this.metrics.dispose();
    this.details.dispose();
  }

  private get params() {
    return { workspace: this.workspace, run: this.runId };
  }

  private followVisibility(): void {
    if (this.panel.visible) {
      this.watch ??= this.services.live.watch(this.workspace);
      return;
    }
    // The page's content is gone now; it says `ready` again when it is back.
    this.ready = false;
    this.watch?.dispose();
    this.watch = undefined;
  }

  private async receive(message: ToExtension): Promise<void> {
    switch (message.type) {
      case 'ready':
        this.ready = true;
        this.post({
          type: 'init',
          state: this.state,
          strings: vscode.l10n.bundle ?? {},
          now: Date.now(),
        });
        this.post({ type: 'line', state: this.services.live.state(this.workspace) });
        return this.sendSnapshot();
      case 'request':
        return this.answer(message);
      case 'action':
        await vscode.commands.executeCommand(runActions[message.action], this);
        return;
      case 'environment':
        return this.services.environments[message.action](this);
      case 'openFile':
        return this.services.files.open(this, message.path);
      case 'saveFile':
        return this.services.files.save(this, message.path);
      case 'fetchFile':
        return this.services.files.fetch(this, message.path);
    }
  }

  private async answer(message: RequestMessage): Promise<void> {
    try {
      this.post({ type: 'answer', id: message.id, result: await this.fulfil(message) });
    } catch (error) {
      this.post({ type: 'refusal', id: message.id, message: describe(error) });
      this.services.log.error(`run page: ${message.name}`, error);
    }
  }

  private async fulfil(message: RequestMessage): Promise<Requests[keyof Requests]['result']> {
    const client = await this.services.connection.client();
    switch (message.name) {
      case 'windows': {
        const body = { names: message.params.names, points: message.params.points };
        return (await client.call('getWindows', { params: this.params, body })).windows;
      }
      case 'monitor':
        return (await client.call('getMonitor', { params: this.params })).samples;
      case 'read': {
        const { path, offset, length } = message.params;
        const piece = await readPiece(client, { ...this.params, runId: this.runId, path }, offset, length);
        // A Buffer may be a part of a pool; the page gets these bytes only.
        return { data: new Uint8Array(piece.data), size: piece.size };
      }
      case 'environment':
        return client.call('getRunEnvironment', { params: this.params });
      case 'compareEnvironment':
        return (await this.services.environments.compare(this)) ?? null;
    }
  }

  private apply({ workspace, event }: LiveEvent): void {
    if (workspace !== this.workspace) return;
    if (event.type === 'run' && event.run.id === this.runId) {
      this.show(event.run);
      this.post({ type: 'run', run: event.run });
      this.details.call();
    } else if ('runId' in event && event.runId === this.runId) {
      if (event.type === 'run.deleted') this.panel.dispose();
      else if (event.type === 'log') this.post({ type: 'log', path: event.path, size: event.size });
      else if (event.type === 'details') this.details.call();
      else if (event.type === 'metrics') {
        for (const name of event.names) this.changedNames.add(name);
        this.metrics.call();
      }
    }
  }

  private async sendSeries(): Promise<void> {
    if (!this.ready || this.changedNames.size === 0) return;
    const names = new Set(this.changedNames);
    this.changedNames.clear();
    const client = await this.services.connection.client();
    const { series } = await client.call('listSeries', { params: this.params });
    const changed: Series[] = series.filter((one) => names.has(one.name));
    this.post({ type: 'series', series: changed });
  }

  private async sendSnapshot(): Promise<void> {
    if (!this.ready) return;
    try {
      const client = await this.services.connection.client();
      const params = this.params;
      const [run, { artifacts }, { documents }, { images }] = await Promise.all([
        client.call('getRun', { params }),
        client.call('listArtifacts', { params }),
        client.call('listDocuments', { params }),
        client.call('listImages', { params }),
      ]);
      this.show(run);
      this.post({ type: 'snapshot', snapshot: { run, artifacts, documents, images } });
    } catch (error) {
      this.services.log.error('run page', error);
      this.post({ type: 'problem', message: describe(error) });
    }
  }

  private show(run: Run): void {
    this.run = run;
    const title = runTitle(run);
    if (this.panel.title !== title) this.panel.title = title;
  }

  private post(message: ToPage): void {
    if (this.ready) void this.panel.webview.postMessage(message);
  }

  private guard(action: () => Promise<void>): void {
    action().catch((error: unknown) => {
      this.services.log.error('run page', error);
      void vscode.window.showErrorMessage(describe(error));
    });
  }
}
