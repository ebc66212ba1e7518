import * as vscode from 'vscode';
import type { Compute } from '../../api/compute.ts';
import { formatBytes } from '../format.ts';
import { clusterPhrase, isCluster, partitionPhrase } from './cluster.ts';
import { percent, stateWord } from './state.ts';

/** Everything of a target that is worth knowing at a glance. */
export function computeTooltip(compute: Compute): vscode.MarkdownString {
  const { name, address, transport, facts, load, cluster, settings, activeRuns } = compute;
  const { problem, action } = compute.problem ? compute : (cluster ?? { problem: null, action: null });
  const text = new vscode.MarkdownString('', true);
  const line = (label: string, value: string) => text.appendText(`${label}: ${value}`).appendMarkdown('  \n');
  const of = (part: number, whole: number) =>
    vscode.l10n.t('{0} of {1}', formatBytes(part), formatBytes(whole));
  text.appendMarkdown('**').appendText(name).appendMarkdown('** · ').appendText(stateWord(compute));
  text.appendMarkdown('  \n');
  if (problem) {
    text.appendMarkdown('\n\n$(warning) ').appendText(problem);
    if (action) text.appendMarkdown('\n\n$(lightbulb) ').appendText(action);
    text.appendMarkdown('\n\n');
  }
  if (address) {
    // As code, as `user@host` would be a link to write a mail.
    const code = `\`${address.replaceAll('`', '')}\``;
    text.appendText(`${vscode.l10n.t('Address')}: `).appendMarkdown(`${code}  \n`);
  }
  if (transport) line(vscode.l10n.t('Connected by'), transportWord(transport));
  if (facts) {
    const { hostname, os, arch, python, cpus, memoryBytes, gpus, root } = facts;
    line(vscode.l10n.t('Host'), `${hostname}, ${os} ${arch}`);
    const hardware = [
      vscode.l10n.t('{0} CPUs', cpus),
      formatBytes(memoryBytes),
      ...gpus.map((gpu) => gpu.name ?? vscode.l10n.t('GPU {0}', gpu.index)),
    ];
    line(vscode.l10n.t('Hardware'), hardware.join(', '));
    line(vscode.l10n.t('Python of the agent'), python);
    line(vscode.l10n.t('Folder'), root);
  }
  if (isCluster(compute) && cluster && !cluster.problem) {
    if (cluster.version) line('Slurm', [cluster.version, cluster.name ?? ''].filter(Boolean).join(', '));
    text.appendText(clusterPhrase(cluster, settings)).appendMarkdown('  \n');
    for (const partition of cluster.partitions) line(partition.name, partitionPhrase(partition, settings));
  }
  if (load && !isCluster(compute)) {
    line(
      vscode.l10n.t('Runs'),
      vscode.l10n.t('{0} of {1} running, {2} queued', load.running, load.slots, load.queued),
    );
    if (load.cpu !== null) line(vscode.l10n.t('CPU'), percent(load.cpu));
    if (load.memoryUsed !== null && load.memoryTotal !== null)
      line(vscode.l10n.t('Memory'), of(load.memoryUsed, load.memoryTotal));
    for (const gpu of load.gpus) {
      const parts = [
        gpu.utilisation === null ? '' : percent(gpu.utilisation),
        gpu.memoryUsed === null || gpu.memoryTotal === null ? '' : of(gpu.memoryUsed, gpu.memoryTotal),
      ];
      line(vscode.l10n.t('GPU {0}', gpu.index), parts.filter(Boolean).join(', '));
    }
  }
  if (load && load.diskFree !== null)
    line(vscode.l10n.t('Disk'), vscode.l10n.t('{0} free', formatBytes(load.diskFree)));
  if (activeRuns > 0) line(vscode.l10n.t('Active runs of this home'), String(activeRuns));
  return text;
}

export function transportWord(transport: string): string {
  switch (transport) {
    case 'auto':
      return vscode.l10n.t('automatic: the built-in client, and ssh of the system where it has no answer');
    case 'builtin':
      return vscode.l10n.t('the built-in client');
    case 'system':
      return vscode.l10n.t('ssh of the system');
    default:
      return transport;
  }
}
