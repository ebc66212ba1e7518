import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { skipWithoutMemoryLimits, skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { SlurmScene } from '../support/slurm-scene.ts';

const skip = skipWithoutSlurm();
const skipLimits = skip || skipWithoutMemoryLimits();
const scene = new SlurmScene();
const strict = new SlurmScene();

before(async () => {
  if (skip) return;
  const lines = [
    'JobAcctGatherType=jobacct_gather/linux',
    'JobAcctGatherParams=OverMemoryKill',
    'JobAcctGatherFrequency=task=1',
  ];
  await scene.open({ nodes: ['node1'], lines }, { slurm: { memory: '300M' } });
  if (!skipLimits) await strict.open({ nodes: ['node1'], memoryLimits: true }, { slurm: { memory: '300M' } });
});
after(async () => {
  await scene.close();
  await strict.close();
});

async function useTooMuch(scene: SlurmScene): Promise<void> {
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
}

test('a job that uses more memory than it has says so', { skip }, () => useTooMuch(scene));
test('the same where the kernel keeps the limit', { skip: skipLimits }, () => useTooMuch(strict));
