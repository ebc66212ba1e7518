import * as vscode from 'vscode';
import type { Cluster, ComputeLoad, ComputeSettings } from '../../api/compute.ts';
import { formatBytes } from '../format.ts';
import { isCluster, partitionIcon, partitionPhrase, partitionTooltip } from './cluster.ts';
import type { LineNode, TargetNode } from './nodes.ts';
import { settingTitle, settingValue } from './settings.ts';
import { percent } from './state.ts';

type Line = Omit<LineNode, 'kind' | 'parent' | 'icon'> & { icon: string | vscode.ThemeIcon };

/** The lines below a target: what is wrong, its load, its settings. */
export function linesOf(parent: TargetNode): LineNode[] {
  const { compute } = parent;
  const { load, settings, cluster } = compute;
  const lines = [
    ...problemLines(parent),
    ...(isCluster(compute)
      ? [...(cluster ? clusterLines(cluster, settings) : []), ...(load ? diskLines(load) : [])]
      : load
        ? [...queueLines(load), ...loadLines(load), ...diskLines(load)]
        : []),
    ...(settings ? settingLines(settings) : []),
  ];
  if (lines.length === 0) {
    lines.push({ id: 'idle', icon: 'info', label: vscode.l10n.t('Nothing has run here yet.') });
  }
  return lines.map((line) => ({
    ...line,
    kind: 'line',
    parent,
    icon: typeof line.icon === 'string' ? new vscode.ThemeIcon(line.icon) : line.icon,
  }));
}

function problemLines({ compute }: TargetNode): Line[] {
  const { state, settings, cluster } = compute;
  const { problem, action } = compute.problem ? compute : (cluster ?? { problem: null, action: null });
  if (!problem) return [];
  const icon = new vscode.ThemeIcon('warning', new vscode.ThemeColor('problemsWarningIcon.foreground'));
  const whole = [problem, action].filter(Boolean).join('\n\n');
  const lines: Line[] = [{ id: 'problem', icon, label: problem, tooltip: whole }];
  if (action) lines.push({ id: 'action', icon: 'lightbulb', label: action, tooltip: whole });
  if (settings === null) return lines;
  lines.push(
    state === 'attention'
      ? {
          id: 'connect',
          icon: 'plug',
          label: vscode.l10n.t('Connect / Sign In'),
          command: { command: 'runyard.connectCompute', title: vscode.l10n.t('Connect / Sign In') },
        }
      : {
          id: 'test',
          icon: 'checklist',
          label: vscode.l10n.t('Test Connection'),
          command: { command: 'runyard.testCompute', title: vscode.l10n.t('Test Connection') },
        },
  );
  return lines;
}

function queueLines({ running, queued, slots }: ComputeLoad): Line[] {
  const description = [
    vscode.l10n.t('{0} of {1} running', running, slots),
    vscode.l10n.t('{0} queued', queued),
  ].join(' · ');
  return [{ id: 'queue', icon: 'list-ordered', label: vscode.l10n.t('Runs'), description }];
}

function loadLines(load: ComputeLoad): Line[] {
  const lines: Line[] = [];
  if (load.cpu !== null) {
    lines.push({ id: 'cpu', icon: 'pulse', label: vscode.l10n.t('CPU'), description: percent(load.cpu) });
  }
  if (load.memoryUsed !== null && load.memoryTotal !== null) {
    const description = used(load.memoryUsed, load.memoryTotal);
    lines.push({ id: 'memory', icon: 'chip', label: vscode.l10n.t('Memory'), description });
  }
  for (const gpu of load.gpus) {
    const parts = [
      gpu.utilisation === null ? '' : percent(gpu.utilisation),
      gpu.memoryUsed === null || gpu.memoryTotal === null ? '' : used(gpu.memoryUsed, gpu.memoryTotal),
      gpu.name ?? '',
    ];
    lines.push({
      id: `gpu${gpu.index}`,
      icon: 'circuit-board',
      label: vscode.l10n.t('GPU {0}', gpu.index),
      description: parts.filter(Boolean).join(' · '),
    });
  }
  return lines;
}

function diskLines({ diskFree }: ComputeLoad): Line[] {
  if (diskFree === null) return [];
  const description = vscode.l10n.t('{0} free', formatBytes(diskFree));
  return [{ id: 'disk', icon: 'database', label: vscode.l10n.t('Disk'), description }];
}

/** This user's jobs, and the partitions. */
function clusterLines(cluster: Cluster, settings: ComputeSettings | null): Line[] {
  if (cluster.problem) return [];
  const { running, pending, partitions } = cluster;
  return [
    {
      id: 'jobs',
      icon: 'list-ordered',
      label: vscode.l10n.t('Your jobs'),
      description: vscode.l10n.t('{0} running, {1} waiting', running, pending),
      tooltip: vscode.l10n.t('Jobs of yours in the whole cluster, whoever has submitted them'),
    },
    ...partitions.map((partition) => {
      const [icon, color] = partitionIcon(partition);
      return {
        id: `partition:${partition.name}`,
        icon: new vscode.ThemeIcon(icon, new vscode.ThemeColor(color)),
        label: partition.name,
        description: partitionPhrase(partition, settings),
        tooltip: partitionTooltip(partition, settings),
      };
    }),
  ];
}

function settingLines(settings: ComputeSettings): Line[] {
  const { setup, interpreter, root, scheduler } = settings;
  return [
    ...(scheduler === 'slurm'
      ? [
          {
            id: 'scheduler',
            icon: 'server-environment',
            label: vscode.l10n.t('Jobs go to'),
            description: settingValue(settings, 'partition'),
            command: { command: 'runyard.editCompute', title: settingTitle('partition') },
            setting: 'partition' as const,
          },
        ]
      : []),
    {
      id: 'setup',
      icon: 'terminal',
      label: vscode.l10n.t('Set-up lines'),
      description: setup.length > 0 ? setup.join('; ') : vscode.l10n.t('none'),
      ...(setup.length > 0 ? { tooltip: setup.join('\n') } : {}),
      command: { command: 'runyard.editComputeSetup', title: vscode.l10n.t('Edit Set-up Lines') },
    },
    {
      id: 'interpreter',
      icon: 'symbol-misc',
      label: vscode.l10n.t('Interpreter'),
      description: interpreter ?? vscode.l10n.t('python3 of the host'),
      command: { command: 'runyard.editCompute', title: vscode.l10n.t('Edit Interpreter') },
      setting: 'interpreter',
    },
    {
      id: 'root',
      icon: 'folder',
      label: vscode.l10n.t('Folder'),
      description: root,
      command: { command: 'runyard.editCompute', title: vscode.l10n.t('Edit Folder') },
      setting: 'root',
    },
  ];
}

function used(part: number, whole: number): string {
  return vscode.l10n.t('{0} of {1}', formatBytes(part), formatBytes(whole));
}
