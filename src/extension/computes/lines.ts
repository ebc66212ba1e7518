import * as vscode from 'vscode';
import type { ComputeLoad, ComputeSettings } from '../../api/compute.ts';
import { formatBytes } from '../format.ts';
import type { LineNode, TargetNode } from './nodes.ts';
import { percent } from './state.ts';

type Line = Omit<LineNode, 'kind' | 'parent' | 'icon'> & { icon: string | vscode.ThemeIcon };

/** The lines below a target: what is wrong, its load, its settings. */
export function linesOf(parent: TargetNode): LineNode[] {
  const { compute } = parent;
  const { load, settings } = compute;
  const lines = [
    ...problemLines(parent),
    ...(load ? [...queueLines(load), ...loadLines(load)] : []),
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
  const { problem, action, state, kind } = compute;
  if (!problem) return [];
  const icon = new vscode.ThemeIcon('warning', new vscode.ThemeColor('problemsWarningIcon.foreground'));
  const whole = [problem, action].filter(Boolean).join('\n\n');
  const lines: Line[] = [{ id: 'problem', icon, label: problem, tooltip: whole }];
  if (action) lines.push({ id: 'action', icon: 'lightbulb', label: action, tooltip: whole });
  if (kind === 'local') return lines;
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
  if (load.diskFree !== null) {
    const description = vscode.l10n.t('{0} free', formatBytes(load.diskFree));
    lines.push({ id: 'disk', icon: 'database', label: vscode.l10n.t('Disk'), description });
  }
  return lines;
}

function settingLines({ setup, interpreter, root }: ComputeSettings): Line[] {
  return [
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
