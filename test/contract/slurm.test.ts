import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { repository } from '../support/home.ts';
import { SlurmScene } from '../support/slurm-scene.ts';

const skip = skipWithoutSlurm();
const scene = new SlurmScene();
const { home } = scene;

before(async () => {
  if (!skip) await scene.open();
});
after(() => scene.close());

test('the digits example gives the same metrics as here', { skip }, async () => {
  const folder = path.join(repository, 'examples/digits');
  const results: string[] = [];
  const configuration = { script: 'train.py', arguments: ['--epochs', '4'] };
  const runs = [
    await home.submit(folder, { configuration: { ...configuration, target: 'local' } }),
    await home.submit(folder, { configuration: { ...configuration, target: 'login' } }),
  ];
  for (const run of runs) {
    const ended = await home.ended(run.id);
    assert.equal(ended.status, 'Completed', JSON.stringify(ended, null, 1));
    const { series } = await home.client.call('listSeries', {
      params: { workspace: 'default', run: run.id },
    });
    const { artifacts } = await home.client.call('listArtifacts', {
      params: { workspace: 'default', run: run.id },
    });
    const outputs = artifacts.filter((one) => one.path.startsWith('outputs/'));
    assert.ok(outputs.length > 0 && outputs.every(({ stored }) => stored));
    const summary = series.map(({ name, count, last, min, max }) => ({ name, count, last, min, max }));
    results.push(JSON.stringify(summary.filter(({ name }) => !/second|time/i.test(name))));
  }
  assert.equal(results[1], results[0]);
  const { scheduler } = await home.detail(runs[1]!.id);
  assert.equal(scheduler?.partition, 'main');
  assert.equal(scheduler.restarts, 0);
});

test('a job waits, is held and released, and says why', { skip }, async () => {
  const all = { nodeCount: 3, slurm: { options: ['--exclusive'] } };
  const first = await scene.script('import time; time.sleep(3600)', all);
  await scene.job(first, 'RUNNING');
  const second = await scene.script('print(1)', all);
  const job = await scene.job(second, 'PENDING');
  const waiting = await home.until(second.id, 'waiting with a reason', ({ statusReason }) =>
    statusReason.includes('Waiting in Slurm for'),
  );
  assert.equal(waiting.status, 'Queued');
  await scene.cluster.run('scontrol', 'hold', job);
  await home.until(second.id, 'held', ({ statusReason }) => statusReason.includes('Held in Slurm'));
  await home.cancel(first.id);
  assert.equal((await home.ended(first.id)).status, 'Canceled');
  await scene.cluster.run('scontrol', 'release', job);
  assert.equal((await home.ended(second.id)).status, 'Completed');
});
