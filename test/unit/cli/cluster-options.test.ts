import assert from 'node:assert/strict';
import test from 'node:test';
import { Command } from 'commander';
import { slurmOptionsSchema, type Compute } from '../../../src/api/compute.ts';
import {
  clusterChanges,
  clusterOptions,
  jobConfiguration,
  jobOptions,
  type JobFlags,
  type SlurmFlags,
} from '../../../src/cli/cluster-options.ts';
import { describe, listHead, listRow, partitionTable } from '../../../src/cli/compute-views.ts';

function changes(...args: string[]) {
  const command = clusterOptions(new Command().exitOverride());
  command.parse(args, { from: 'user' });
  return clusterChanges(command.opts<SlurmFlags>());
}

function job(...args: string[]) {
  const command = jobOptions(new Command().exitOverride());
  command.parse(args, { from: 'user' });
  return jobConfiguration(command.opts<JobFlags>());
}

test('options of a target: what is not named stays, what is empty goes back', () => {
  assert.deepEqual(changes(), {});
  assert.deepEqual(changes('--scheduler', 'slurm', '--partition', 'gpu', '--cpus-per-task', '4'), {
    scheduler: 'slurm',
    slurm: { partition: 'gpu', cpusPerTask: 4 },
  });
  assert.deepEqual(
    changes(
      '--sbatch',
      '--exclusive',
      '--sbatch=-x node3',
      '--job-setup',
      'module load cuda',
      '--time',
      '1-0',
    ),
    {
      slurm: { time: '1-0', options: ['--exclusive', '-x node3'], setup: ['module load cuda'] },
    },
  );
  assert.deepEqual(
    changes('--partition', '', '--account=', '--cpus-per-task', '', '--sbatch', '', '--mpi-launcher', ''),
    { slurm: { partition: null, account: null, cpusPerTask: null, options: [], mpiLauncher: 'auto' } },
  );
  assert.throws(() => changes('--cpus-per-task', 'many'), /--cpus-per-task many is not a number/);
});

test('options of a submit become part of the run configuration', () => {
  assert.deepEqual(job(), {});
  assert.deepEqual(job('--nodes', '2', '--partition', 'gpu', '--qos', 'high', '--sbatch', '--exclusive'), {
    nodeCount: 2,
    slurm: { partition: 'gpu', qos: 'high', options: ['--exclusive'] },
  });
  assert.throws(() => job('--nodes', '0'), /--nodes 0 is not a number/);
  assert.throws(() => job('--nodes', '1-3'), /--nodes 1-3 is not a number/);
});

const cluster: NonNullable<Compute['cluster']> = {
  version: '22.05.8',
  name: 'lab',
  partitions: [
    {
      name: 'main',
      default: true,
      state: 'UP',
      timeLimitSeconds: 36 * 3600,
      nodes: { total: 8, idle: 3, used: 4, unavailable: 1 },
      cpus: { total: 64, idle: 20, used: 36, unavailable: 8 },
      cpusPerNode: 8,
      memoryBytes: 64e9,
      gpus: [],
    },
    {
      name: 'gpu',
      default: false,
      state: 'DRAIN',
      timeLimitSeconds: null,
      nodes: { total: 1, idle: 0, used: 0, unavailable: 1 },
      cpus: { total: 8, idle: 0, used: 0, unavailable: 8 },
      cpusPerNode: 8,
      memoryBytes: null,
      gpus: [
        { type: 'a100', total: 4, used: 1 },
        { type: null, total: 2, used: null },
      ],
    },
  ],
  running: 2,
  pending: 5,
  problem: null,
  action: null,
};
const compute: Compute = {
  name: 'hpc',
  kind: 'ssh',
  settings: {
    host: 'hpc',
    user: null,
    port: null,
    transport: 'auto',
    configFile: null,
    root: '~/.runyard/host',
    setup: [],
    interpreter: null,
    slots: null,
    detach: 'process',
    keep: { days: 14, bytes: 50e9 },
    scheduler: 'slurm',
    slurm: slurmOptionsSchema.parse({ partition: 'main', options: ['--exclusive'] }),
  },
  address: 'mia@hpc',
  state: 'connected',
  problem: null,
  action: null,
  secretKey: null,
  transport: 'builtin',
  facts: null,
  load: null,
  cluster,
  activeRuns: 0,
};

test('a cluster in the lists', () => {
  assert.deepEqual(partitionTable(cluster), [
    'PARTITION  STATE  TIME LIMIT  NODES IDLE  CPUS IDLE  MEMORY  GPUS IDLE',
    'main*      UP     1-12:00:00  3/8         20/64      64 GB   -',
    'gpu        DRAIN  none        0/1         0/8        -       a100 3/4, ?/2',
  ]);
  const row = Object.fromEntries(listHead.map((name, i) => [name, listRow(compute)[i]]));
  assert.equal(row['SCHEDULER'], 'slurm');
  assert.deepEqual([row['RUNNING'], row['QUEUED'], row['PROBLEM']], ['2', '5', '']);
  const away = { ...compute, cluster: { ...cluster, partitions: [], problem: 'slurm_load: no contact' } };
  assert.deepEqual(listRow(away).slice(4), ['-', '-', '-', '-', '-', 'slurm_load: no contact']);
});

test('a cluster in full', () => {
  const text = describe(compute).join('\n');
  for (const line of [
    /^scheduler {2}slurm 22\.05\.8$/m,
    /^your jobs {2}2 running, 5 waiting$/m,
    /^partition {2}main$/m,
    /^sbatch {5}--exclusive$/m,
    /^main\* +UP/m,
  ]) {
    assert.match(text, line);
  }
  assert.doesNotMatch(text, /detach/);
  const away = { ...cluster, partitions: [], problem: 'It does not answer.', action: 'Ask.' };
  assert.match(describe({ ...compute, cluster: away }).join('\n'), /^slurm {6}It does not answer\. Ask\.$/m);
});
