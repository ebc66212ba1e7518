import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { counting, SlurmScene } from '../support/slurm-scene.ts';
import { random, tries } from '../support/ssh-scene.ts';

const skip = skipWithoutSlurm();
const scene = new SlurmScene();
const { home } = scene;
const concurrency = 3;

before(async () => {
  if (!skip) await scene.open({ killWait: 6, cpusPerNode: 8 });
});
after(() => scene.close());

test(
  'what happens to a job is told as it is, and nothing is lost or counted twice',
  { skip, concurrency },
  async (t) => {
    const { cluster } = scene;
    const subtests: Promise<void>[] = [];
    const each = (name: string, work: () => Promise<void>) => subtests.push(t.test(name, work));

    each('requeued by an administrator: another attempt goes on from the beginning', async () => {
      for (let i = 0; i < tries; i++) {
        const stop = 1 + Math.floor(random(0, 30));
        const run = await scene.script(counting(60, stop));
        const job = await scene.job(run, 'RUNNING');
        await scene.points(run, 'count', stop);
        await cluster.run('scontrol', 'requeue', job);
        const ended = await scene.complete(run, 60);
        assert.equal(ended.attempts, 2);
        assert.equal(ended.scheduler?.restarts, 1);
        const first = await home.points(run.id, 'attempt-1/count');
        assert.deepEqual(first.steps, [...Array(stop).keys()]);
        assert.ok(
          ended.events.some(
            ({ status, reason }) => status === 'Queued' && reason.includes('taken the job back'),
          ),
        );
        const { artifacts } = await home.client.call('listArtifacts', {
          params: { workspace: 'default', run: run.id },
        });
        assert.ok(artifacts.some((one) => one.path === 'attempts/1/user_logs/std_log.txt'));
      }
    });

    each('requeued and held: it waits until it is released', async () => {
      const run = await scene.script(counting(40, 5));
      const job = await scene.job(run, 'RUNNING');
      await scene.points(run, 'count', 5);
      await cluster.run('scontrol', 'requeuehold', job);
      await home.until(
        run.id,
        'held',
        ({ status, statusReason }) => status === 'Queued' && statusReason.includes('held'),
      );
      await cluster.run('scontrol', 'release', job);
      assert.equal((await scene.complete(run, 40)).attempts, 2);
    });

    each('requeued and then canceled', async () => {
      const run = await scene.script(counting(10_000));
      const job = await scene.job(run, 'RUNNING');
      await scene.points(run, 'count', 5);
      await cluster.run('scontrol', 'requeuehold', job);
      await home.until(run.id, 'waiting again', ({ status }) => status === 'Queued');
      await home.cancel(run.id);
      const ended = await home.ended(run.id);
      assert.equal(ended.status, 'Canceled');
      assert.equal(ended.attempts, 2);
    });

    each('canceled from outside, while it runs and while it waits', async () => {
      for (let i = 0; i < tries; i++) {
        const runs = [
          await scene.script(counting(10_000)),
          await scene.script(counting(10), { slurm: { options: ['--hold'] } }),
        ];
        const jobs = [await scene.job(runs[0]!, 'RUNNING'), await scene.job(runs[1]!, 'PENDING')];
        await scene.points(runs[0]!, 'count', 1);
        await sleep(random(0, 300));
        for (const job of jobs) await cluster.run('scancel', job);
        for (const run of runs) {
          const ended = await home.ended(run.id);
          assert.equal(ended.status, 'Canceled', JSON.stringify(ended.error));
          assert.match(ended.statusReason, /canceled in Slurm/);
        }
        await scene.wholeSoFar(runs[0]!);
      }
    });

    each('canceled here at any moment: the job is gone', async () => {
      for (let i = 0; i < 2 * tries; i++) {
        const run = await scene.script(counting(10_000));
        await sleep(random(0, 3000));
        await home.cancel(run.id);
        assert.equal((await home.ended(run.id)).status, 'Canceled');
        await scene.wholeSoFar(run);
      }
    });

    each('the time limit of the job, and the one of the run', async () => {
      const [slurms, ours] = [
        await scene.script(counting(10_000), { slurm: { partition: 'short', time: '1' } }),
        await scene.script(counting(10_000), { maxRunDurationSeconds: 3 }),
      ];
      for (const run of [ours, slurms]) {
        const ended = await home.ended(run.id);
        assert.equal(ended.status, 'Failed');
        assert.equal(ended.error?.code, 'time_limit', JSON.stringify(ended.error));
        await scene.wholeSoFar(run);
      }
    });

    each('a dependency that can never be satisfied', async () => {
      const failed = await scene.script('raise SystemExit(3)');
      assert.equal((await home.ended(failed.id)).status, 'Failed');
      const dependency = `afterok:${(await home.detail(failed.id)).scheduler!.job}`;
      const run = await scene.script('print(1)', { slurm: { dependency } });
      const ended = await home.ended(run.id);
      assert.equal(ended.status, 'Failed');
      assert.equal(ended.error?.code, 'dependency', JSON.stringify(ended.error));
    });

    each('a job of a higher priority takes its node: it goes on later', async () => {
      const where = { nodeCount: 1, slurm: { options: ['--nodelist=node3', '--exclusive'] } };
      const low = await scene.script(counting(60, 5), {
        ...where,
        slurm: { ...where.slurm, partition: 'low' },
      });
      await scene.points(low, 'count', 5);
      const high = await scene.script('print(1)', { ...where, slurm: { ...where.slurm, partition: 'high' } });
      assert.equal((await home.ended(high.id)).status, 'Completed');
      assert.equal((await scene.complete(low, 60)).attempts, 2);
    });

    each('its supervisor is killed', async () => {
      const run = await scene.script(counting(10_000));
      const job = await scene.job(run, 'RUNNING');
      await scene.points(run, 'count', 3);
      await cluster.run('scancel', '--signal=KILL', '--batch', job);
      const ended = await home.ended(run.id);
      assert.equal(ended.status, 'Failed');
      assert.equal(ended.error?.code, 'supervisor_lost', JSON.stringify(ended.error));
      await scene.wholeSoFar(run, { clean: false });
    });
    await Promise.all(subtests);
  },
);

