import * as vscode from 'vscode';
import { localCompute, type Compute, type ComputeLoad } from '../../api/compute.ts';
import { clusterPhrase, isCluster } from './cluster.ts';

type State = Compute['state'];

/** State as a shape (codicon) and a colour: the shape alone tells it too. */
const icons: Record<State, [icon: string, color: string]> = {
  idle: ['circle-large-outline', 'disabledForeground'],
  connecting: ['sync~spin', 'charts.blue'],
  connected: ['pass', 'testing.iconPassed'],
  unreachable: ['debug-disconnect', 'testing.iconFailed'],
  attention: ['warning', 'problemsWarningIcon.foreground'],
};

export function stateIcon({ state, cluster }: Compute): vscode.ThemeIcon {
  const [icon, color] = icons[state === 'connected' && cluster?.problem ? 'attention' : state];
  return new vscode.ThemeIcon(icon, new vscode.ThemeColor(color));
}

/** The state as a word for people. */
export function stateWord({ name, state }: Compute): string {
  switch (state) {
    case 'idle':
      return name === localCompute ? vscode.l10n.t('ready') : vscode.l10n.t('not connected');
    case 'connecting':
      return vscode.l10n.t('connecting');
    case 'connected':
      return name === localCompute ? vscode.l10n.t('ready') : vscode.l10n.t('connected');
    case 'unreachable':
      return vscode.l10n.t('unreachable');
    case 'attention':
      return vscode.l10n.t('waits for you');
  }
}

/** `2/4 running · 3 queued · CPU 40 % · GPU 1/2`. */
export function loadPhrase(load: ComputeLoad): string {
  const parts = [vscode.l10n.t('{0}/{1} running', load.running, load.slots)];
  if (load.queued > 0) parts.push(vscode.l10n.t('{0} queued', load.queued));
  // In steps: a row that changes with every look is nothing to read.
  if (load.cpu !== null) parts.push(vscode.l10n.t('CPU {0}', percent(Math.round(load.cpu * 20) / 20)));
  if (load.gpus.length > 0)
    parts.push(vscode.l10n.t('GPU {0}/{1}', load.gpus.filter(isBusy).length, load.gpus.length));
  return parts.join(' · ');
}

/** What stands beside a target's name: its load, else its state. */
export function describeCompute(compute: Compute): string {
  const { kind, load, state, problem, cluster, settings } = compute;
  const where = kind === 'local' ? vscode.l10n.t('this machine') : '';
  if (isCluster(compute) && state === 'connected') {
    const phrase = cluster ? clusterPhrase(cluster, settings) : vscode.l10n.t('Slurm');
    return [where, phrase].filter(Boolean).join(' · ');
  }
  if (state === 'connected' && load) return [where, loadPhrase(load)].filter(Boolean).join(' · ');
  if (settings === null && state === 'idle') return where;
  const word = problem ? `${stateWord(compute)}: ${problem}` : stateWord(compute);
  return [where, word].filter(Boolean).join(' · ');
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

/** Somebody computes on it, or has filled a good part of its memory. */
function isBusy({ utilisation, memoryUsed, memoryTotal }: ComputeLoad['gpus'][number]): boolean {
  if (utilisation !== null && utilisation > 0.05) return true;
  return memoryUsed !== null && !!memoryTotal && memoryUsed / memoryTotal > 0.1;
}
