import * as vscode from 'vscode';
import type { Run } from '../api/entities.ts';
import { comparisonCommands } from './comparison/commands.ts';
import { ComparisonView } from './comparison/view.ts';
import { ComputeParts } from './computes/parts.ts';
import { registerCommands, type Command } from './commands.ts';
import { Connection } from './connection.ts';
import { tellOfLostHome } from './dev-container/notice.ts';
import { EnvironmentParts } from './environments-view/parts.ts';
import { experimentCommands } from './experiments/commands.ts';
import { ExperimentsModel } from './experiments/model.ts';
import { ExperimentsView } from './experiments/view.ts';
import { scheme } from './files/address.ts';
import { ArtifactFetcher } from './files/fetch.ts';
import { RunFiles } from './files/run-files.ts';
import { RunFileSystem } from './files/file-system.ts';
import { Live } from './live.ts';
import { Log } from './log.ts';
import type { ExtensionApi } from './main.ts';
import { ModelsView } from './models-view/view.ts';
import { RunPages } from './run-page/run-pages.ts';
import type { RunRef } from './run-ref.ts';
import { snapshotScheme } from './snapshots/address.ts';
import { snapshotCommands } from './snapshots/commands.ts';
import { SnapshotEntries } from './snapshots/entries.ts';
import { SnapshotFileSystem } from './snapshots/file-system.ts';
import { SnapshotView } from './snapshots/view.ts';
import { ActiveRuns } from './activity/active-runs.ts';
import { runCommands } from './activity/commands.ts';
import { FinishNotifier } from './activity/notifier.ts';
import { RunPicker } from './activity/pick.ts';
import { RunsStatusBar } from './activity/status-bar.ts';
import { RerunWithChanges } from './submit/rerun-with-changes.ts';
import { Submitter } from './submit/submit.ts';
import { RunyardUriHandler } from './uri-handler.ts';
import { WorkspaceChoice } from './workspace-choice.ts';
import { workspaceCommands } from './workspaces/commands.ts';
import { WorkspacesView } from './workspaces/view.ts';

const readOnly = { isReadonly: true, isCaseSensitive: true };

/** All parts of the extension, wired. Nothing here starts or looks for a server. */
export class Extension implements vscode.Disposable {
  readonly api: ExtensionApi;
  private readonly context: vscode.ExtensionContext;
  private readonly log = new Log();
  private readonly connection: Connection;
  private readonly choice: WorkspaceChoice;
  private readonly live: Live;
  private readonly active: ActiveRuns;
  private readonly experiments: ExperimentsView;
  private readonly workspaces: WorkspacesView;
  private readonly compute: ComputeParts;
  private readonly environments: EnvironmentParts;
  private readonly picker: RunPicker;
  private readonly files: RunFiles;
  private readonly pages: RunPages;
  private readonly entries: SnapshotEntries;
  private readonly snapshot: SnapshotView;
  private readonly comparison: ComparisonView;
  private readonly notifier: FinishNotifier;
  private readonly submitter: Submitter;
  private readonly parts: vscode.Disposable[];

  constructor(context: vscode.ExtensionContext) {
    const started = performance.now();
    this.context = context;
    this.connection = new Connection(context.extensionPath, this.log);
    this.choice = new WorkspaceChoice(this.connection);
    this.live = new Live(this.connection, this.log);
    this.active = new ActiveRuns(this.connection, this.live, this.choice, this.log);
    const model = new ExperimentsModel(this.connection, this.choice);
    this.experiments = new ExperimentsView(model, this.live, this.choice, this.log);
    this.workspaces = new WorkspacesView(this.connection, this.choice, this.live);
    const { connection, live, choice, log } = this;
    this.compute = new ComputeParts(context, { connection, live, choice, log });
    this.picker = new RunPicker(connection, choice, {
      activePage: () => this.pages.active(),
      selected: () => this.experiments.selectedRuns,
    });
    this.environments = new EnvironmentParts({
      ...{ connection, live, choice, log },
      computes: this.compute.computes,
      connector: this.compute.connector,
      runs: this.picker,
      open: (ref) => this.open(ref),
      submit: (environment) => this.submitter.inEnvironment(environment),
    });
    this.files = new RunFiles(connection, new ArtifactFetcher(connection, live));
    const fileSystem = new RunFileSystem(this.connection, this.live);
    this.entries = new SnapshotEntries(this.connection);
    const snapshotFiles = new SnapshotFileSystem(this.connection, this.entries);
    this.snapshot = new SnapshotView(this.entries);
    this.comparison = new ComparisonView(this.connection, this.log);
    this.pages = this.makePages();
    const isOpen = (ref: RunRef) => this.pages.isOpen(ref);
    this.notifier = new FinishNotifier(context.workspaceState, this.active, isOpen, this.log);
    const submitted = (workspace: string, run: Run) => this.submitted(workspace, run);
    const memento = context.workspaceState;
    const { actions } = this.compute;
    this.submitter = new Submitter(connection, choice, live, actions, memento, log, submitted);
    this.parts = [
      this.log,
      this.connection,
      this.choice,
      this.live,
      this.active,
      model,
      this.experiments,
      this.workspaces,
      new ModelsView(),
      this.compute,
      this.environments,
      fileSystem,
      vscode.workspace.registerFileSystemProvider(scheme, fileSystem, readOnly),
      this.entries,
      snapshotFiles,
      vscode.workspace.registerFileSystemProvider(snapshotScheme, snapshotFiles, readOnly),
      this.snapshot,
      this.comparison,
      this.pages,
      new RunsStatusBar(this.active),
      this.notifier,
      vscode.window.registerUriHandler(this.makeUriHandler()),
      registerCommands(this.commands(submitted), this.log),
      this.catchUpOnce(),
      tellOfLostHome(context.globalState, this.live, this.log),
    ];
    const activationMs = performance.now() - started;
    this.api = {
      activationMs,
      get connected() {
        return connection.used;
      },
    };
  }

