import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Run } from '../../src/api/entities.ts';
import { skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { repository } from '../support/home.ts';
import { SlurmScene } from '../support/slurm-scene.ts';
import { makeWheel, systemPython } from '../support/wheels.ts';

const skip = skipWithoutSlurm();
const scene = new SlurmScene();
const { home } = scene;

before(async () => {
  if (!skip) await scene.open({ cpusPerNode: 4 }, { interpreter: systemPython });
});
after(() => scene.close());

const files = async (run: Run) => {
  const { artifacts } = await home.client.call('listArtifacts', {
    params: { workspace: 'default', run: run.id },
  });
  return artifacts.map((one) => one.path);
};

const read = async (run: Run, file: string) => {
  const { data } = await home.client.bytes('readArtifact', {
    params: { workspace: 'default', run: run.id },
    query: { path: file, offset: 0, length: 1_000_000 },
  });
  return Buffer.from(data).toString();
};

test('PyTorch on two nodes: one loss a step, of all processes, from rank 0', { skip }, async () => {
  const folder = path.join(repository, 'examples/torch-distributed');
  const run = await home.submit(folder, { configurationName: 'train', configuration: { target: 'login' } });
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed', JSON.stringify(ended, null, 1));
  assert.match(ended.scheduler?.nodes ?? '', /^node\[\d[-,]\d\]$/);
  assert.equal(ended.parameters['processes'], '2');
  const loss = await home.points(run.id, 'train/loss');
  assert.deepEqual(
    loss.steps,
    [...loss.steps.keys()].map((i) => i + 1),
  );
  assert.ok((loss.values.at(-1) as number) < (loss.values[0] as number));
  // The same sums as by one process alone.
  const alone = await home.submit(folder, {
    configuration: {
      script: 'train.py',
      target: 'login',
      communicator: 'Gloo',
      environmentVariables: { RANK: '0', WORLD_SIZE: '1', MASTER_ADDR: '127.0.0.1', MASTER_PORT: '29517' },
    },
  });
  assert.equal((await home.ended(alone.id)).status, 'Completed', (await home.log(alone.id)).toString());
  const same = await home.points(alone.id, 'train/loss');
  for (const [i, value] of loss.values.entries())
    assert.ok(Math.abs((value as number) - (same.values[i] as number)) < 1e-3, `step ${i}`);
  assert.ok((await files(run)).includes('user_logs/std_log_process_01.txt'));
  assert.match(await read(run, 'user_logs/std_log_process_01.txt'), /rank 1 of 2 on node/);
  assert.ok((await files(run)).includes('outputs/weights.json'));
});

test('MPI on two nodes, two processes each: pi', { skip }, async () => {
  const folder = path.join(repository, 'examples/mpi-pi');
  for (const mpiLauncher of ['mpirun', 'srun'] as const) {
    const configuration = { target: 'login', slurm: { mpiLauncher } };
    const run = await home.submit(folder, { configurationName: 'pi', configuration });
    const ended = await home.ended(run.id);
    assert.equal(ended.status, 'Completed', `${mpiLauncher} ${JSON.stringify(ended, null, 1)}`);
    assert.equal(ended.parameters['processes'], '4');
    const { series } = await home.detail(run.id);
    assert.ok(series.length > 0);
    const logs = (await files(run)).filter((name) => name.startsWith('user_logs/std_log'));
    assert.deepEqual(logs, [
      'user_logs/std_log.txt',
      'user_logs/std_log_process_01.txt',
      'user_logs/std_log_process_02.txt',
      'user_logs/std_log_process_03.txt',
    ]);
  }
});

const everyRank = `import os, runyard
rank = int(os.environ["RANK"])
runyard.log("rank", rank, step=0)
runyard.log_param("rank", rank)
print("I am", rank, "of", os.environ["WORLD_SIZE"], "node", os.environ["NODE_RANK"], "local", os.environ["LOCAL_RANK"])
`;

test('metrics come from rank 0, or from all where that is asked for', { skip }, async () => {
  const configuration = { framework: 'PyTorch' as const, nodeCount: 2, pyTorch: { processCount: 4 } };
  const first = await scene.script(everyRank, configuration);
  const all = await scene.script(everyRank, { ...configuration, logRanks: 'all' });
  for (const run of [first, all]) assert.equal((await home.ended(run.id)).status, 'Completed');
  const names = async (run: Run) =>
    (await home.detail(run.id)).series.map(({ name, count, last }) => [name, count, last]);
  assert.deepEqual(await names(first), [['rank', 1, 0]]);
  assert.deepEqual(await names(all), [
    ['rank', 1, 0],
    ['rank/rank_1', 1, 1],
    ['rank/rank_2', 1, 2],
    ['rank/rank_3', 1, 3],
  ]);
  assert.deepEqual((await home.detail(all.id)).parameters, { rank: '0' });
  assert.match(await read(first, 'user_logs/std_log_process_03.txt'), /I am 3 of 4 node 1 local 1/);
});

test('one process fails, and the others are ended: which, where and why', { skip }, async () => {
  const run = await scene.script(
    `import os, time, sys
if os.environ["RANK"] == "3":
    print("rank 3 gives up", flush=True)
    raise ValueError("no more data")
time.sleep(3600)
`,
    { nodeCount: 2, framework: 'PyTorch', pyTorch: { processCount: 4 } },
  );
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Failed');
  assert.match(ended.error?.message ?? '', /Rank 3 on node\d.*no more data/s);
  assert.match(ended.error?.tail ?? '', /rank 3 gives up/);
  for (const node of scene.cluster.nodes) assert.deepEqual(await scene.processesOn(node), [], node);
});

test('canceled on several nodes, and requeued', { skip }, async () => {
  const script = `import os, time, runyard
for i in range(40):
    while i == 5 and os.environ["RUNYARD_ATTEMPT"] == "1":
        time.sleep(1)
    runyard.log("count", i, step=i)
    time.sleep(0.02)
`;
  const configuration = { nodeCount: 3 };
  const run = await scene.script(script, configuration);
  const job = await scene.job(run, 'RUNNING');
  await scene.points(run, 'count', 5);
  await scene.cluster.run('scontrol', 'requeue', job);
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed', JSON.stringify(ended, null, 1));
  assert.deepEqual((await home.points(run.id, 'count')).steps, [...Array(40).keys()]);
  // The supervisor itself has said it, before Slurm killed it.
  assert.ok(ended.events.some(({ reason }) => reason === 'Slurm has taken the job back into its queue'));
  const other = await scene.script(script, configuration);
  await scene.points(other, 'count', 5);
  await home.cancel(other.id);
  assert.equal((await home.ended(other.id)).status, 'Canceled');
  for (const node of scene.cluster.nodes) assert.deepEqual(await scene.processesOn(node), [], node);
});

test('what Slurm cannot give is said in its own words', { skip }, async () => {
  const refused = async (slurm: object, nodeCount?: number) => {
    const run = await scene.script('print(1)', { slurm, nodeCount });
    const ended = await home.ended(run.id);
    assert.equal(ended.status, 'Failed', JSON.stringify(ended));
    assert.equal(ended.error?.code, 'slurm');
    return ended.error.message;
  };
  assert.match(await refused({ partition: 'nope' }), /[Ii]nvalid partition.*nope/);
  assert.match(await refused({ partition: '--wrap=id' }), /[Ii]nvalid partition/);
  assert.match(await refused({}, 9), /has 3 nodes; the run asks for 9/);
  assert.match(await refused({ cpusPerTask: 99 }), /have 4 CPUs at most; the run asks for 99/);
  assert.match(await refused({ memory: '900G' }), /Memory specification can not be satisfied/);
  assert.match(await refused({ time: 'soon' }), /Invalid --time specification/);
  assert.match(await refused({ partition: 'short', time: '2:00:00' }), /at most; the run asks for 2:00:00/);
  assert.match(await refused({ constraint: 'golden' }), /[Ii]nvalid feature/);
  await assert.rejects(scene.script('print(1)', { slurm: { options: ['--array=1-3'] } }), /--array/);
  const folder = home.folder('odd', { '--partition=nope.py': 'print("a script")' });
  const run = await home.submit(folder, {
    configuration: { script: '--partition=nope.py', target: 'login' },
  });
  assert.equal((await home.ended(run.id)).status, 'Completed');
  assert.equal((await home.log(run.id)).toString(), 'a script\n');
});

test('packages are built once on the login node, and the nodes use them', { skip }, async () => {
  const { homeDir, homePath } = scene.cluster.login;
  mkdirSync(path.join(homeDir, 'wheels'));
  makeWheel(path.join(homeDir, 'wheels'), 'ry-slurm-wheel', '1.0');
  const folder = home.folder('with-packages', {
    'train.py': `import os, socket, sys, importlib.metadata as m
print(m.version("ry-slurm-wheel"), socket.gethostname() != "login", os.environ.get("MODULE"))
`,
    'requirements.txt': `--no-index\n--find-links ${homePath}/wheels\nry-slurm-wheel==1.0\n`,
  });
  const configuration = {
    script: 'train.py',
    target: 'login',
    environment: { python: { requirementsFile: 'requirements.txt' } },
    slurm: { setup: ['export MODULE=loaded', 'module_that_is_not_there'] },
  };
  for (let i = 0; i < 2; i++) {
    const run = await home.submit(folder, { configuration });
    const ended = await home.ended(run.id);
    assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
    assert.equal((await home.log(run.id)).toString(), '1.0 True loaded\n');
    const facts = JSON.parse(await read(run, 'environment/environment.json')) as {
      cached: boolean;
      kind: string;
    };
    assert.deepEqual([facts.kind, facts.cached], ['venv', i === 1]);
    assert.match(
      await read(run, 'user_logs/build_log.txt'),
      /set-up lines say:\n.*module_that_is_not_there.*not found/,
    );
  }
});
