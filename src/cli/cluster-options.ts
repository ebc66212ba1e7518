import type { Command } from 'commander';
import type { SlurmChanges, UpdateComputeRequest } from '../api/compute.ts';
import { RunyardError } from '../api/errors.ts';

/** What jobs ask Slurm for, as options of a command line; an empty text is "as the cluster has it". */
export interface SlurmFlags {
  partition?: string;
  account?: string;
  qos?: string;
  time?: string;
  constraint?: string;
  cpusPerTask?: string;
  memory?: string;
  gres?: string;
  sbatch?: string[];
  jobSetup?: string[];
  mpiLauncher?: string;
}

/** Those of `run submit`. */
export interface JobFlags extends Pick<SlurmFlags, 'partition' | 'account' | 'qos' | 'time' | 'sbatch'> {
  nodes?: string;
}

const oneMore = (line: string, before: string[] | undefined) => [...(before ?? []), line];

/** Of `compute add` and `compute edit`. */
export function clusterOptions(command: Command): Command {
  return command
    .option('--scheduler <kind>', 'direct (the default), or slurm: the host is a login node, runs are jobs')
    .option('--partition <name>', "Slurm: the partition of jobs; by default the cluster's")
    .option('--account <name>', 'Slurm: the account of jobs')
    .option('--qos <name>', 'Slurm: their quality of service')
    .option('--time <limit>', 'Slurm: their time limit, as sbatch has it: 30 (minutes), 2:00:00, 1-12:00:00')
    .option('--cpus-per-task <n>', 'Slurm: CPUs for each process')
    .option('--memory <size>', 'Slurm: memory of each node: 16G')
    .option('--gres <list>', 'Slurm: gpu:a100:2; by default the GPUs that a run asks for')
    .option('--constraint <features>', 'Slurm: features of the nodes')
    .option('--sbatch <line>', 'Slurm: one more line of #SBATCH, "--exclusive"; may be repeated', oneMore)
    .option('--job-setup <line>', "Slurm: a shell line before a job's run; may be repeated", oneMore)
    .option('--mpi-launcher <kind>', 'Slurm: auto (the default), mpirun or srun');
}

/** Of `run submit` and `run rerun`. */
export function jobOptions(command: Command): Command {
  return command
    .option('--nodes <n>', 'Slurm: the nodes that the run takes')
    .option('--partition <name>', 'Slurm: the partition')
    .option('--account <name>', 'Slurm: the account')
    .option('--qos <name>', 'Slurm: the quality of service')
    .option('--time <limit>', 'Slurm: the time limit, as sbatch has it: 30 (minutes), 2:00:00, 1-12:00:00')
    .option('--sbatch <line>', 'Slurm: one more line of #SBATCH, "--exclusive"; may be repeated', oneMore);
}

/** What the options change of a target. */
export function clusterChanges(options: SlurmFlags & { scheduler?: string }): UpdateComputeRequest {
  const slurm = slurmChanges(options);
  return {
    ...(options.scheduler === undefined ? {} : { scheduler: options.scheduler as 'slurm' }),
    ...(slurm ? { slurm } : {}),
  };
}

/** What the options change of a run configuration. */
export function jobConfiguration(options: JobFlags): { nodeCount?: number; slurm?: SlurmChanges } {
  const { nodes, partition, account, qos, time, sbatch } = options;
  const slurm = slurmChanges({ partition, account, qos, time, sbatch } as SlurmFlags);
  return {
    ...(nodes === undefined ? {} : { nodeCount: whole(nodes, '--nodes') }),
    ...(slurm ? { slurm } : {}),
  };
}

function slurmChanges(options: SlurmFlags): SlurmChanges | undefined {
  const { cpusPerTask, sbatch, jobSetup, mpiLauncher } = options;
  const words = ['partition', 'account', 'qos', 'time', 'memory', 'gres', 'constraint'] as const;
  const said = words.filter((name) => options[name] !== undefined);
  const changes: SlurmChanges = {
    ...Object.fromEntries(said.map((name) => [name, options[name] || null])),
    ...(cpusPerTask === undefined
      ? {}
      : { cpusPerTask: cpusPerTask ? whole(cpusPerTask, '--cpus-per-task') : null }),
    ...(sbatch === undefined ? {} : { options: sbatch.filter(Boolean) }),
    ...(jobSetup === undefined ? {} : { setup: jobSetup.filter(Boolean) }),
    ...(mpiLauncher === undefined ? {} : { mpiLauncher: (mpiLauncher || 'auto') as 'auto' }),
  };
  return Object.keys(changes).length > 0 ? changes : undefined;
}

function whole(text: string, option: string): number {
  if (/^\d+$/.test(text) && Number(text) > 0) return Number(text);
  throw new RunyardError('bad_request', `${option} ${text} is not a number.`, {
    action: 'Write a number from 1.',
  });
}
