import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { SlurmScene } from '../support/slurm-scene.ts';

const skip = skipWithoutSlurm();
const scene = new SlurmScene();

before(async () => {
  if (skip) return;
  const lines = [
    'JobAcctGatherType=jobacct_gather/linux',
    'JobAcctGatherParams=OverMemoryKill',
    'JobAcctGatherFrequency=task=1',
  ];
  await scene.open({ nodes: ['node1'], lines }, { slurm: { memory: '300M' } });
});
after(() => scene.close());

test('a job that uses more memory than it has says so', { skip }, async () => {
  const run = await scene.script(`import time, runyard
runyard.log("before", 1)
runyard.flush()
hoard = b"x" * 600_000_000
time.sleep(3600)
`);
  const ended = await scene.home.ended(run.id);
  assert.equal(ended.status, 'Failed');
  assert.equal(ended.error?.code, 'out_of_memory', JSON.stringify(ended.error));
  assert.equal(ended.series[0]?.count, 1);
  const modest = await scene.script('print("small")');
  assert.equal((await scene.home.ended(modest.id)).status, 'Completed');
});
