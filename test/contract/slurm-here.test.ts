import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Compute, ConnectionTest } from '../../src/api/compute.ts';
import type { Run, RunDetail } from '../../src/api/entities.ts';
import { SlurmCluster, skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { runCli, TestHome } from '../support/home.ts';

// This machine as the login node of a cluster: no ssh on the way.
const skip = skipWithoutSlurm();
const home = new TestHome();
let cluster: SlurmCluster;

before(async () => {
  if (skip) return;
  cluster = await SlurmCluster.start({ nodes: ['node1', 'node2'] });
  // The server is started by the first command, and finds Slurm as a person's shell does.
  process.env['PATH'] = `${cluster.local.bin}:${process.env['PATH']}`;
});
after(async () => {
  await home.close();
  await cluster?.close();
});

async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await runCli(home.dir, [...args, '--json']);
  assert.equal(code, 0, stderr + stdout);
  return JSON.parse(stdout) as T;
}

test('this machine is added as a cluster, and tested without ssh', { skip }, async () => {
  const root = path.join(home.folders, 'shared');
  const added = await json<Compute>('compute', 'add', 'here', '--local', '--root', root);
  assert.deepEqual([added.kind, added.settings!.host, added.settings!.scheduler], ['local', null, 'slurm']);
  const { ok, steps } = await json<ConnectionTest>('compute', 'test', 'here');
  assert.ok(ok, JSON.stringify(steps));
  const ids = steps.map(({ id }) => id);
  for (const id of ['slurm', 'partition', 'shared']) assert.ok(ids.includes(id), `${id} in ${ids.join()}`);
  for (const id of ['sign-in', 'host-key', 'survival']) assert.ok(!ids.includes(id), id);
  const { settings, cluster: said } = await json<Compute>('compute', 'show', 'here');
  assert.equal(settings!.root, root);
  assert.deepEqual(said?.partitions.find((one) => one.default)?.nodes.total, 2);
});

test('a run goes to its nodes, beside runs of this machine itself', { skip }, async () => {
  const folder = home.folder('where', { 'where.py': 'import os\nprint("on", os.uname()[1])\n' });
  const submit = ['run', 'submit', folder, '--script', 'where.py', '--wait'];
  const job = await json<Run>(...submit, '--compute', 'here', '--nodes', '2');
  const detail = await json<RunDetail>('run', 'show', job.id);
  assert.equal(detail.status, 'Completed', JSON.stringify(detail.error));
  assert.match((await home.log(job.id)).toString(), /^on node1$/m);

  const local = await json<Run>(...submit);
  assert.equal(local.status, 'Completed');
  assert.doesNotMatch((await home.log(local.id)).toString(), /node1/);
  assert.equal((await json<RunDetail>('run', 'show', local.id)).scheduler, null);

  // The same again, on the one and on the other.
  const here = await json<Run>('run', 'rerun', local.id, '--compute', 'here', '--wait');
  assert.equal(here.status, 'Completed', JSON.stringify(here.error));
  assert.match((await home.log(here.id)).toString(), /^on node\d$/m);
});
