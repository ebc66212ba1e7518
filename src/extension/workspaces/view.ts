import * as vscode from 'vscode';
import type { Workspace } from '../../api/entities.ts';
import type { Connection } from '../connection.ts';
import { describe } from '../errors.ts';
import type { Live } from '../live.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';

/** A workspace in the tree, or why there is none. */
export interface WorkspaceNode {
  workspace?: Workspace;
  problem?: string;
}

/** The *Workspaces* view. */
export class WorkspacesView implements vscode.TreeDataProvider<WorkspaceNode>, vscode.Disposable {
  private readonly connection: Connection;
  private readonly choice: WorkspaceChoice;
  private readonly view: vscode.TreeView<WorkspaceNode>;
  private readonly drawn = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];

  readonly onDidChangeTreeData = this.drawn.event;

  constructor(connection: Connection, choice: WorkspaceChoice, live: Live) {
    this.connection = connection;
    this.choice = choice;
    this.view = vscode.window.createTreeView('runyard.workspaces', {
      treeDataProvider: this,
      canSelectMany: true,
    });
    this.subscriptions = [
      this.view,
      choice.onDidChange(() => this.drawn.fire()),
      live.onEvent(({ event }) => {
        if (event.type === 'workspaces') choice.forget();
      }),
    ];
  }

  redraw(): void {
    this.drawn.fire();
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    this.drawn.dispose();
  }

  async getChildren(node?: WorkspaceNode): Promise<WorkspaceNode[]> {
    if (node) return [];
    try {
      const client = await this.connection.client();
      const [{ workspaces }, used] = await Promise.all([client.call('listWorkspaces'), this.choice.name()]);
      return workspaces.map((workspace) => ({
        workspace: { ...workspace, current: workspace.name === used },
      }));
    } catch (error) {
      return [{ problem: describe(error) }];
    }
  }

  getTreeItem({ workspace, problem }: WorkspaceNode): vscode.TreeItem {
    const warning = new vscode.ThemeIcon('warning', new vscode.ThemeColor('problemsWarningIcon.foreground'));
    if (!workspace) {
      const item = new vscode.TreeItem(problem ?? '');
      item.iconPath = warning;
      item.tooltip = problem;
      item.command = { command: 'runyard.refresh', title: vscode.l10n.t('Refresh') };
      return item;
    }
    const item = new vscode.TreeItem(workspace.name);
    item.id = `workspace:${workspace.name}`;
    item.contextValue = workspace.current ? 'workspace.current' : 'workspace.other';
    item.description = workspace.problem ?? (workspace.current ? vscode.l10n.t('current') : '');
    item.iconPath = workspace.problem
      ? warning
      : new vscode.ThemeIcon(workspace.current ? 'pass-filled' : 'circle-large-outline');
    item.tooltip = [workspace.name, workspace.path, workspace.problem ?? ''].filter(Boolean).join('\n');
    return item;
  }
}
