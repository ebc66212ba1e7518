import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { RunConfiguration } from '../../src/api/run-configuration.ts';
import { skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { addCompute } from '../support/person.ts';
import { counting, SlurmScene } from '../support/slurm-scene.ts';

// Login nodes, scripts and people that make it hard to follow a job.
const skip = skipWithoutSlurm();
const scene = new SlurmScene();
const { home } = scene;
const concurrency = 4;

// It gives the job to Slurm, and its answer is lost.
const deaf = `#!/bin/sh
/usr/bin/sbatch "$@" >/dev/null
sleep 2
echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
exit 1
`;
// As on a full disk: it says nothing, and is content.
const mute = '#!/bin/sh\n/usr/bin/sbatch "$@" >/dev/null\n';
const variables = [
  'SBATCH_ARRAY_INX=1-3 SBATCH_INPUT=/nowhere SBATCH_WAIT=1 SBATCH_SIGNAL=USR1@1000',
  'SQUEUE_PARTITION=short SCANCEL_STATE=PENDING SLURM_TIME_FORMAT=relative',
  'SLURM_MEM_PER_NODE=50 SLURM_NTASKS=3 SLURM_JOB_ID=77',
];

before(async () => {
  if (skip) return;
  await scene.open({ killWait: 6, cpusPerNode: 16 });
  const { login } = scene.cluster;
  const config = scene.hosts.sshConfig();
  const add = (name: string, setup: string[]) =>
    addCompute(home.client, login, config, { name, root: `~/${name}`, setup, scheduler: 'slurm' });
  for (const [name, program] of Object.entries({ deaf, mute })) {
    const folder = `${login.homePath}/bin-${name}`;
    await login.shell(
      `mkdir ${folder} && printf %s '${program.replaceAll("'", `'\\''`)}' >${folder}/sbatch && chmod 755 ${folder}/sbatch`,
    );
    await add(name, [`PATH=${folder}:$PATH`]);
  }
  await add(
    'variables',
    variables.map((line) => `export ${line}`),
  );
});
after(() => scene.close());

const on = (target: string, source: string, more: Partial<RunConfiguration> = {}) =>
  scene.script(source, { target, ...more });

test('nobody keeps a run from its end', { skip, concurrency }, async (t) => {
  const subtests: Promise<void>[] = [];
  const each = (name: string, work: () => Promise<void>) => subtests.push(t.test(name, work));
  const jobsOf = async (run: string) =>
    (await scene.cluster.jobs()).filter(({ name }) => name.startsWith(`runyard-${run}-`));

  for (const target of ['deaf', 'mute'])
    each(`the answer of sbatch is lost (${target}): one job, whose supervisor has the word`, async () => {
      for (const steps of [1, 150]) {
        const run = await on(target, counting(steps));
        const { events } = await scene.complete(run, steps);
        assert.equal(events.filter(({ status }) => status === 'Queued').length, 1, JSON.stringify(events));
        assert.equal((await jobsOf(run.id)).length, 1);
      }
    });

  each('variables of the login node that change what the programs of Slurm do', async () => {
    const run = await on('variables', `import os\nprint(os.environ["SLURM_NTASKS"], flush=True)`);
    assert.equal((await home.ended(run.id)).status, 'Completed');
    assert.equal((await home.log(run.id)).toString(), '1\n');
    assert.equal((await jobsOf(run.id)).length, 1);
    const canceled = await on('variables', counting(10_000));
    await scene.job(canceled, 'RUNNING');
    const asked = Date.now();
    await home.cancel(canceled.id);
    assert.equal((await home.ended(canceled.id)).status, 'Canceled');
    assert.ok(Date.now() - asked < 20_000);
  });

  each('a job that is requeued when its run has ended: nothing runs again', async () => {
    const run = await on('login', `print("once")`);
    const job = await scene.job(run);
    assert.equal((await home.ended(run.id)).status, 'Completed');
    const state = async () => (await scene.cluster.job(job))['JobState'];
    while ((await state()) !== 'COMPLETED') await new Promise((resolve) => setTimeout(resolve, 100));
    await scene.cluster.run('scontrol', 'requeue', job);
    while ((await state()) !== 'COMPLETED') await new Promise((resolve) => setTimeout(resolve, 100));
    const attempts = `${scene.cluster.login.homePath}/.runyard/host/runs/${run.id}/attempts`;
    assert.equal(await scene.cluster.run('ls', attempts), '1');
    assert.equal((await home.detail(run.id)).attempts, 1);
  });

  each('a script that requeues its own job', async () => {
    const requeue = `import os, subprocess, time
if os.environ["RUNYARD_ATTEMPT"] == "1":
    subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]])
    time.sleep(60)
`;
    assert.equal((await scene.complete(await on('login', requeue + counting(5)), 5)).attempts, 2);
  });

  each('a script that writes over what says which job it is, and is requeued', async () => {
    const vandal = `import os
with open(os.environ["RUNYARD_RUN_DIR"] + "/slurm/job.json", "w") as file:
    file.write('{"job": 99999, "restart": 0}')
`;
    const run = await on('login', vandal + counting(100, 20));
    await scene.points(run, 'count', 20);
    const jobs = await jobsOf(run.id);
    await home.until(run.id, 'its own job', ({ scheduler }) => String(scheduler?.job) === jobs[0]!.id);
    await scene.cluster.run('scontrol', 'requeue', jobs[0]!.id);
    assert.equal((await scene.complete(run, 100)).attempts, 2);
  });

  each('a suspended job is canceled at once', async () => {
    const run = await on('login', counting(10_000));
    const job = await scene.job(run, 'RUNNING');
    await scene.points(run, 'count', 5);
    await scene.cluster.run('scontrol', 'suspend', job);
    await home.until(run.id, 'suspended', ({ scheduler }) => scheduler?.state === 'SUSPENDED');
    const asked = Date.now();
    await home.cancel(run.id);
    assert.equal((await home.ended(run.id)).status, 'Canceled');
    assert.ok(Date.now() - asked < 20_000);
    await scene.wholeSoFar(run, { clean: false });
  });

  each('SIGTERM that Slurm has not sent', async () => {
    const run = await on('login', counting(10_000));
    const job = await scene.job(run, 'RUNNING');
    await scene.points(run, 'count', 5);
    await scene.cluster.run('scancel', '--signal=TERM', '--batch', job);
    const { status, error } = await home.ended(run.id);
    assert.equal(status, 'Failed');
    assert.equal(error?.code, 'signal', JSON.stringify(error));
    await scene.wholeSoFar(run);
  });
  await Promise.all(subtests);
});

test('a controller that is killed forgets a job and gives its number again', { skip }, async () => {
  const { cluster } = scene;
  const lost = await scene.script(counting(10_000), { slurm: { options: ['--hold'] } });
  const number = await scene.job(lost);
  await cluster.stopController({ kill: true });
  await cluster.startController();
  const run = await scene.script(counting(100));
  const again = await scene.job(run);
  if (again === number) {
    const { status, error } = await home.ended(lost.id);
    assert.equal(status, 'Failed');
    assert.match(error?.message ?? '', /does not know the job/);
  } else {
    await home.cancel(lost.id); // it was saved in time
  }
  await scene.complete(run, 100);
});
