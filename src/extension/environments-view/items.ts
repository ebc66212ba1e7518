import * as vscode from 'vscode';
import { localCompute } from '../../api/compute.ts';
import type { HostEnvironment } from '../../api/environment.ts';
import { formatAgo, formatBytes } from '../format.ts';
import { isActive, statusIcon, statusWord } from '../status.ts';
import { isBuilt, kindIcon, kindWord } from './kinds.ts';
import type { BuildNode, EnvironmentNode, GroupNode, PackageNode, UseNode, VersionNode } from './nodes.ts';
import { askedPackages } from './packages.ts';

const { Collapsed } = vscode.TreeItemCollapsibleState;

export function environmentItem(node: EnvironmentNode): vscode.TreeItem {
  const { name, version, kind, summary, unpinned, createdAt, runs, definition } = node.value;
  const item = new vscode.TreeItem(name, Collapsed);
  item.id = idOf(node);
  item.contextValue = isBuilt(definition) ? 'environment.built' : 'environment.asItIs';
  item.iconPath = kindIcon(kind);
  item.description = vscode.l10n.t('version {0} · {1}', version, summary);
  item.accessibilityInformation = { label: `${name}, ${item.description}` };
  const text = new vscode.MarkdownString('', true);
  const line = (words: string) => text.appendText(words).appendMarkdown('  \n');
  text.appendMarkdown('**').appendText(`${name}:${version}`).appendMarkdown('**  \n');
  line(`${summary} (${kindWord(kind)})`);
  line(vscode.l10n.t('Registered {0}', formatAgo(createdAt)));
  line(runs === 1 ? vscode.l10n.t('Used by 1 run') : vscode.l10n.t('Used by {0} runs', runs));
  if (unpinned.length > 0) {
    text.appendMarkdown('\n\n$(warning) ').appendText(unpinnedSentence(unpinned.length));
  }
  item.tooltip = text;
  return item;
}

export function groupItem(node: GroupNode): vscode.TreeItem {
  const { value } = node.parent;
  const [label, icon, description] = describeGroup(node);
  const item = new vscode.TreeItem(label, Collapsed);
  item.id = `${idOf(node.parent)}/${node.group}`;
  item.contextValue = `environmentGroup.${node.group}`;
  item.iconPath = new vscode.ThemeIcon(icon);
  item.description = description;
  item.tooltip =
    node.group === 'packages' && value.unpinned.length > 0
      ? `${label}\n${unpinnedSentence(value.unpinned.length)}`
      : label;
  return item;
}

function describeGroup({ group, parent }: GroupNode): [label: string, icon: string, description: string] {
  const { value } = parent;
  switch (group) {
    case 'versions':
      return [vscode.l10n.t('Versions'), 'history', String(value.versions.length)];
    case 'packages': {
      const loose = value.unpinned.length;
      const count = String(askedPackages(value).length);
      const mark = loose > 0 ? vscode.l10n.t('{0} · {1} not pinned', count, loose) : count;
      return [vscode.l10n.t('Packages asked for'), 'list-unordered', mark];
    }
    case 'runs':
      return [vscode.l10n.t('Used by'), 'beaker', runsOf(value.runs)];
  }
}

export function versionItem(node: VersionNode): vscode.TreeItem {
  const item = new vscode.TreeItem(vscode.l10n.t('Version {0}', node.version));
  item.id = `${idOf(node.parent.parent)}/version/${node.version}`;
  item.contextValue = 'environmentVersion';
  item.iconPath = new vscode.ThemeIcon(node.latest ? 'circle-filled' : 'circle-outline');
  item.description = node.latest ? vscode.l10n.t('latest') : '';
  item.tooltip = node.environment;
  const title = vscode.l10n.t('Show Definition');
  item.command = { command: 'runyard.showEnvironmentDefinition', title, arguments: [node] };
  return item;
}

