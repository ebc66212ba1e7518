import * as vscode from 'vscode';
import type { Compute, UpdateComputeRequest } from '../../api/compute.ts';
import { back, pickStep, type StepItem } from '../submit/multi-step.ts';
import type { Connector } from './connect.ts';
import { pickPartition } from './partition-pick.ts';
import { runTest, showTest, type TestServices } from './test-connection.ts';

type Scheduler = 'direct' | 'slurm';

/**
 * The first test of a new target. Where its host turns out to be a login node of a Slurm cluster, it is asked how runs
 * are to start there, and where; then it is tested again.
 */
export async function testNewCompute(
  services: TestServices & { connector: Connector },
  name: string,
): Promise<void> {
  const { computes, connector } = services;
  let report = await runTest(services, name);
  if (!report) return;
  const save = async (body: UpdateComputeRequest) => {
    const client = await services.connection.client();
    computes.take(await client.call('updateCompute', { params: { compute: name }, body }));
  };
  let isChanged = false;
  let compute = computes.get(name);
  // The test has found a cluster that answers.
  const isLoginNode = report.test.steps.some(({ fix }) => fix?.scheduler === 'slurm');
  if (isLoginNode && (await askScheduler(name)) === 'slurm') {
    await save({ scheduler: 'slurm' });
    isChanged = true;
    // What Slurm has is known once it is connected with it; what fails is for the test to say.
    compute = await connector.connect(name).catch(() => undefined);
  }
  const partition = compute && (await askPartition(compute));
  if (partition) {
    await save({ slurm: { ...compute!.settings!.slurm, partition } });
    isChanged = true;
  }
  if (isChanged) report = await runTest(services, name);
  if (report) showTest(services, report);
}

async function askScheduler(name: string): Promise<Scheduler | undefined> {
  const picked = await pickStep<StepItem & { scheduler: Scheduler }>({
    title: vscode.l10n.t('{0} is a login node of a Slurm cluster', name),
    step: 1,
    totalSteps: 1,
    placeholder: vscode.l10n.t('How are runs to start there?'),
    items: () => [
      {
        label: `$(server-environment) ${vscode.l10n.t('Slurm cluster: submit jobs to Slurm (recommended)')}`,
        detail: vscode.l10n.t("Runs wait in the cluster's queue and start on its nodes."),
        scheduler: 'slurm',
      },
      {
        label: `$(warning) ${vscode.l10n.t('Run directly on this login node')}`,
        detail: vscode.l10n.t(
          'Runs use what all users of the login node share; many clusters do not allow it and end them.',
        ),
        scheduler: 'direct',
      },
    ],
  });
  return picked && picked !== back ? picked.scheduler : undefined;
}

/** Undefined: the cluster's default, or nothing to choose from. */
async function askPartition({ name, settings, cluster }: Compute): Promise<string | undefined> {
  if (settings?.scheduler !== 'slurm' || !cluster || cluster.partitions.length === 0) return undefined;
  const title = vscode.l10n.t('Partition of {0}', name);
  const picked = await pickPartition({ title, step: 1, totalSteps: 1 }, cluster, settings);
  return picked && picked !== back ? (picked.partition ?? undefined) : undefined;
}
