import * as vscode from 'vscode';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import type { Environments } from './environments.ts';
import type { EnvironmentsNode } from './nodes.ts';
import { labelOf, type EnvironmentRef } from './reference.ts';
import { EnvironmentsTree } from './tree.ts';

/** The *Environments* view: while it is visible it follows what is registered and built, hidden it asks nothing. */
export class EnvironmentsView implements vscode.Disposable {
  private readonly environments: Environments;
  private readonly live: Live;
  private readonly choice: WorkspaceChoice;
  private readonly log: Log;
  private readonly tree: EnvironmentsTree;
  private readonly view: vscode.TreeView<EnvironmentsNode>;
  private readonly subscriptions: vscode.Disposable[];
  private watch: vscode.Disposable | undefined;

  constructor(environments: Environments, live: Live, choice: WorkspaceChoice, log: Log) {
    this.environments = environments;
    this.live = live;
    this.choice = choice;
    this.log = log;
    this.tree = new EnvironmentsTree(environments);
    this.view = vscode.window.createTreeView('runyard.environments', {
      treeDataProvider: this.tree,
      showCollapseAll: true,
    });
    this.subscriptions = [
      this.tree,
      this.view,
      this.view.onDidChangeVisibility(() => void this.follow()),
      choice.onDidChange(() => {
        this.unwatch();
        void this.refresh();
        void this.follow();
      }),
    ];
    void this.follow();
  }

  /** The environment that is selected, or the one whose line is. */
  get selected(): EnvironmentRef | undefined {
    let [node] = this.view.visible ? this.view.selection : [];
    while (node && !('environment' in node)) node = this.tree.getParent(node);
    return node && 'environment' in node ? node : undefined;
  }

  async refresh(): Promise<void> {
    if (this.view.visible) await this.environments.refresh().catch(() => undefined);
    this.tree.redraw();
  }

  /** Shows an environment in the view, opened. */
  async reveal(environment: { name: string; version: number }): Promise<void> {
    await vscode.commands.executeCommand('runyard.environments.focus');
    await this.environments.refresh();
    const node = this.tree.nodeOf(environment.name);
    if (!node) return;
    await this.view.reveal(node, { select: true, focus: true, expand: true }).then(undefined, (error) => {
      this.log.error(`${labelOf(environment)} cannot be shown`, error);
    });
  }

  dispose(): void {
    this.unwatch();
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private async follow(): Promise<void> {
    this.environments.shown = this.view.visible;
    if (!this.view.visible) return this.unwatch();
    this.environments.refresh().catch((error: unknown) => {
      this.log.error('The environments cannot be fetched', error);
      this.tree.redraw();
    });
    if (this.watch) return;
    try {
      const workspace = await this.choice.name();
      if (this.view.visible && !this.watch) this.watch = this.live.watch(workspace);
    } catch (error) {
      this.log.error('The environments cannot be followed', error);
    }
  }

  private unwatch(): void {
    this.watch?.dispose();
    this.watch = undefined;
  }
}
