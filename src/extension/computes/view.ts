import * as vscode from 'vscode';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import type { Computes } from './computes.ts';
import type { ComputeTreeNode } from './nodes.ts';
import { ComputeTree } from './tree.ts';

/** The load of hosts is asked for again this often while somebody looks at it. */
const loadMs = 5_000;

/** The *Compute* view: while it is visible it follows the targets and their load, hidden it asks nothing. */
export class ComputeView implements vscode.Disposable {
  private readonly computes: Computes;
  private readonly live: Live;
  private readonly choice: WorkspaceChoice;
  private readonly log: Log;
  private readonly tree: ComputeTree;
  private readonly view: vscode.TreeView<ComputeTreeNode>;
  private readonly subscriptions: vscode.Disposable[];
  private watch: vscode.Disposable | undefined;
  private ticker: NodeJS.Timeout | undefined;

  constructor(computes: Computes, live: Live, choice: WorkspaceChoice, log: Log) {
    this.computes = computes;
    this.live = live;
    this.choice = choice;
    this.log = log;
    this.tree = new ComputeTree(computes);
    this.view = vscode.window.createTreeView('runyard.compute', {
      treeDataProvider: this.tree,
      showCollapseAll: true,
    });
    this.subscriptions = [
      this.tree,
      this.view,
      this.view.onDidChangeVisibility(() => void this.follow()),
      this.view.onDidExpandElement(({ element }) => this.tree.unfold(element, true)),
      this.view.onDidCollapseElement(({ element }) => this.tree.unfold(element, false)),
      choice.onDidChange(() => {
        this.unwatch();
        void this.follow();
      }),
    ];
    void this.follow();
  }

  /** The target that is selected, or the one whose line is. */
  get selected(): string | undefined {
    const [node] = this.view.visible ? this.view.selection : [];
    if (node?.kind === 'line') return node.parent.compute.name;
    return node?.kind === 'target' ? node.compute.name : undefined;
  }

  async refresh(): Promise<void> {
    if (this.view.visible) await this.computes.refresh().catch(() => undefined);
    this.tree.redraw();
  }

  dispose(): void {
    this.unwatch();
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private async follow(): Promise<void> {
    if (!this.view.visible) return this.unwatch();
    this.ticker ??= setInterval(() => this.look(), loadMs);
    this.look();
    if (this.watch) return;
    try {
      const workspace = await this.choice.name();
      if (this.view.visible && !this.watch) this.watch = this.live.watch(workspace);
    } catch (error) {
      this.log.error('The compute targets cannot be followed', error);
    }
  }

  private look(): void {
    this.computes.refresh().catch((error: unknown) => {
      this.log.error('The compute targets cannot be fetched', error);
      this.tree.redraw();
    });
  }

  private unwatch(): void {
    clearInterval(this.ticker);
    this.ticker = undefined;
    this.watch?.dispose();
    this.watch = undefined;
  }
}