  dispose(): void {
    for (const part of [...this.parts].reverse()) part.dispose();
  }

  private commands(submitted: (workspace: string, run: Run) => Promise<void>): Command[] {
    const open = (ref: RunRef) => this.open(ref);
    const rerunWithChanges = new RerunWithChanges(this.connection, this.compute.actions, this.log);
    const { connection, picker, active, files, entries, comparison, snapshot: view } = this;
    const { actions } = this.compute;
    return [
      { id: 'runyard.submitRun', run: (uri) => this.submitter.command(uri) },
      ...runCommands({ connection, picker, active, files, actions, rerunWithChanges, open, submitted }),
      ...snapshotCommands({ connection, picker, entries, view }),
      ...comparisonCommands({ connection, picker, view, comparison }),
      ...experimentCommands(this.connection, this.choice, this.experiments),
      ...workspaceCommands(this.connection, this.choice),
      ...this.compute.commands,
      ...this.environments.commands,
      { id: 'runyard.refresh', progress: 'runyard.experiments', run: () => this.refresh() },
      { id: 'runyard.showServerLog', run: () => this.showServerLog() },
      { id: 'runyard.showLog', run: () => this.log.show() },
    ];
  }

  private makePages(): RunPages {
    const file = (...parts: string[]) => vscode.Uri.joinPath(this.context.extensionUri, ...parts);
    return new RunPages({
      connection: this.connection,
      live: this.live,
      files: this.files,
      environments: this.environments.ofRuns,
      log: this.log,
      assets: file('dist', 'webview'),
      icon: { light: file('media', 'run-light.svg'), dark: file('media', 'run-dark.svg') },
    });
  }

  private makeUriHandler(): RunyardUriHandler {
    const actions = {
      open: (ref: RunRef) => this.open(ref),
      submit: (folder: vscode.Uri, name: string) => this.submitter.named(folder, name),
    };
    return new RunyardUriHandler(actions, this.log);
  }

  /** Opens a run's page; says so when there is no such run. */
  private async open(ref: RunRef): Promise<void> {
    if (!ref.run && !this.pages.isOpen(ref)) {
      const client = await this.connection.client();
      const params = { workspace: ref.workspace, run: ref.runId };
      const run = await client.call('getRun', { params });
      this.pages.open({ ...ref, run });
      return;
    }
    this.pages.open(ref);
  }

  /** A run was submitted from this window: its page opens, the tree shows it, its end will be told. */
  private async submitted(workspace: string, run: Run): Promise<void> {
    this.notifier.expect(workspace, run);
    this.pages.open({ workspace, runId: run.id, run });
    await this.experiments.reveal(workspace, run);
  }

  private async refresh(): Promise<void> {
    this.workspaces.redraw();
    await this.compute.view.refresh();
    await this.environments.view.refresh();
    await this.experiments.refresh();
  }

  private async showServerLog(): Promise<void> {
    const { resolveHome } = await import('../api/home.ts');
    const { homeSetting } = await import('./settings.ts');
    const uri = vscode.Uri.file(resolveHome(homeSetting() || undefined).serverLog);
    await vscode.window.showTextDocument(uri).then(undefined, () => {
      const text = vscode.l10n.t('The server has written no log yet.');
      void vscode.window.showInformationMessage(text);
    });
  }

  /** With the first events of a session, runs that were left under way are looked up. */
  private catchUpOnce(): vscode.Disposable {
    const listener = this.live.onState(({ state }) => {
      if (state !== 'connected') return;
      listener.dispose();
      void this.notifier.catchUp(this.connection);
    });
    return listener;
  }
}
