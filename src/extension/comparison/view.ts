import path from 'node:path';
import * as vscode from 'vscode';
import type { Comparison, SnapshotChange } from '../../api/entities.ts';
import type { Connection } from '../connection.ts';
import { contextKeys, setContext } from '../context-keys.ts';
import type { Log } from '../log.ts';
import { ChangeDecorations, changeUri, changeWord } from './decorations.ts';
import { type ChangeNode, treeOf } from './nodes.ts';
import { documentsOf, type Sides, titleOf } from './sides.ts';

/** Several files saved at once are one reason to look again. */
const savedMs = 500;
/** The editor opens this many diffs in one tab without trouble. */
const mostDiffs = 500;

interface Shown {
  sides: Sides;
  comparison: Comparison;
  nodes: ChangeNode[];
}

/** The *Comparison* view: what differs between a snapshot and another, or a folder. */
export class ComparisonView implements vscode.TreeDataProvider<ChangeNode>, vscode.Disposable {
  private readonly connection: Connection;
  private readonly log: Log;
  private readonly view: vscode.TreeView<ChangeNode>;
  private readonly changed = new vscode.EventEmitter<undefined>();
  private readonly subscriptions: vscode.Disposable[];
  private shown: Shown | undefined;
  private saved: NodeJS.Timeout | undefined;

  readonly onDidChangeTreeData = this.changed.event;

  constructor(connection: Connection, log: Log) {
    this.connection = connection;
    this.log = log;
    this.view = vscode.window.createTreeView('runyard.comparison', {
      treeDataProvider: this,
      showCollapseAll: true,
    });
    this.subscriptions = [
      this.view,
      this.changed,
      vscode.window.registerFileDecorationProvider(new ChangeDecorations()),
      vscode.workspace.onDidSaveTextDocument(({ uri }) => this.followSave(uri)),
      // Files change outside of the editor as well: a person who comes back sees what is.
      vscode.window.onDidChangeWindowState(({ focused }) => focused && this.followFolder()),
      this.view.onDidChangeVisibility(({ visible }) => visible && this.followFolder()),
    ];
  }

  /** Compares, and shows what differs in place of what was shown. */
  async compare(sides: Sides): Promise<void> {
    const location = vscode.ProgressLocation.Notification;
    const title = vscode.l10n.t('Comparing {0}', titleOf(sides));
    const comparison = await vscode.window.withProgress({ location, title, cancellable: true }, (_, token) =>
      this.ask(sides, token),
    );
    this.show(sides, comparison);
    await setContext(contextKeys.comparisonOpen, true);
    await vscode.commands.executeCommand('runyard.comparison.focus');
  }

  /** Compares the same again. */
  async refresh(): Promise<void> {
    const before = this.shown;
    if (!before) return;
    const comparison = await this.ask(before.sides);
    // Meanwhile a person may have asked for another one.
    if (this.shown === before) this.show(before.sides, comparison);
  }

  async close(): Promise<void> {
    this.shown = undefined;
    await setContext(contextKeys.comparisonOpen, false);
    this.changed.fire(undefined);
  }

  /** All differences in one editor. */
  async openAll(): Promise<void> {
    const { shown } = this;
    if (!shown) return;
    const resources = shown.comparison.changes.slice(0, mostDiffs).map((change) => {
      const [left, right] = documentsOf(shown.sides, change);
      // A side that is not there is left out: the editor says added or deleted.
      return [changeUri(change), change.left ? left : undefined, change.right ? right : undefined];
    });
    await vscode.commands.executeCommand('vscode.changes', titleOf(shown.sides), resources);
  }

  getChildren(node?: ChangeNode): ChangeNode[] {
    if (!node) return this.shown?.nodes ?? [];
    return node.kind === 'folder' ? node.children : [];
  }

  getTreeItem(node: ChangeNode): vscode.TreeItem {
    const { Expanded, None } = vscode.TreeItemCollapsibleState;
    if (node.kind === 'folder') {
      const folder = new vscode.TreeItem(node.label, Expanded);
      folder.iconPath = vscode.ThemeIcon.Folder;
      folder.resourceUri = vscode.Uri.from({ scheme: 'runyard-folder', path: `/${node.path}` });
      return folder;
    }
    const item = new vscode.TreeItem(node.label, None);
    item.resourceUri = changeUri(node.change);
    item.iconPath = vscode.ThemeIcon.File;
    const word = changeWord(node.change.change);
    item.tooltip = `${node.change.path} · ${word}`;
    item.accessibilityInformation = { label: `${node.label}, ${word}` };
    const detail = detailOf(node.change);
    if (detail) item.description = detail;
    item.contextValue = 'change';
    const { sides } = this.shown!;
    const [left, right] = documentsOf(sides, node.change);
    const name = path.posix.basename(node.change.path);
    const title = vscode.l10n.t('Open Changes');
    const args = [left, right, `${name} (${titleOf(sides)})`, { preview: true }];
    item.command = { command: 'vscode.diff', title, arguments: args };
    return item;
  }

  dispose(): void {
    clearTimeout(this.saved);
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private async ask(sides: Sides, token?: vscode.CancellationToken): Promise<Comparison> {
    const abort = new AbortController();
    token?.onCancellationRequested(() => abort.abort());
    const { left, right } = sides;
    const client = await this.connection.client();
    const params = { workspace: left.workspace, snapshot: left.snapshotId };
    const body = 'folder' in right ? { folder: right.folder } : { snapshot: right.snapshotId };
    return client.call('compareSnapshot', { params, body, signal: abort.signal });
  }

  private show(sides: Sides, comparison: Comparison): void {
    this.shown = { sides, comparison, nodes: treeOf(comparison.changes) };
    this.view.description = titleOf(sides);
    this.view.message = messageOf(comparison);
    this.changed.fire(undefined);
  }

  /** A saved file of the folder that is compared: what differs is another thing now. */
  private followSave(uri: vscode.Uri): void {
    const right = this.shown?.sides.right;
    if (!right || !('folder' in right) || uri.scheme !== 'file') return;
    const relative = path.relative(right.folder, uri.fsPath);
    if (relative.startsWith('..') || path.isAbsolute(relative)) return;
    this.followFolder();
  }

  /** Compares again in a moment, where one side is a folder as it is now. */
  private followFolder(): void {
    const right = this.shown?.sides.right;
    if (!right || !('folder' in right) || !this.view.visible) return;
    clearTimeout(this.saved);
    this.saved = setTimeout(() => {
      this.refresh().catch((error: unknown) => this.log.error('The comparison cannot be renewed', error));
    }, savedMs);
  }
}

function messageOf({ changes, more, same }: Comparison): string | undefined {
  if (more) return vscode.l10n.t('The first {0} differences; there are more.', changes.length);
  if (changes.length > 0) return undefined;
  return vscode.l10n.t('No difference: all {0} paths are the same.', same.toLocaleString());
}

/** What the letter alone does not say. */
function detailOf({ change, left, right }: SnapshotChange): string | undefined {
  if (change === 'mode') return `${modeText(left?.mode)} → ${modeText(right?.mode)}`;
  if (change === 'kind') return `${kindWord(left?.kind)} → ${kindWord(right?.kind)}`;
  return undefined;
}

function modeText(mode: number | null | undefined): string {
  return mode === null || mode === undefined ? '?' : (mode & 0o7777).toString(8).padStart(4, '0');
}

function kindWord(kind: 'file' | 'folder' | 'link' | undefined): string {
  if (kind === 'folder') return vscode.l10n.t('folder');
  return kind === 'link' ? vscode.l10n.t('link') : vscode.l10n.t('file');
}
