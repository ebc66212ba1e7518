import * as vscode from 'vscode';
import type { Run } from '../../api/entities.ts';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import type { RunRef } from '../run-ref.ts';
import { isActive } from '../status.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import type { ExperimentsModel } from './model.ts';
import { ExperimentNode, LoadMoreNode, type ExperimentsNode } from './nodes.ts';
import { ExperimentsTree } from './tree.ts';

/** Running durations are drawn again this often while they are seen. */
const tickMs = 5_000;
/** Answers to "look again" within this time are one. */
const refreshDelayMs = 250;
const revealAttempts = 20;
const revealPauseMs = 150;

/** The *Experiments* view: watches the event stream while it is visible, and only then. */
export class ExperimentsView implements vscode.Disposable {
  private readonly model: ExperimentsModel;
  private readonly live: Live;
  private readonly choice: WorkspaceChoice;
  private readonly log: Log;
  private readonly tree: ExperimentsTree;
  private readonly view: vscode.TreeView<ExperimentsNode>;
  private readonly subscriptions: vscode.Disposable[];
  private watching: { workspace: string; watch: vscode.Disposable } | undefined;
  private ticker: NodeJS.Timeout | undefined;
  private refreshTimer: NodeJS.Timeout | undefined;

  constructor(model: ExperimentsModel, live: Live, choice: WorkspaceChoice, log: Log) {
    this.model = model;
    this.live = live;
    this.choice = choice;
    this.log = log;
    this.tree = new ExperimentsTree(model);
    this.view = vscode.window.createTreeView('runyard.experiments', {
      treeDataProvider: this.tree,
      canSelectMany: true,
      showCollapseAll: true,
    });
    this.subscriptions = [
      this.tree,
      this.view,
      this.view.onDidChangeVisibility(() => void this.follow()),
      choice.onDidChange(() => {
        model.reset();
        void this.follow();
      }),
      live.onEvent(({ workspace, event }) => {
        if (workspace === this.model.workspace) model.apply(event);
      }),
      live.onLookAgain((workspace) => {
        if (workspace === this.model.workspace && this.view.visible) this.refreshSoon();
      }),
    ];
    void this.follow();
  }

  /** Selected runs, for commands without arguments. */
  get selectedRuns(): RunRef[] {
    return this.view.visible ? this.view.selection.filter((node) => node.kind === 'run') : [];
  }

  get selectedExperiments(): ExperimentNode[] {
    return this.view.selection.filter((node) => node instanceof ExperimentNode);
  }

  /** What the tree holds of a run, without asking the server. */
  find(runId: string): RunRef | undefined {
    return this.model.find(runId);
  }

  /** Fetches again what is shown. */
  async refresh(): Promise<void> {
    if (this.view.visible) await this.model.refresh();
    this.tree.redraw();
  }

  async loadMore(node: unknown): Promise<void> {
    if (node instanceof LoadMoreNode) await this.model.loadMore(node.parent);
  }

  /** Shows a run in the tree and selects it. */
  async reveal(workspace: string, run: Run): Promise<void> {
    if (workspace !== (await this.choice.name())) return;
    const node = await this.model.ensure(run);
    if (!node) return;
    // The editor finds a node only among those that it was told of, and that its tree has drawn: a view
    // that comes into sight with this call draws them after it.
    this.tree.redraw();
    this.tree.flush();
    let seen = false;
    for (let attempt = 0; attempt < revealAttempts; attempt++) {
      // A person who has gone to another view meanwhile is not called back.
      if (seen && !this.view.visible) return;
      seen ||= this.view.visible;
      try {
        await this.view.reveal(node, { select: true, focus: false });
      } catch (error) {
        // The tree is being drawn anew. To show a run is a courtesy: it is tried again, and not complained of.
        if (attempt === revealAttempts - 1) this.log.error('The run cannot be shown in the tree', error);
      }
      await new Promise((resolve) => setTimeout(resolve, revealPauseMs));
      const [selected] = this.view.selection;
      if (selected?.kind === 'run' && selected.runId === run.id) return;
    }
  }

  dispose(): void {
    clearInterval(this.ticker);
    clearTimeout(this.refreshTimer);
    this.watching?.watch.dispose();
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private async follow(): Promise<void> {
    clearInterval(this.ticker);
    if (!this.view.visible) {
      this.watching?.watch.dispose();
      this.watching = undefined;
      return;
    }
    this.ticker = setInterval(() => this.tick(), tickMs);
    try {
      const workspace = await this.choice.name();
      if (!this.view.visible || this.watching?.workspace === workspace) return;
      this.watching?.watch.dispose();
      this.watching = { workspace, watch: this.live.watch(workspace) };
      this.refreshSoon();
    } catch (error) {
      this.log.error('The experiments cannot be followed', error);
    }
  }

  private tick(): void {
    for (const node of this.model.loaded()) if (isActive(node.run)) this.tree.redraw(node);
  }

  private refreshSoon(): void {
    this.refreshTimer ??= setTimeout(() => {
      this.refreshTimer = undefined;
      this.model.refresh().catch((error: unknown) => {
        this.log.error('The experiments cannot be fetched', error);
        this.model.reset();
      });
    }, refreshDelayMs);
  }
}
