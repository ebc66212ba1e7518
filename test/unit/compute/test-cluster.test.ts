import assert from 'node:assert/strict';
import test from 'node:test';
import type { Cluster, Partition } from '../../../src/api/compute.ts';
import {
  loginNodeFinding,
  partitionFinding,
  sharedFinding,
  slurmFinding,
} from '../../../src/compute/test-cluster.ts';

const shares = { total: 8, idle: 3, used: 4, unavailable: 1 };
const partition = (name: string, more: Partial<Partition> = {}): Partition => ({
  name,
  default: false,
  state: 'UP',
  timeLimitSeconds: null,
  nodes: shares,
  cpus: shares,
  cpusPerNode: 8,
  memoryBytes: 1e9,
  gpus: [],
  ...more,
});
const cluster = (...partitions: Partition[]): Cluster => ({
  version: '22.05.8',
  name: 'lab',
  partitions,
  running: 1,
  pending: 2,
  problem: null,
  action: null,
});

test('Slurm answers, or says in its own words why not', () => {
  assert.deepEqual(slurmFinding(cluster(partition('main'))), {
    detail: 'Slurm 22.05.8, cluster lab, 1 partition; 1 of your jobs running, 2 waiting.',
  });
  const silent = { ...cluster(), version: null, name: null, problem: 'Unable to contact slurm controller' };
  assert.deepEqual(slurmFinding(silent), {
    state: 'failed',
    detail: 'Unable to contact slurm controller',
    action: 'Ask who runs the cluster.',
  });
});

test('a login node is one whose Slurm answers; programs of Slurm alone are none', () => {
  const finding = loginNodeFinding(cluster(partition('main')));
  assert.equal(finding.state, 'warning');
  assert.deepEqual(finding.fix, { scheduler: 'slurm' });
  const none = loginNodeFinding({ problem: 'Could not establish a configuration source.' });
  assert.equal(none.state, 'skipped');
  assert.equal(none.fix, undefined);
});

test('the partition that jobs go to is there, and up', () => {
  const all = cluster(partition('main', { default: true }), partition('gpu', { state: 'DOWN' }));
  const of = (asked: string | null, one = all) => partitionFinding(one, asked);
  assert.equal(of(null).detail, "main, the cluster's default: UP, 3 of 8 nodes idle.");
  assert.equal(of(null).state, undefined);
  assert.equal(of('main').detail, 'main: UP, 3 of 8 nodes idle.');
  assert.equal(of('gpu').state, 'failed');
  assert.equal(of('main,gpu').state, undefined);
  assert.equal(of('long').detail, 'There is no partition long. There are: main, gpu.');
  assert.equal(of('main,long').state, 'failed');
  assert.match(of(null, cluster(partition('a'))).detail, /no default partition\. There are: a\./);
  assert.match(of(null, cluster()).detail, /There are: none\./);
});

test('the folder that the nodes must see', () => {
  assert.equal(sharedFinding({ filesystem: 'nfs4', shared: true }, '/home/mia/r').state, undefined);
  const unknown = sharedFinding({ filesystem: 'ext4', shared: null }, '/home/mia/r');
  assert.equal(unknown.state, undefined);
  assert.match(unknown.detail, /cannot be told from here/);
  const local = sharedFinding({ filesystem: 'tmpfs', shared: false }, '/tmp/r');
  assert.equal(local.state, 'warning');
  assert.match(local.detail, /^\/tmp\/r is on tmpfs: it looks local/);
});
