import type { Cluster, ComputeSettings } from '../api/compute.ts';
import { slurmInfoSchema, slurmSharedSchema } from '../protocol/messages.ts';
import { clusterOf } from './cluster.ts';
import type { Connection } from './host.ts';
import type { Finding, Steps } from './steps.ts';

/** What a run as a job needs: Slurm that answers, a partition that takes it, a folder that its nodes see. */
export async function lookAtCluster(
  connection: Connection,
  { slurm }: ComputeSettings,
  steps: Steps,
): Promise<void> {
  const title = 'Slurm';
  const { channel, hello } = connection;
  if (!hello.facts.slurm) {
    steps.done('slurm', title, noSbatch);
  } else {
    try {
      const cluster = await clusterAt(connection);
      steps.done('slurm', title, slurmFinding(cluster));
      if (!cluster.problem) steps.done('partition', 'Partition', partitionFinding(cluster, slurm.partition));
    } catch (error) {
      if (!channel.isOpen) throw error;
      steps.failed('slurm', title, error);
    }
  }
  const shared = slurmSharedSchema.parse((await channel.request('slurm.shared')).result);
  steps.done('shared', 'Folder that the nodes see', sharedFinding(shared, hello.root));
}

/** Where runs start on the host itself, though they could be jobs. */
export async function lookAtLoginNode(connection: Connection, steps: Steps): Promise<void> {
  if (!connection.hello.facts.slurm) return;
  steps.done('login-node', 'Login node', loginNodeFinding(await clusterAt(connection)));
}

async function clusterAt({ channel }: Connection): Promise<Cluster> {
  return clusterOf(slurmInfoSchema.parse((await channel.request('slurm.info')).result));
}

/** What runs on a login node uses what its users share. Programs of Slurm alone are no cluster. */
export function loginNodeFinding({ problem }: Pick<Cluster, 'problem'>): Finding {
  return problem === null
    ? loginNode
    : { state: 'skipped', detail: `Slurm is installed on the host. ${problem}` };
}

const loginNode: Finding = {
  state: 'warning',
  detail: 'This is a login node of a Slurm cluster: what runs here directly uses what all its users share.',
  action: 'Submit jobs to Slurm instead',
  fix: { scheduler: 'slurm' },
};

const noSbatch: Finding = {
  state: 'failed',
  detail: 'There is no sbatch on the host.',
  action:
    'Add a set-up line that brings it ("module load slurm"), name the login node of the cluster as the host, or set the scheduler of this compute target to "direct".',
};

export function slurmFinding(cluster: Cluster): Finding {
  const { problem, action, version, name, partitions, running, pending } = cluster;
  if (problem) {
    return { state: 'failed', detail: problem, action: action ?? 'Ask who runs the cluster.' };
  }
  const which = [`Slurm ${version ?? ''}`.trim(), ...(name ? [`cluster ${name}`] : [])].join(', ');
  const count = `${partitions.length} ${partitions.length === 1 ? 'partition' : 'partitions'}`;
  return { detail: `${which}, ${count}; ${running} of your jobs running, ${pending} waiting.` };
}

/** `asked` as sbatch has it: one name, or several with commas of which Slurm takes the first that is free. */
export function partitionFinding({ partitions }: Cluster, asked: string | null): Finding {
  const all = partitions.map(({ name }) => name).join(', ') || 'none';
  if (asked === null) {
    const usual = partitions.find((one) => one.default);
    if (usual) return stateFinding([usual], ", the cluster's default");
    return {
      state: 'failed',
      detail: `The cluster has no default partition. There are: ${all}.`,
      action: 'Set the partition of this compute target.',
    };
  }
  const names = asked.split(',');
  const missing = names.filter((name) => !partitions.some((one) => one.name === name));
  if (missing.length > 0) {
    return {
      state: 'failed',
      detail: `There is no partition ${missing.join(', ')}. There are: ${all}.`,
      action: 'Set the partition of this compute target to one of these.',
    };
  }
  return stateFinding(
    partitions.filter(({ name }) => names.includes(name)),
    '',
  );
}

function stateFinding(chosen: Cluster['partitions'], remark: string): Finding {
  const detail = chosen
    .map(
      ({ name, state, nodes }) => `${name}${remark}: ${state}, ${nodes.idle} of ${nodes.total} nodes idle.`,
    )
    .join(' ');
  if (chosen.some(({ state }) => state === 'UP')) return { detail };
  return {
    state: 'failed',
    detail,
    action: 'Set another partition, or wait until it is UP: jobs do not start there now.',
  };
}

export function sharedFinding(
  { filesystem, shared }: { filesystem: string | null; shared: boolean | null },
  root: string,
): Finding {
  const where = `${root} is on ${filesystem ?? 'a file system that says no name'}`;
  if (shared === true) return { detail: `${where}, which other machines see.` };
  if (shared === null)
    return { detail: `${where}; whether the nodes see it cannot be told from here. They must.` };
  return {
    state: 'warning',
    detail: `${where}: it looks local, and the nodes must see it.`,
    action: 'Set the folder of this compute target to one that the nodes share: a home or scratch folder.',
  };
}
