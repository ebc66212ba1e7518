import * as vscode from 'vscode';
import type { SnapshotEntry } from '../../api/entities.ts';
import { contextKeys, setContext } from '../context-keys.ts';
import { describe } from '../errors.ts';
import { formatBytes } from '../format.ts';
import { snapshotUri } from './address.ts';
import type { SnapshotEntries } from './entries.ts';
import { nameOf } from './file-system.ts';
import type { RunSnapshot } from './source.ts';

/** An entry of the snapshot that is open, or why there is none. */
export type SnapshotNode = { snapshot: RunSnapshot; entry: SnapshotEntry } | { problem: string };

/** The *Snapshot* view: the files of one run's snapshot, there while one is open. */
export class SnapshotView implements vscode.TreeDataProvider<SnapshotNode>, vscode.Disposable {
  private readonly entries: SnapshotEntries;
  private readonly view: vscode.TreeView<SnapshotNode>;
  private readonly changed = new vscode.EventEmitter<undefined>();
  private snapshot: RunSnapshot | undefined;

  readonly onDidChangeTreeData = this.changed.event;

  constructor(entries: SnapshotEntries) {
    this.entries = entries;
    this.view = vscode.window.createTreeView('runyard.snapshot', {
      treeDataProvider: this,
      showCollapseAll: true,
    });
  }

  /** The snapshot whose files are shown. */
  get shown(): RunSnapshot | undefined {
    return this.snapshot;
  }

  /** Whether a person sees it now. */
  get visible(): boolean {
    return this.view.visible;
  }

  /** Shows the files of a snapshot in place of the one before. */
  async open(snapshot: RunSnapshot): Promise<void> {
    this.snapshot = snapshot;
    this.view.description = snapshot.title;
    await setContext(contextKeys.snapshotOpen, true);
    this.changed.fire(undefined);
    await vscode.commands.executeCommand('runyard.snapshot.focus');
  }

  async close(): Promise<void> {
    this.snapshot = undefined;
    await setContext(contextKeys.snapshotOpen, false);
    this.changed.fire(undefined);
  }

  async getChildren(node?: SnapshotNode): Promise<SnapshotNode[]> {
    const { snapshot } = this;
    if (!snapshot || (node && 'problem' in node)) return [];
    try {
      const { entries } = await this.entries.list(snapshot, node?.entry.path ?? '');
      if (!node && entries.length === 0) return [{ problem: vscode.l10n.t('The snapshot is empty.') }];
      return entries.map((entry) => ({ snapshot, entry }));
    } catch (error) {
      return [{ problem: describe(error) }];
    }
  }

  getTreeItem(node: SnapshotNode): vscode.TreeItem {
    if ('problem' in node) return new vscode.TreeItem(node.problem);
    const { snapshot, entry } = node;
    const { Collapsed, None } = vscode.TreeItemCollapsibleState;
    const folder = entry.kind === 'folder';
    const uri = snapshotUri(snapshot, entry.path);
    const item = new vscode.TreeItem(nameOf(entry), folder ? Collapsed : None);
    item.id = uri.toString();
    item.resourceUri = uri;
    item.tooltip = entry.path;
    item.contextValue = `snapshot.${entry.kind}`;
    if (folder) item.iconPath = vscode.ThemeIcon.Folder;
    else {
      item.iconPath = vscode.ThemeIcon.File;
      item.description = entry.kind === 'link' ? `→ ${entry.target ?? ''}` : formatBytes(entry.size);
      item.command = { command: 'vscode.open', title: vscode.l10n.t('Open'), arguments: [uri] };
    }
    return item;
  }

  dispose(): void {
    this.view.dispose();
    this.changed.dispose();
  }
}