export function packageItem({ parent, asked }: PackageNode): vscode.TreeItem {
  const { name, version, source, pinned } = asked;
  const item = new vscode.TreeItem(name);
  item.contextValue = 'environmentPackage';
  item.iconPath = pinned
    ? new vscode.ThemeIcon('pinned')
    : new vscode.ThemeIcon('warning', new vscode.ThemeColor('problemsWarningIcon.foreground'));
  const mark = pinned ? '' : vscode.l10n.t('not pinned');
  const from = source === 'conda' ? 'conda' : '';
  item.description = [version, from, mark].filter(Boolean).join(' · ');
  item.tooltip = pinned ? `${name} ${version}` : `${name} ${version}\n${unpinnedSentence(1)}`;
  item.accessibilityInformation = { label: [name, item.description].filter(Boolean).join(', ') };
  void parent;
  return item;
}

/** State of a build as a shape and a colour. */
const buildIcons: Record<HostEnvironment['state'], [icon: string, color: string]> = {
  building: ['sync~spin', 'charts.blue'],
  ready: ['pass', 'testing.iconPassed'],
  failed: ['error', 'testing.iconFailed'],
};

export function buildItem(node: BuildNode): vscode.TreeItem {
  const { build, compute, parent } = node;
  const { state, bytes, builtAt, packages, inUse, usedAt, version, image, key } = build;
  const where = compute === localCompute ? vscode.l10n.t('this machine') : compute;
  const label = {
    building: vscode.l10n.t('Being built on {0}', where),
    ready: vscode.l10n.t('Built on {0}', where),
    failed: vscode.l10n.t('Could not be built on {0}', where),
  }[state];
  const item = new vscode.TreeItem(label);
  item.id = `${idOf(parent)}/build/${compute}/${key}`;
  item.contextValue = `environmentBuild.${state}`;
  const [icon, color] = buildIcons[state];
  item.iconPath = new vscode.ThemeIcon(icon, new vscode.ThemeColor(color));
  const other = version !== null && version !== parent.value.version;
  item.description = [
    other ? vscode.l10n.t('version {0}', version) : '',
    bytes === null ? '' : formatBytes(bytes),
    builtAt === null ? '' : formatAgo(builtAt),
    packages === null ? '' : packagesOf(packages),
    inUse > 0 ? vscode.l10n.t('in use') : '',
  ]
    .filter(Boolean)
    .join(' · ');
  item.tooltip = [
    `${label}: ${node.environment}`,
    builtAt === null ? '' : vscode.l10n.t('Built {0}', new Date(builtAt).toLocaleString()),
    usedAt === null ? '' : vscode.l10n.t('Last used {0}', formatAgo(usedAt)),
    inUse > 0 ? vscode.l10n.t('In use by {0}', runsOf(inUse)) : '',
    image ?? '',
  ]
    .filter(Boolean)
    .join('\n');
  item.accessibilityInformation = { label: [label, item.description].filter(Boolean).join(', ') };
  return item;
}

export function useItem(node: UseNode, title: string): vscode.TreeItem {
  const { run, parent } = node;
  const item = new vscode.TreeItem(title);
  item.id = `${idOf(parent.parent)}/run/${run.id}`;
  item.contextValue = 'environmentRun';
  item.iconPath = statusIcon(run.status);
  const when = isActive(run) ? run.statusReason : formatAgo(run.endedAt ?? run.createdAt);
  item.description = [statusWord(run.status), when].filter(Boolean).join(' · ');
  item.tooltip = `${title}\n${item.description}`;
  item.accessibilityInformation = { label: `${title}, ${item.description}` };
  item.command = { command: 'runyard.openRun', title: vscode.l10n.t('Open Run'), arguments: [node] };
  return item;
}

/** What it means that something has no exact version. */
export function unpinnedSentence(count: number): string {
  return count === 1
    ? vscode.l10n.t(
        'A package has no exact version: it stays what it is when the environment is first built. Rebuild renews it, Freeze pins it.',
      )
    : vscode.l10n.t(
        '{0} packages have no exact version: they stay what they are when the environment is first built. Rebuild renews them, Freeze pins them.',
        count,
      );
}

export function packagesOf(count: number): string {
  return count === 1 ? vscode.l10n.t('1 package') : vscode.l10n.t('{0} packages', count);
}

function runsOf(count: number): string {
  return count === 1 ? vscode.l10n.t('1 run') : vscode.l10n.t('{0} runs', count);
}

function idOf({ workspace, value }: EnvironmentNode): string {
  return `environment:${workspace}/${value.name}`;
}
