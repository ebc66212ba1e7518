import { localCompute, type Cluster, type Compute, type Partition } from '../api/compute.ts';
import { formatBytes, table } from './output.ts';

/** The words of the Compute view; `idle` is what programs read. */
export function stateWord(name: string, state: Compute['state']): string {
  if (name === localCompute) return 'ready';
  return state === 'idle' ? 'not connected' : state === 'attention' ? 'waits for you' : state;
}

export const listHead = [
  'COMPUTE',
  'ADDRESS',
  'SCHEDULER',
  'STATE',
  'RUNNING',
  'QUEUED',
  'CPU',
  'MEMORY',
  'GPU',
  'PROBLEM',
];

/** A line of `compute list`; of a cluster this user's jobs, and what is in use of all its nodes. */
export function listRow(compute: Compute): string[] {
  const { name, address, settings, state, problem, cluster } = compute;
  const isCluster = settings?.scheduler === 'slurm';
  return [
    name,
    address ?? '-',
    isCluster ? 'slurm' : 'direct',
    stateWord(name, state),
    ...(isCluster ? clusterCells(cluster) : hostCells(compute)),
    problem ?? cluster?.problem ?? '',
  ];
}

function hostCells({ load }: Compute): string[] {
  const percent = (value: number | null) => (value === null ? '-' : `${Math.round(value * 100)} %`);
  const busy = load?.gpus.filter(({ utilisation }) => (utilisation ?? 0) > 0.05).length ?? 0;
  return [
    load ? `${load.running}/${load.slots}` : '-',
    load ? String(load.queued) : '-',
    percent(load?.cpu ?? null),
    load?.memoryUsed && load.memoryTotal
      ? `${formatBytes(load.memoryUsed)}/${formatBytes(load.memoryTotal)}`
      : '-',
    load && load.gpus.length > 0 ? `${busy}/${load.gpus.length}` : '-',
  ];
}

/** Partitions may share nodes: what is in use of all of them is not added up. */
function clusterCells(cluster: Cluster | null): string[] {
  if (!cluster || cluster.problem) return ['-', '-', '-', '-', '-'];
  return [String(cluster.running), String(cluster.pending), '-', '-', '-'];
}

/** A target in full. */
export function describe(compute: Compute): string[] {
  const { settings, facts, load, cluster } = compute;
  const isCluster = settings?.scheduler === 'slurm';
  const pairs: [string, string][] = [
    ['compute', compute.name],
    ['address', compute.address ?? 'this machine'],
    [
      'state',
      `${stateWord(compute.name, compute.state)}${compute.transport ? ` (${compute.transport})` : ''}`,
    ],
    ['scheduler', isCluster ? `slurm${cluster?.version ? ` ${cluster.version}` : ''}` : 'direct'],
  ];
  if (compute.problem) pairs.push(['problem', [compute.problem, compute.action].filter(Boolean).join(' ')]);
  if (cluster) pairs.push(...clusterPairs(cluster));
  if (facts) {
    pairs.push(['host', `${facts.hostname}, ${facts.os} ${facts.arch}, Python ${facts.python}`]);
    pairs.push(['size', `${facts.cpus} CPUs, ${formatBytes(facts.memoryBytes)} of memory`]);
    for (const { index, name } of facts.gpus) pairs.push([`gpu ${index}`, name ?? '-']);
    pairs.push(['folder', facts.root]);
  }
  if (load) {
    if (!isCluster) pairs.push(['queue', `${load.running} of ${load.slots} running, ${load.queued} waiting`]);
    if (load.cpu !== null) pairs.push(['cpu', `${Math.round(load.cpu * 100)} %`]);
    if (load.diskFree !== null) pairs.push(['disk', `${formatBytes(load.diskFree)} free`]);
  }
  if (settings) {
    for (const line of settings.setup) pairs.push(['set-up', line]);
    if (settings.configFile) pairs.push(['ssh config', settings.configFile]);
    pairs.push(['python', settings.interpreter ?? 'python3 of the PATH there']);
    if (isCluster) pairs.push(...jobPairs(settings.slurm));
    else pairs.push(['detach', settings.detach]);
    pairs.push(['keeps', `${settings.keep.days} days, ${formatBytes(settings.keep.bytes)}`]);
  }
  const width = Math.max(...pairs.map(([name]) => name.length));
  const lines = pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  return cluster && cluster.partitions.length > 0 ? [...lines, '', ...partitionTable(cluster)] : lines;
}

function clusterPairs({ name, running, pending, problem, action }: Cluster): [string, string][] {
  return [
    ...(name ? [['cluster', name] as [string, string]] : []),
    problem
      ? ['slurm', [problem, action].filter(Boolean).join(' ')]
      : ['your jobs', `${running} running, ${pending} waiting`],
  ];
}

/** What jobs ask for; what is left to the cluster is not said. */
function jobPairs(slurm: NonNullable<Compute['settings']>['slurm']): [string, string][] {
  const { options, setup, mpiLauncher, ...words } = slurm;
  const names: Record<keyof typeof words, string> = {
    partition: 'partition',
    account: 'account',
    qos: 'qos',
    constraint: 'constraint',
    dependency: 'dependency',
    time: 'time',
    cpusPerTask: 'cpus/task',
    memory: 'memory',
    gres: 'gres',
  };
  const pairs: [string, string][] = [];
  for (const key of Object.keys(names) as (keyof typeof words)[]) {
    if (words[key] !== null) pairs.push([names[key], String(words[key])]);
  }
  for (const line of options) pairs.push(['sbatch', line]);
  for (const line of setup) pairs.push(['job set-up', line]);
  if (mpiLauncher !== 'auto') pairs.push(['mpi', mpiLauncher]);
  return pairs;
}

/** Partitions as `sinfo` shows them, each on a line; "*" is the one of a job that names none. */
export function partitionTable({ partitions }: Cluster): string[] {
  return table(
    ['PARTITION', 'STATE', 'TIME LIMIT', 'NODES IDLE', 'CPUS IDLE', 'MEMORY', 'GPUS IDLE'],
    partitions.map((one) => [
      `${one.name}${one.default ? '*' : ''}`,
      one.state,
      timeLimit(one.timeLimitSeconds),
      `${one.nodes.idle}/${one.nodes.total}`,
      `${one.cpus.idle}/${one.cpus.total}`,
      one.memoryBytes === null ? '-' : formatBytes(one.memoryBytes),
      gpus(one),
    ]),
  );
}

function gpus({ gpus: all }: Partition): string {
  const text = all.map(({ type, total, used }) =>
    [type, `${used === null ? '?' : total - used}/${total}`].filter(Boolean).join(' '),
  );
  return text.join(', ') || '-';
}

/** As Slurm writes it: `1-12:00:00`. */
function timeLimit(seconds: number | null): string {
  if (seconds === null) return 'none';
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const days = Math.floor(seconds / 86_400);
  const rest = `${two((seconds % 86_400) / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
  return days > 0 ? `${days}-${rest}` : rest;
}
