import * as vscode from 'vscode';
import type { Environment } from '../../api/environment.ts';
import { describe } from '../errors.ts';
import { runTitle } from '../format.ts';
import type { Environments } from './environments.ts';
import { mostRuns } from './environments.ts';
import { buildItem, environmentItem, groupItem, packageItem, useItem, versionItem } from './items.ts';
import { isBuilt } from './kinds.ts';
import { EnvironmentNode, type EnvironmentsNode, type GroupNode } from './nodes.ts';
import { askedPackages } from './packages.ts';

/** The environments as a tree. */
export class EnvironmentsTree implements vscode.TreeDataProvider<EnvironmentsNode>, vscode.Disposable {
  private readonly environments: Environments;
  private readonly nodes = new Map<string, EnvironmentNode>();
  private readonly drawn = new vscode.EventEmitter<EnvironmentsNode | undefined>();
  private readonly subscription: vscode.Disposable;
  private shown = '';

  readonly onDidChangeTreeData = this.drawn.event;

  constructor(environments: Environments) {
    this.environments = environments;
    this.subscription = environments.onDidChange(() => this.follow());
  }

  redraw(): void {
    this.drawn.fire(undefined);
  }

  dispose(): void {
    this.subscription.dispose();
    this.drawn.dispose();
  }

  /** The node of an environment, where it is among those that are known. */
  nodeOf(name: string): EnvironmentNode | undefined {
    const value = this.environments.list.find((one) => one.name === name);
    return value && this.keep(value);
  }

  async getChildren(node?: EnvironmentsNode): Promise<EnvironmentsNode[]> {
    try {
      if (!node) return await this.roots();
      if (node.kind === 'environment') return this.below(node);
      return node.kind === 'group' ? await this.members(node) : [];
    } catch (error) {
      return [{ kind: 'problem', message: describe(error) }];
    }
  }

  getParent(node: EnvironmentsNode): EnvironmentsNode | undefined {
    return node.kind === 'environment' || node.kind === 'problem' ? undefined : node.parent;
  }

  getTreeItem(node: EnvironmentsNode): vscode.TreeItem {
    switch (node.kind) {
      case 'environment':
        return environmentItem(node);
      case 'group':
        return groupItem(node);
      case 'version':
        return versionItem(node);
      case 'package':
        return packageItem(node);
      case 'build':
        return buildItem(node);
      case 'use':
        return useItem(node, runTitle(node.run));
      case 'text': {
        const item = new vscode.TreeItem(node.label);
        const { parent } = node;
        const above = parent.kind === 'group' ? parent.parent : parent;
        item.id = `environment:${above.workspace}/${above.value.name}/${node.id}`;
        item.iconPath = new vscode.ThemeIcon(node.icon);
        item.description = node.description;
        item.tooltip = [node.label, node.description].filter(Boolean).join(': ');
        return item;
      }
      case 'problem': {
        const item = new vscode.TreeItem(node.message);
        const color = new vscode.ThemeColor('problemsWarningIcon.foreground');
        item.iconPath = new vscode.ThemeIcon('warning', color);
        item.tooltip = node.message;
        item.command = { command: 'runyard.refresh', title: vscode.l10n.t('Refresh') };
        return item;
      }
    }
  }

  /** Draws again only what a person would see changed. */
  private follow(): void {
    const looks = JSON.stringify([this.environments.list, this.environments.built]);
    if (looks === this.shown) return;
    this.shown = looks;
    this.redraw();
  }

  private async roots(): Promise<EnvironmentsNode[]> {
    const { environments } = this;
    const list = environments.list.length > 0 ? environments.list : await environments.refresh();
    this.shown = JSON.stringify([environments.list, environments.built]);
    return list.map((value) => this.keep(value));
  }

  private keep(value: Environment): EnvironmentNode {
    const key = `${this.environments.workspace}/${value.name}`;
    const node = this.nodes.get(key) ?? new EnvironmentNode(this.environments.workspace, value);
    node.value = value;
    this.nodes.set(key, node);
    return node;
  }

  private below(node: EnvironmentNode): EnvironmentsNode[] {
    const { value, workspace } = node;
    const { definition, name } = value;
    const lines: EnvironmentsNode[] = [];
    const text = (id: string, icon: string, label: string, description: string) =>
      lines.push({ kind: 'text', parent: node, id, icon, label, description });
    if (definition.image !== null) text('image', 'vm', vscode.l10n.t('Image'), definition.image);
    if (definition.interpreter !== null)
      text('interpreter', 'symbol-misc', vscode.l10n.t('Interpreter'), definition.interpreter);
    if (definition.condaEnvironment !== null)
      text('conda', 'symbol-namespace', vscode.l10n.t('Conda environment'), definition.condaEnvironment);
    const variables = Object.keys(definition.variables);
    if (variables.length > 0)
      text('variables', 'symbol-variable', vscode.l10n.t('Variables'), variables.join(', '));
    const built = this.environments.builtOf(value);
    for (const { compute, build } of built) {
      const environment = `${build.name ?? name}:${build.version ?? value.version}`;
      lines.push({ kind: 'build', parent: node, compute, build, workspace, environment });
    }
    if (built.length === 0 && isBuilt(definition))
      text('unbuilt', 'circle-large-outline', vscode.l10n.t('Not built on a connected host'), '');
    if (askedPackages(value).length > 0) lines.push({ kind: 'group', group: 'packages', parent: node });
    if (value.versions.length > 1) lines.push({ kind: 'group', group: 'versions', parent: node });
    if (value.runs > 0) lines.push({ kind: 'group', group: 'runs', parent: node });
    return lines;
  }

  private async members(node: GroupNode): Promise<EnvironmentsNode[]> {
    const { value, workspace } = node.parent;
    switch (node.group) {
      case 'versions':
        return [...value.versions].reverse().map((version) => ({
          kind: 'version',
          parent: node,
          workspace,
          environment: `${value.name}:${version}`,
          version,
          latest: version === value.version,
        }));
      case 'packages':
        return askedPackages(value).map((asked) => ({ kind: 'package', parent: node, asked }));
      case 'runs': {
        const runs = await this.environments.usesOf(value);
        const nodes: EnvironmentsNode[] = runs.map((run) => ({
          kind: 'use',
          parent: node,
          workspace,
          runId: run.id,
          run,
        }));
        const more = value.runs - mostRuns;
        if (more > 0) {
          const label = vscode.l10n.t('and {0} more', more);
          nodes.push({ kind: 'text', parent: node, id: 'more', icon: 'ellipsis', label, description: '' });
        }
        return nodes;
      }
    }
  }
}
