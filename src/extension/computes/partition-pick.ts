import * as vscode from 'vscode';
import type { Cluster, ComputeSettings } from '../../api/compute.ts';
import { back, pickStep, type StepFrame, type StepItem } from '../submit/multi-step.ts';
import { partitionIcon, partitionPhrase } from './cluster.ts';

export interface PartitionItem extends StepItem {
  /** Null: the cluster's default. */
  partition?: string | null;
}

/** Asks for a partition of those that the cluster has, or another name; null is its default. */
export async function pickPartition(
  frame: StepFrame,
  cluster: Cluster,
  settings: ComputeSettings,
): Promise<{ partition: string | null } | typeof back | undefined> {
  const now = settings.slurm.partition;
  const picked = await pickStep<PartitionItem>({
    ...frame,
    placeholder: vscode.l10n.t('The partition that jobs go to'),
    active: ({ partition }) => partition === now,
    items: (typed) => partitionItems(cluster, typed),
  });
  if (!picked || picked === back) return picked;
  return { partition: picked.partition ?? null };
}

export function partitionItems(cluster: Cluster, typed: string): PartitionItem[] {
  const { partitions } = cluster;
  const usual = partitions.find((one) => one.default);
  const isOther = typed !== '' && !partitions.some(({ name }) => name === typed);
  return [
    {
      label: `$(server-environment) ${vscode.l10n.t("The cluster's default")}`,
      description: usual?.name ?? vscode.l10n.t('the cluster has none'),
      partition: null,
    },
    ...partitions.map((one) => ({
      label: `$(${partitionIcon(one)[0]}) ${one.name}`,
      description: partitionPhrase(one),
      partition: one.name,
    })),
    ...(isOther
      ? [
          {
            label: `$(add) ${typed}`,
            description: vscode.l10n.t('this partition'),
            partition: typed,
            alwaysShow: true,
          },
        ]
      : []),
  ];
}
