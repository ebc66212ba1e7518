import * as vscode from 'vscode';
import { localCompute, type Compute } from '../../api/compute.ts';
import { describe } from '../errors.ts';
import type { Computes } from './computes.ts';
import { linesOf } from './lines.ts';
import { TargetNode, type ComputeTreeNode, type LineNode } from './nodes.ts';
import { describeCompute, stateIcon, stateWord } from './state.ts';
import { computeTooltip } from './tooltip.ts';

/** The compute targets as a tree. What is drawn anew is only what is different. */
export class ComputeTree implements vscode.TreeDataProvider<ComputeTreeNode>, vscode.Disposable {
  private readonly computes: Computes;
  private readonly nodes = new Map<string, TargetNode>();
  private readonly drawn = new vscode.EventEmitter<ComputeTreeNode | undefined>();
  private readonly subscription: vscode.Disposable;
  private readonly open = new Set<string>();
  private readonly shown = new Map<string, string>();
  private names = '';

  readonly onDidChangeTreeData = this.drawn.event;

  constructor(computes: Computes) {
    this.computes = computes;
    this.subscription = computes.onDidLook(() => this.follow());
  }

  redraw(): void {
    this.drawn.fire(undefined);
  }

  /** What is folded is not drawn again. */
  unfold(node: ComputeTreeNode, open: boolean): void {
    if (node.kind !== 'target') return;
    if (open) this.open.add(node.compute.name);
    else this.open.delete(node.compute.name);
  }

  dispose(): void {
    this.subscription.dispose();
    this.drawn.dispose();
  }

  async getChildren(node?: ComputeTreeNode): Promise<ComputeTreeNode[]> {
    if (node) return node.kind === 'target' ? linesOf(node) : [];
    try {
      const list = this.computes.list.length > 0 ? this.computes.list : await this.computes.refresh();
      this.names = namesOf(list);
      const targets = list.map((compute) => this.nodeOf(compute));
      return list.some(({ settings }) => settings !== null) ? targets : [...targets, { kind: 'add' }];
    } catch (error) {
      return [{ kind: 'problem', message: describe(error) }];
    }
  }

  getParent(node: ComputeTreeNode): ComputeTreeNode | undefined {
    return node.kind === 'line' ? node.parent : undefined;
  }

  getTreeItem(node: ComputeTreeNode): vscode.TreeItem {
    switch (node.kind) {
      case 'target':
        return targetItem(node);
      case 'line':
        return lineItem(node);
      case 'add':
        return addItem();
      case 'problem':
        return problemItem(node.message);
    }
  }

  /** With the next look at the load a tooltip is another one: it is made when it is wanted. */
  resolveTreeItem(item: vscode.TreeItem, node: ComputeTreeNode): vscode.TreeItem {
    if (node.kind === 'target') item.tooltip = computeTooltip(node.compute);
    return item;
  }

  /** Draws again what a person would see changed: a tooltip that is read goes with what is drawn again. */
  private follow(): void {
    const { list } = this.computes;
    if (namesOf(list) !== this.names) return this.redraw();
    for (const compute of list) {
      const node = this.nodes.get(compute.name);
      if (!node) continue;
      node.compute = compute;
      const looks = this.looksOf(node);
      if (this.shown.get(compute.name) === looks) continue;
      this.shown.set(compute.name, looks);
      this.drawn.fire(node);
    }
  }

  private looksOf(node: TargetNode): string {
    const { name, state } = node.compute;
    const lines = this.open.has(name) ? linesOf(node).map((line) => [line.label, line.description]) : [];
    return JSON.stringify([state, describeCompute(node.compute), lines]);
  }

  private nodeOf(compute: Compute): TargetNode {
    const node = this.nodes.get(compute.name) ?? new TargetNode(compute);
    node.compute = compute;
    this.nodes.set(compute.name, node);
    this.shown.set(compute.name, this.looksOf(node));
    return node;
  }
}

function namesOf(list: readonly Compute[]): string {
  return list.map(({ name }) => name).join('\n');
}

function targetItem({ compute }: TargetNode): vscode.TreeItem {
  const { name, kind, settings, state } = compute;
  const item = new vscode.TreeItem(name, vscode.TreeItemCollapsibleState.Collapsed);
  item.id = `compute:${name}`;
  // This machine as a login node has settings, but is nowhere to open a terminal on.
  const sort = kind === 'ssh' ? 'ssh' : 'shell';
  item.contextValue = settings === null ? 'compute.local' : `compute.${sort}.${state}`;
  item.iconPath = stateIcon(compute);
  item.description = describeCompute(compute);
  // The icon says nothing to a screen reader.
  const word = state === 'connected' && name !== localCompute ? stateWord(compute) : '';
  item.accessibilityInformation = { label: [name, word, item.description].filter(Boolean).join(', ') };
  return item;
}

function lineItem(node: LineNode): vscode.TreeItem {
  const item = new vscode.TreeItem(node.label);
  item.id = `compute:${node.parent.compute.name}/${node.id}`;
  item.contextValue = `computeLine.${node.id}`;
  item.iconPath = node.icon;
  item.description = node.description ?? '';
  item.tooltip = node.tooltip ?? [node.label, node.description].filter(Boolean).join(': ');
  if (node.command) item.command = { ...node.command, arguments: [node] };
  return item;
}

function addItem(): vscode.TreeItem {
  const item = new vscode.TreeItem(vscode.l10n.t('Add Compute...'));
  item.id = 'compute-add';
  item.iconPath = new vscode.ThemeIcon('add');
  item.description = vscode.l10n.t('a host over SSH, or a Slurm cluster');
  item.tooltip = vscode.l10n.t(
    'Runs can go to any host that you reach over SSH, and to a Slurm cluster by its login node; nothing is set up there first.',
  );
  item.command = { command: 'runyard.addCompute', title: vscode.l10n.t('Add Compute...') };
  return item;
}

function problemItem(message: string): vscode.TreeItem {
  const item = new vscode.TreeItem(message);
  item.iconPath = new vscode.ThemeIcon('warning', new vscode.ThemeColor('problemsWarningIcon.foreground'));
  item.tooltip = message;
  item.command = { command: 'runyard.refresh', title: vscode.l10n.t('Refresh') };
  return item;
}
