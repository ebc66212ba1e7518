// Runs in images on a cluster, by rootless Podman: each node has containers of its own, which nobody else sees.
import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Run, RunDetail } from '../../src/api/entities.ts';
import type { RunConfiguration } from '../../src/api/run-configuration.ts';
import { testImage, testImageTar } from '../rig/docker/image.ts';
import { skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { counting, SlurmScene } from '../support/slurm-scene.ts';

const skip = skipWithoutSlurm('podman', 'debootstrap');
const scene = new SlurmScene();
const { home } = scene;

/** As mia on a node, past Slurm; what it wrote. */
const mia = (node: string, line: string) =>
  scene.cluster.on(
    node,
    ...['setpriv', '--reuid', 'mia', '--regid', 'mia', '--init-groups', 'env', 'HOME=/home/mia'],
    ...['sh', '-c', `cd && ${line}`],
  );
const inHome = (name: string) => path.join(scene.cluster.login.homeDir, name);
const storage = '.config/containers/storage.conf';

/** Podman's configuration of mia, as a cluster needs it: what is kept of containers is the node's own. */
function configure(): void {
  mkdirSync(inHome('.config/containers'), { recursive: true });
  const limits = 'default_ulimits=["nofile=20000:20000","nproc=1000:1000"]';
  writeFileSync(inHome('.config/containers/containers.conf'), `[containers]\n${limits}\n`);
  const places = 'graphroot = "/tmp/containers/storage"\nrunroot = "/tmp/containers/run"';
  writeFileSync(inHome(storage), `[storage]\ndriver = "overlay"\n${places}\n`);
}

before(async () => {
  if (skip) return;
  await scene.open({ nodes: ['node1', 'node2'], cpusPerNode: 4 });
  configure();
  copyFileSync(await testImageTar(), inHome('image.tar'));
  for (const node of scene.cluster.nodes) {
    // A user's own namespaces may have a /proc only where there is one that nothing covers, as on a real machine.
    await scene.cluster.on(node, 'sh', '-c', 'mkdir /tmp/proc && mount -t proc proc /tmp/proc');
    await mia(node, `podman import -q image.tar ${testImage}`);
  }
  rmSync(inHome('image.tar'));
});
after(() => scene.close());

const inImage = (more: Partial<RunConfiguration> = {}): Partial<RunConfiguration> => ({
  docker: { useDocker: true, baseImage: testImage, network: 'none' },
  ...more,
});
const script = (source: string, more: Partial<RunConfiguration> = {}) => scene.script(source, inImage(more));

/** No container, no process of a run, on any node; nothing that the login node would look for. */
async function nothingLeft(...runs: Run[]): Promise<void> {
  for (const node of scene.cluster.nodes) {
    assert.equal(await mia(node, "podman ps -a --format '{{.Names}} {{.Status}}'"), '', node);
    assert.deepEqual(await scene.processesOn(node), [], node);
  }
  for (const run of runs) {
    const attempts = inHome(`.runyard/host/runs/${run.id}/attempts`);
    for (const number of readdirSync(attempts))
      for (const name of ['container.json', 'container.sh', 'environment.json'])
        assert.ok(!existsSync(path.join(attempts, number, name)), `${run.id}/${number}/${name}`);
  }
}
const containers = async () => {
  const found: string[] = [];
  for (const node of scene.cluster.nodes)
    for (const name of (await mia(node, "podman ps --format '{{.Names}}'")).split('\n').filter(Boolean))
      found.push(`${node} ${name}`);
  return found;
};
const completed = (ended: RunDetail) =>
  assert.equal(ended.status, 'Completed', JSON.stringify(ended, null, 1));

test('a run in an image: what it is, writes and leaves', { skip }, async () => {
  const run = await script(
    `import os, sys, runyard
print(sys.executable, os.getcwd(), os.getuid(), os.environ["MINE"], os.path.exists("/home/mia/.ssh"))
os.makedirs("outputs"); open("outputs/x", "w").close()
runyard.log("loss", 0.5, step=0)
`,
    { environmentVariables: { MINE: "it's" } },
  );
  const ended = await home.ended(run.id);
  completed(ended);
  const code = `/home/mia/.runyard/host/runs/${run.id}/attempts/1/code`;
  assert.equal((await home.log(run.id)).toString(), `/usr/bin/python3 ${code} 1001 it's False\n`);
  assert.match(ended.scheduler?.nodes ?? '', /^node\d$/);
  const detail = await home.detail(run.id);
  assert.deepEqual(
    detail.series.map(({ name, count }) => [name, count]),
    [['loss', 1]],
  );
  const { data } = await home.client.bytes('readArtifact', {
    params: { workspace: 'default', run: run.id },
    query: { path: 'environment/environment.json', offset: 0, length: 1_000_000 },
  });
  const facts = JSON.parse(Buffer.from(data).toString()) as Record<string, unknown>;
  assert.deepEqual([facts['engine'], facts['kind'], facts['image']], ['podman', 'image', testImage]);
  const failing = await home.ended((await script('raise SystemExit(7)')).id);
  assert.deepEqual([failing.status, failing.exitCode, failing.error?.code], ['Failed', 7, 'exit']);
  await nothingLeft(run);
});

test('canceled, and ended by scancel: no container stays', { skip }, async () => {
  const stubborn = `import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
${counting(10, 5)}`;
  const runs = [await script(counting(10, 5)), await script(stubborn), await script(stubborn)];
  for (const run of runs) await scene.points(run, 'count', 5);
  assert.deepEqual((await containers()).length, 3);
  await home.cancel(runs[0]!.id);
  await home.cancel(runs[1]!.id);
  await scene.cluster.run('scancel', await scene.job(runs[2]!, 'RUNNING'));
  for (const run of runs)
    assert.equal((await home.ended(run.id)).status, 'Canceled', JSON.stringify(await home.detail(run.id)));
  await nothingLeft(...runs);
});

test('a requeued job goes on in a second container', { skip }, async () => {
  const run = await script(counting(20, 5));
  const job = await scene.job(run, 'RUNNING');
  await scene.points(run, 'count', 5);
  assert.match((await containers()).join(), new RegExp(`^node\\d ${run.id}$`));
  await scene.cluster.run('scontrol', 'requeue', job);
  const ended = await scene.complete(run, 20);
  assert.equal(ended.scheduler?.restarts, 1);
  await nothingLeft(run);
});

test('its time is over: by the limit of the run, and by that of the job', { skip }, async () => {
  const forever = 'import time\nprint("up", flush=True)\ntime.sleep(3600)\n';
  const own = await script(forever, { maxRunDurationSeconds: 3 });
  const ofSlurm = await script(forever);
  const job = await scene.job(ofSlurm, 'RUNNING');
  await home.reaches(ofSlurm.id, 'Running');
  await scene.cluster.run('scontrol', 'update', `JobId=${job}`, 'TimeLimit=0:01');
  for (const run of [own, ofSlurm]) {
    const ended = await home.ended(run.id);
    assert.deepEqual([ended.status, ended.error?.code], ['Failed', 'time_limit'], JSON.stringify(ended));
  }
  await nothingLeft(own, ofSlurm);
});

test('several processes in one container', { skip }, async () => {
  const run = await script(
    `import os, runyard
print("rank", os.environ["RANK"], "of", os.environ["WORLD_SIZE"], flush=True)
runyard.log("rank", int(os.environ["RANK"]), step=0)
`,
    { framework: 'PyTorch', pyTorch: { processCount: 3 }, logRanks: 'all' },
  );
  completed(await home.ended(run.id));
  const { series } = await home.detail(run.id);
  assert.deepEqual(
    series.map(({ name, last }) => [name, last]),
    [
      ['rank', 0],
      ['rank/rank_1', 1],
      ['rank/rank_2', 2],
    ],
  );
  const waiting = await script(counting(10, 5), { framework: 'PyTorch', pyTorch: { processCount: 2 } });
  await scene.points(waiting, 'count', 5);
  await home.cancel(waiting.id);
  assert.equal((await home.ended(waiting.id)).status, 'Canceled');
  await nothingLeft(run, waiting);
});

test('a supervisor that was killed: its container goes with the next job there', { skip }, async () => {
  const run = await script(counting(10, 5), { slurm: { options: ['--nodelist=node2'] } });
  const job = await scene.job(run, 'RUNNING');
  await scene.points(run, 'count', 5);
  const status = inHome(`.runyard/host/runs/${run.id}/attempts/1/status.json`);
  const { supervisor } = JSON.parse(readFileSync(status, 'utf8')) as { supervisor: { pid: number } };
  await scene.cluster.on('node2', 'kill', '-KILL', String(supervisor.pid));
  const ended = await home.ended(run.id);
  assert.deepEqual(
    [ended.status, ended.error?.code],
    ['Failed', 'supervisor_lost'],
    `${job} ${JSON.stringify(ended)}`,
  );
  assert.deepEqual(await containers(), [`node2 ${run.id}`]);
  // Nobody on the login node tries to reach it: the run is collected, and can be deleted.
  await home.client.call('deleteRun', { params: { workspace: 'default', run: run.id } });
  const next = await script('print("next")', { slurm: { options: ['--nodelist=node2'] } });
  completed(await home.ended(next.id));
  await nothingLeft(next);
});

test('what cannot be is refused, with why', { skip }, async () => {
  const refused = async (more: Partial<RunConfiguration>) => {
    const run = await script('print(1)', more);
    const ended = await home.ended(run.id);
    assert.equal(ended.status, 'Failed', JSON.stringify(ended));
    return `${ended.error?.code}: ${ended.error?.message}`;
  };
  assert.match(await refused({ nodeCount: 2 }), /^environment: .*asks for 2 nodes, and an image/);
  const baseDockerfile = `FROM ${testImage}\nRUN true\n`;
  assert.match(
    await refused({ docker: { useDocker: true, baseDockerfile } }),
    /^environment: Images are not built on a cluster.*push it to a registry/s,
  );
  const chosen = (name: string) => refused({ environmentVariables: { RUNYARD_ENGINE: name } });
  assert.match(await chosen('apptainer'), /^engine: RUNYARD_ENGINE asks for apptainer, which was not found/);
  assert.match(
    await refused({ slurm: { setup: ['export RUNYARD_ENGINE=singularity'] } }),
    /^engine: RUNYARD_ENGINE asks for singularity/,
  );
  assert.match(await chosen('lxc'), /^engine: RUNYARD_ENGINE is lxc, which is no engine/);
  assert.match(
    await refused({ docker: { useDocker: true, baseImage: '/home/mia/x.sif' } }),
    /^environment: The image \/home\/mia\/x.sif is a file, which Podman cannot run/,
  );
  // Where nodes share what Podman keeps, each would take the other's containers for ended.
  rmSync(inHome(storage));
  try {
    assert.match(
      await refused({}),
      /^engine: Podman on node\d keeps its containers in \/home\/mia\/.*nodes share/,
    );
  } finally {
    configure();
  }
  await nothingLeft();
});