test('the scheduler is away: runs go on, and what is submitted waits for it', { skip }, async () => {
  const { cluster } = scene;
  const before = await scene.script(counting(200));
  await scene.job(before, 'RUNNING');
  await scene.points(before, 'count', 3);
  await cluster.stopController();
  const during = await scene.script(counting(20));
  await home.until(during.id, 'waiting for Slurm', ({ statusReason }) =>
    statusReason.includes('does not answer'),
  );
  await scene.complete(before, 200);
  await cluster.startController();
  await scene.complete(during, 20);
});

test('the line is cut while runs wait, run and end', { skip }, async () => {
  const { cluster } = scene;
  const seconds = Number(process.env['RUNYARD_CUT_SECONDS'] ?? 15);
  const runs = [];
  for (let i = 0; i < 6; i++) runs.push(await scene.script(counting(60 + 40 * i)));
  const held = await scene.script(counting(5), { slurm: { options: ['--hold'] } });
  const job = await scene.job(held, 'PENDING');
  await scene.points(runs[0]!, 'count', 3);
  await cluster.login.cut();
  await cluster.run('scontrol', 'release', job);
  await sleep(seconds * 1000);
  await cluster.login.mend();
  for (const [i, run] of runs.entries()) await scene.complete(run, 60 + 40 * i);
  await scene.complete(held, 5);
});

test('the server and the dispatcher are killed at any moment: one job a run', { skip }, async () => {
  const { cluster } = scene;
  for (let i = 0; i < tries; i++) {
    const runs = [];
    for (let j = 0; j < 5; j++) {
      runs.push(await scene.script(counting(20)));
      if (j === 2) await sleep(random(0, 1500));
      if (j === 2) {
        await home.killServer();
        await home.client.call('getServer');
      }
      if (j === 3) await scene.killDispatcher();
    }
    for (const run of runs) {
      await scene.complete(run, 20);
      const jobs = (await cluster.jobs()).filter(({ name }) => name.startsWith(`runyard-${run.id}-`));
      assert.equal(jobs.length, 1, JSON.stringify(jobs));
    }
  }
});

test('nothing is left over on the nodes', { skip }, async () => {
  const left = (await scene.cluster.jobs()).filter(
    ({ state }) => !/COMPLETED|FAILED|CANCELLED|TIMEOUT/.test(state),
  );
  assert.deepEqual(left, []);
  for (const node of scene.cluster.nodes) assert.deepEqual(await scene.processesOn(node), [], node);
});
