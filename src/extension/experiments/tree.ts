import * as vscode from 'vscode';
import { describe } from '../errors.ts';
import { formatAgo, formatDuration, runDuration, runTitle } from '../format.ts';
import { schedulerLines } from '../scheduler.ts';
import { isActive, statusContext, statusIcon, statusWord } from '../status.ts';
import type { ExperimentsModel } from './model.ts';
import { ExperimentNode, LoadMoreNode, ProblemNode, type ExperimentsNode, RunNode } from './nodes.ts';

/** Changes within this time are drawn together. */
const debounceMs = 80;

/** Draws the model as a tree: experiments, their runs, and child runs. */
export class ExperimentsTree implements vscode.TreeDataProvider<ExperimentsNode>, vscode.Disposable {
  private readonly model: ExperimentsModel;
  private readonly drawn = new vscode.EventEmitter<ExperimentsNode[] | undefined>();
  private readonly subscription: vscode.Disposable;
  private readonly pending = new Set<ExperimentsNode | undefined>();
  private timer: NodeJS.Timeout | undefined;

  readonly onDidChangeTreeData = this.drawn.event;

  constructor(model: ExperimentsModel) {
    this.model = model;
    this.subscription = model.onDidChange((node) => this.redraw(node));
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.subscription.dispose();
    this.drawn.dispose();
  }

  /** Draws a node again; undefined: all. */
  redraw(node?: ExperimentsNode): void {
    this.pending.add(node);
    this.timer ??= setTimeout(() => this.flush(), debounceMs);
  }

  /** Draws what waits to be drawn now. */
  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const nodes = [...this.pending];
    this.pending.clear();
    if (nodes.length === 0) return;
    this.drawn.fire(nodes.includes(undefined) ? undefined : (nodes as ExperimentsNode[]));
  }

  async getChildren(node?: ExperimentsNode): Promise<ExperimentsNode[]> {
    try {
      if (!node) return await this.model.roots();
      if (node instanceof RunNode) return node.children;
      if (!(node instanceof ExperimentNode)) return [];
      const runs = await this.model.runsOf(node);
      return node.cursor === null ? runs : [...runs, new LoadMoreNode(node)];
    } catch (error) {
      return [new ProblemNode(describe(error))];
    }
  }

  getParent(node: ExperimentsNode): ExperimentsNode | undefined {
    return node instanceof RunNode || node instanceof LoadMoreNode ? node.parent : undefined;
  }

  getTreeItem(node: ExperimentsNode): vscode.TreeItem {
    switch (node.kind) {
      case 'experiment':
        return experimentItem(node);
      case 'run':
        return runItem(node);
      case 'more':
        return moreItem(node);
      case 'problem':
        return problemItem(node);
    }
  }
}

function experimentItem(node: ExperimentNode): vscode.TreeItem {
  const { name, runs, activeRuns, lastRunAt } = node.experiment;
  const item = new vscode.TreeItem(
    name,
    node.opensItself ? vscode.TreeItemCollapsibleState.Expanded : vscode.TreeItemCollapsibleState.Collapsed,
  );
  item.id = `experiment:${node.workspace}/${name}`;
  item.contextValue = 'experiment';
  item.iconPath = new vscode.ThemeIcon('beaker');
  const count = runs === 1 ? vscode.l10n.t('1 run') : vscode.l10n.t('{0} runs', runs);
  item.description = activeRuns > 0 ? `${count} · ${vscode.l10n.t('{0} active', activeRuns)}` : count;
  const last = lastRunAt === null ? '' : `\n${vscode.l10n.t('Last run {0}', formatAgo(lastRunAt))}`;
  item.accessibilityInformation = { label: `${name}, ${item.description}` };
  item.tooltip = `${name}\n${item.description}${last}`;
  return item;
}

function runItem(node: RunNode): vscode.TreeItem {
  const { run } = node;
  const state = node.children.length
    ? vscode.TreeItemCollapsibleState.Collapsed
    : vscode.TreeItemCollapsibleState.None;
  const item = new vscode.TreeItem(runTitle(run), state);
  item.id = `run:${node.workspace}/${run.id}`;
  item.contextValue = statusContext(run);
  item.iconPath = statusIcon(run.status);
  item.description = describeRun(node);
  item.tooltip = tooltip(node);
  item.accessibilityInformation = { label: accessibleLabel(node, item.description) };
  item.command = { command: 'runyard.openRun', title: vscode.l10n.t('Open Run'), arguments: [node] };
  return item;
}

/** The status is always a word of it, as the icon says nothing to a screen reader. */
function accessibleLabel({ run }: RunNode, description: string): string {
  const parts = [runTitle(run), isActive(run) ? '' : statusWord(run.status), description];
  return parts.filter(Boolean).join(', ');
}

/** What stands beside a run's name: what it waits for, how long it takes, why it failed. */
function describeRun(node: RunNode): string {
  const { run } = node;
  const duration = runDuration(run);
  const parts: string[] = [];
  if (isActive(run)) {
    parts.push(statusWord(run.status));
    if (!run.hostReachable) parts.push(vscode.l10n.t('host unreachable'));
    if (run.status === 'Running' && duration !== undefined) parts.push(formatDuration(duration));
    else if (run.statusReason) parts.push(run.statusReason);
  } else {
    if (duration !== undefined) parts.push(formatDuration(duration));
    if (run.status === 'Failed') parts.push(run.error?.message || run.statusReason);
    else parts.push(formatAgo(run.endedAt ?? run.createdAt));
  }
  return parts.filter(Boolean).join(' · ');
}

function tooltip(node: RunNode): vscode.MarkdownString {
  const { run } = node;
  const text = new vscode.MarkdownString('', true);
  const line = (name: string, value: string) => text.appendText(`${name}: ${value}`).appendMarkdown('  \n');
  text.appendMarkdown('**').appendText(runTitle(run)).appendMarkdown('**  \n');
  line(vscode.l10n.t('Status'), [statusWord(run.status), run.statusReason].filter(Boolean).join(': '));
  if (run.error) line(vscode.l10n.t('Error'), run.error.message);
  const duration = runDuration(run);
  if (duration !== undefined) line(vscode.l10n.t('Duration'), formatDuration(duration));
  if (run.script) line(vscode.l10n.t('Script'), run.script);
  line(vscode.l10n.t('Compute'), run.compute);
  for (const [name, value] of run.scheduler ? schedulerLines(run.scheduler, isActive(run)) : [])
    line(name, value);
  if (run.attempts > 1) line(vscode.l10n.t('Attempts'), String(run.attempts));
  line(vscode.l10n.t('Submitted'), new Date(run.createdAt).toLocaleString());
  line(vscode.l10n.t('Run ID'), run.id);
  return text;
}

function moreItem(node: LoadMoreNode): vscode.TreeItem {
  const item = new vscode.TreeItem(vscode.l10n.t('Load More'));
  item.id = `more:${node.parent.workspace}/${node.parent.experiment.name}/${node.parent.cursor}`;
  item.iconPath = new vscode.ThemeIcon('ellipsis');
  item.command = { command: 'runyard.loadMore', title: item.label as string, arguments: [node] };
  return item;
}

function problemItem(node: ProblemNode): vscode.TreeItem {
  const item = new vscode.TreeItem(node.message);
  item.iconPath = new vscode.ThemeIcon('warning', new vscode.ThemeColor('problemsWarningIcon.foreground'));
  item.tooltip = node.message;
  item.command = { command: 'runyard.refresh', title: vscode.l10n.t('Refresh') };
  return item;
}
