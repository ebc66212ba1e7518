import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { counting, SlurmScene } from '../support/slurm-scene.ts';

const skip = skipWithoutSlurm();
const scene = new SlurmScene();
const { home } = scene;

before(async () => {
  if (!skip)
    await scene.open({ killWait: 5, slurmdTimeout: 5, cpusPerNode: 200 }, { slurm: { partition: 'main' } });
});
after(() => scene.close());

test('a node loses its power: the run goes on elsewhere, or says so', { skip }, async () => {
  const { cluster } = scene;
  const requeued = await scene.script(counting(60, 7));
  await scene.job(requeued, 'RUNNING');
  const node = (await home.detail(requeued.id)).scheduler!.nodes!;
  const failing = await scene.script(counting(10_000), {
    slurm: { options: [`--nodelist=${node}`, '--no-requeue'] },
  });
  await scene.job(failing, 'RUNNING');
  await scene.points(requeued, 'count', 7);
  await scene.points(failing, 'count', 3);
  await cluster.killNode(node, { power: true });
  const ended = await home.ended(failing.id);
  assert.equal(ended.status, 'Failed');
  assert.equal(ended.error?.code, 'node_failure', JSON.stringify(ended.error));
  assert.equal((await scene.complete(requeued, 60)).attempts, 2);
  assert.notEqual((await home.detail(requeued.id)).scheduler!.nodes, node);
  await cluster.startNode(node);
  await scene.wholeSoFar(failing, { clean: false });
});

test(
  'a node that cannot be reached goes on with a job that has another one: that counts',
  { skip },
  async () => {
    const { cluster } = scene;
    const run = await scene.script(counting(60, 7));
    await scene.job(run, 'RUNNING');
    const node = (await home.detail(run.id)).scheduler!.nodes!;
    await scene.points(run, 'count', 7);
    // The daemon alone: what it had started lives on.
    await cluster.killNode(node);
    assert.equal((await scene.complete(run, 60)).attempts, 2);
    assert.notEqual((await home.detail(run.id)).scheduler!.nodes, node);
    await cluster.startNode(node);
    const deadline = Date.now() + 60_000;
    while ((await scene.processesOn(node)).length > 0 && Date.now() < deadline) await sleep(200);
    assert.deepEqual(await scene.processesOn(node), []);
  },
);

test('one of two nodes of a run loses its power', { skip }, async () => {
  const { cluster } = scene;
  const run = await scene.script(counting(60, 7), { nodeCount: 2 });
  await scene.job(run, 'RUNNING');
  await scene.points(run, 'count', 7);
  const nodes = (
    await cluster.run('scontrol', 'show', 'hostnames', (await home.detail(run.id)).scheduler!.nodes!)
  ).split('\n');
  assert.equal(nodes.length, 2);
  await cluster.killNode(nodes[1]!, { power: true });
  assert.equal((await scene.complete(run, 60)).attempts, 2);
  await cluster.startNode(nodes[1]!);
});

test('two hundred runs wait: one question for all of them, every few seconds', { skip }, async () => {
  const { cluster } = scene;
  const count = Number(process.env['RUNYARD_QUEUED_RUNS'] ?? 200);
  const folder = home.folder('many', { 'train.py': counting(3) });
  const configuration = { script: 'train.py', target: 'login', slurm: { options: ['--hold'] } };
  const runs = [];
  for (let i = 0; i < count; i++) runs.push(await home.submit(folder, { configuration }));
  const jobs = [];
  for (const run of runs) jobs.push(await scene.job(run, 'PENDING'));
  assert.equal(new Set(jobs).size, count);
  const before = await cluster.countCalls();
  const began = performance.now();
  await sleep(20_000);
  const seconds = (performance.now() - began) / 1000;
  const calls = (await cluster.countCalls()) - before;
  // One of them is the look itself.
  assert.ok(calls <= seconds / 2 + 2, `${calls} questions in ${seconds} s`);
  await cluster.run('scontrol', 'release', jobs.join(','));
  for (const run of runs) {
    const ended = await scene.complete(run, 3);
    assert.equal(ended.attempts, 1);
  }
  const known = (await cluster.jobs()).filter(({ name }) => name.includes('many'));
  assert.equal(known.length, count);
});
