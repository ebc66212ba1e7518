import * as vscode from 'vscode';
import type { Cluster, Compute, ComputeSettings, Partition } from '../../api/compute.ts';
import { formatBytes, formatDuration } from '../format.ts';

/** Whether runs of a target are jobs of a Slurm cluster. */
export function isCluster({ settings }: Pick<Compute, 'settings'>): boolean {
  return settings?.scheduler === 'slurm';
}

/** `Slurm: 3 of 8 nodes idle, 2 jobs running, 5 waiting`; the nodes are those where jobs go. */
export function clusterPhrase(cluster: Cluster, settings: ComputeSettings | null): string {
  if (cluster.problem) return cluster.problem;
  const { running, pending } = cluster;
  const nodes = mainPartition(cluster, settings)?.nodes;
  const parts = [
    nodes ? vscode.l10n.t('{0} of {1} nodes idle', nodes.idle, nodes.total) : '',
    running === 1 ? vscode.l10n.t('1 job running') : vscode.l10n.t('{0} jobs running', running),
    vscode.l10n.t('{0} waiting', pending),
  ];
  return vscode.l10n.t('Slurm: {0}', parts.filter(Boolean).join(', '));
}

/** The partition that jobs go to where nothing else is said: partitions may share nodes, so they are not added up. */
export function mainPartition(
  { partitions }: Cluster,
  settings: ComputeSettings | null,
): Partition | undefined {
  const chosen = settings?.slurm.partition?.split(',')[0];
  if (chosen) return partitions.find(({ name }) => name === chosen);
  const usual = partitions.find((one) => one.default);
  return usual ?? [...partitions].sort((a, b) => b.nodes.total - a.nodes.total)[0];
}

export function isChosen({ name }: Partition, settings: ComputeSettings | null): boolean {
  return settings?.slurm.partition?.split(',').includes(name) ?? false;
}

/** State as a shape and a colour: the shape alone tells it too. */
export function partitionIcon({ state, nodes }: Partition): [icon: string, color: string] {
  if (state === 'UP')
    return nodes.idle > 0 ? ['pass', 'testing.iconPassed'] : ['circle-large-filled', 'charts.blue'];
  if (state === 'DOWN') return ['error', 'testing.iconFailed'];
  return ['circle-slash', 'problemsWarningIcon.foreground'];
}

/** What stands beside a partition's name: `3 of 8 nodes idle · at most 1d 12h · GPUs: 4 of 8 idle`. */
export function partitionPhrase(partition: Partition, settings: ComputeSettings | null = null): string {
  const { state, nodes, gpus } = partition;
  const total = gpus.reduce((sum, gpu) => sum + gpu.total, 0);
  const used = gpus.reduce<number | null>(
    (sum, gpu) => (sum === null || gpu.used === null ? null : sum + gpu.used),
    0,
  );
  return [
    state === 'UP' ? '' : state,
    vscode.l10n.t('{0} of {1} nodes idle', nodes.idle, nodes.total),
    isChosen(partition, settings) ? vscode.l10n.t('chosen') : '',
    partition.default ? vscode.l10n.t('default') : '',
    timeLimit(partition),
    total === 0
      ? ''
      : used === null
        ? vscode.l10n.t('{0} GPUs', total)
        : vscode.l10n.t('{0} of {1} GPUs idle', total - used, total),
  ]
    .filter(Boolean)
    .join(' · ');
}

/** Everything of a partition, a line each. */
export function partitionTooltip(partition: Partition, settings: ComputeSettings | null): string {
  const { name, state, nodes, cpus, cpusPerNode, memoryBytes, gpus } = partition;
  const of = ({ total, idle, used, unavailable }: Partition['nodes']) =>
    vscode.l10n.t('{0} idle, {1} in use, {2} not available, of {3}', idle, used, unavailable, total);
  const largest = [
    cpusPerNode === null ? '' : vscode.l10n.t('{0} CPUs', cpusPerNode),
    memoryBytes === null ? '' : formatBytes(memoryBytes),
  ].filter(Boolean);
  return [
    vscode.l10n.t('Partition {0}: {1}', name, state),
    vscode.l10n.t('Nodes: {0}', of(nodes)),
    vscode.l10n.t('CPUs: {0}', of(cpus)),
    ...gpus.map((gpu) => {
      const type = gpu.type ?? vscode.l10n.t('GPUs');
      return gpu.used === null
        ? vscode.l10n.t('{0}: {1}', type, gpu.total)
        : vscode.l10n.t('{0}: {1} of {2} idle', type, gpu.total - gpu.used, gpu.total);
    }),
    ...(largest.length > 0 ? [vscode.l10n.t('Largest node: {0}', largest.join(', '))] : []),
    vscode.l10n.t('Time limit: {0}', timeLimit(partition)),
    ...(isChosen(partition, settings)
      ? [vscode.l10n.t('Runs of this target go here.')]
      : partition.default && !settings?.slurm.partition
        ? [vscode.l10n.t("Runs of this target go here: it is the cluster's default.")]
        : []),
  ].join('\n');
}

function timeLimit({ timeLimitSeconds }: Partition): string {
  return timeLimitSeconds === null
    ? vscode.l10n.t('no time limit')
    : vscode.l10n.t('at most {0}', formatDuration(timeLimitSeconds * 1000));
}
