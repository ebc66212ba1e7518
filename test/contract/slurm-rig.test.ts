import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createInterface } from 'node:readline';
import { SlurmCluster, skipWithoutMemoryLimits, skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { skipWithoutSshHosts, SshHosts } from '../rig/ssh-hosts.ts';

const skip = skipWithoutSlurm() || skipWithoutSshHosts();
const longestMs = 180_000;

let hosts: SshHosts;
let cluster: SlurmCluster;
before(async () => {
  if (skip !== false) return;
  hosts = await SshHosts.open();
  cluster = await SlurmCluster.start({ hosts });
});
after(() => hosts?.close());

async function until(
  what: string | (() => string),
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + longestMs;
  while (!(await condition())) {
    if (Date.now() > deadline) assert.fail(`it never came that ${typeof what === 'string' ? what : what()}`);
    await sleep(100);
  }
}

/** Submits a line of shell as the login node's user; the job's number. */
async function submit(options: string, line: string): Promise<string> {
  const command = `sbatch --parsable -o '%j.out' ${options} --wrap '${line}'`;
  const { stdout, stderr } = await hosts.ssh(hosts.sshConfig(), cluster.login, command);
  assert.match(stdout, /^\d+\n$/, stderr);
  return stdout.trim();
}

async function is(id: string, ...states: string[]): Promise<void> {
  let last = '';
  const what = () => `job ${id} is ${states.join(' or ')}, it is ${last}`;
  await until(what, async () => {
    last = (await cluster.job(id))['JobState'] ?? '';
    return states.includes(last);
  });
}

function written(id: string): string {
  const file = path.join(cluster.login.homeDir, `${id}.out`);
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

test('a person signs in, submits a job and sees it; nodes are machines of their own', { skip }, async () => {
  const id = await submit(
    '-N3',
    'id -un; pwd; srun sh -c "hostname; cat /proc/sys/kernel/random/boot_id; ls -A /tmp"',
  );
  await is(id, 'COMPLETED');
  const lines = written(id).trim().split('\n');
  assert.deepEqual(lines.slice(0, 2), ['mia', '/home/mia']);
  assert.deepEqual(lines.filter((line) => line.startsWith('node')).sort(), cluster.nodes);
  // Host names and boot ids all differ; each /tmp is empty.
  assert.equal(new Set(lines.slice(2)).size, 6, written(id));
  assert.equal(lines.length, 8);
  const { stdout } = await hosts.ssh(
    hosts.sshConfig(),
    cluster.login,
    `squeue -h -t all -j ${id} -o "%T %u"`,
  );
  assert.equal(stdout, 'COMPLETED mia\n');
  const mine = (await cluster.jobs()).find((job) => job.id === id);
  assert.equal(`${mine?.state} ${mine?.user} ${mine?.nodes}`, 'COMPLETED mia node[1-3]');
});

test('steps run beside each other on all nodes; the kinds of MPI are told', { skip }, async () => {
  const id = await submit('-N3 -n3', 'srun --overlap sleep 600 & srun --overlap -l hostname; kill $!; wait');
  await is(id, 'COMPLETED');
  for (const [task, node] of cluster.nodes.entries())
    assert.match(written(id), new RegExp(`^${task}: ${node}$`, 'm'));
  assert.match(await cluster.run('sh', '-c', 'srun --mpi=list 2>&1'), /pmi2/);
});

test('a job is requeued by command, counts its restarts and runs again', { skip }, async () => {
  const id = await submit('--open-mode=append', 'echo start $SLURM_RESTART_COUNT; sleep 600');
  await until('it has begun', () => written(id).includes('start'));
  await cluster.run('scontrol', 'requeue', id);
  await until('it begins again', () => written(id).includes('start 1'));
  assert.match(written(id), /DUE TO JOB REQUEUE/);
  assert.equal((await cluster.job(id))['Restarts'], '1');
  await cluster.run('scancel', id);
  await is(id, 'CANCELLED');
});

test('a held job waits until it is released', { skip }, async () => {
  const id = await submit('-H', 'true');
  const held = await cluster.job(id);
  assert.equal(`${held['JobState']} ${held['Reason']}`, 'PENDING JobHeldUser');
  await cluster.run('scontrol', 'release', id);
  await is(id, 'COMPLETED');
});

test('a partition has a time limit', { skip }, async () => {
  const id = await submit('-p short', 'sleep 3600');
  await is(id, 'TIMEOUT');
  assert.equal((await cluster.job(id))['Reason'], 'TimeLimit');
});

test('a job of more importance takes the nodes of another one', { skip }, async () => {
  const low = await submit(
    '-p low -N3 -n12 --open-mode=append',
    'echo start $SLURM_RESTART_COUNT; sleep 600',
  );
  await until('it has begun', () => written(low).includes('start'));
  const high = await submit('-p high -N3 -n12', 'true');
  await is(high, 'COMPLETED');
  await until('it begins again', () => written(low).includes('start 1'));
  await cluster.run('scancel', low);
  await is(low, 'CANCELLED');
});

for (const power of [true, false]) {
  const what = power ? 'that lost its power' : 'whose slurmd was killed';
  test(`a job of a node ${what} runs again elsewhere`, { skip }, async () => {
    const id = await submit(
      '--open-mode=append',
      'echo start $SLURM_RESTART_COUNT $(hostname); exec sleep 12345',
    );
    await until('it has begun', () => written(id).includes('start'));
    const node = (await cluster.job(id))['NodeList']!;
    await until('it sleeps', async () => (await sleepers(node)) === 1);
    await cluster.killNode(node, { power });
    await until('it begins again', () => /start 1 node/.test(written(id)));
    assert.ok(!written(id).includes(`start 1 ${node}`));
    // Without its slurmd nobody has ended what ran there.
    if (!power) assert.equal(await sleepers(node), 1);
    await cluster.startNode(node);
    await until('nothing of it is left', async () => (await sleepers(node)) === 0);
    await cluster.run('scancel', id);
    await is(id, 'CANCELLED');
  });
}

async function sleepers(node: string): Promise<number> {
  const count = await cluster.on(node, 'sh', '-c', 'pgrep -c -x -f "sleep 12345" || true');
  return Number(count);
}

test('a node that cannot be reached comes back', { skip }, async () => {
  const down = async (): Promise<string> =>
    cluster.run('sinfo', '-h', '-N', '-p', 'main', '-n', 'node2', '-o', '%T');
  await cluster.cutNode('node2');
  await until('it is down', async () => (await down()).startsWith('down'));
  await cluster.mendNode('node2');
  await until('it is back', async () => (await down()) === 'idle');
});

/** slurmctld writes down what is new after some seconds; what is not written a kill makes it forget. */
async function saved(id: string): Promise<void> {
  const mark = `saved-${id}`;
  await cluster.run('scontrol', 'update', `jobid=${id}`, `comment=${mark}`);
  await until('the job is written down', async () => {
    const { code } = await cluster.try('grep', '-q', mark, '/srv/cluster/state/job_state');
    return code === 0;
  });
}

for (const kill of [false, true]) {
  test(`a job survives that slurmctld is ${kill ? 'killed' : 'stopped'} and started`, { skip }, async () => {
    const id = await submit('', 'echo start; until [ -e go ]; do sleep 0.2; done; rm go; echo end');
    await until('it has begun', () => written(id).includes('start'));
    if (kill) await saved(id);
    await cluster.stopController({ kill });
    const { stdout } = await cluster.try('scontrol', 'ping');
    assert.match(stdout, /is DOWN/);
    await cluster.startController();
    assert.equal((await cluster.job(id))['JobState'], 'RUNNING');
    await cluster.login.output(['touch', '/home/mia/go']);
    await is(id, 'COMPLETED');
    assert.equal(written(id), 'start\nend\n');
    assert.equal((await cluster.job(id))['Restarts'], '0');
  });
}

test('questions to Slurm are counted', { skip }, async () => {
  const first = await cluster.countCalls();
  for (const command of ['squeue', 'squeue -u mia', 'sinfo', 'squeue -t all -h -o %i'])
    await hosts.ssh(hosts.sshConfig(), cluster.login, command);
  assert.equal(await cluster.countCalls(), first + 4);
});

test('a cut link parts the person from the login node, and jobs go on', { skip }, async () => {
  const id = await submit('', 'sleep 1; echo end');
  await cluster.login.cut();
  await is(id, 'COMPLETED');
  await cluster.login.mend();
  const { stdout } = await hosts.ssh(hosts.sshConfig(), cluster.login, `cat ${id}.out`);
  assert.equal(stdout, 'end\n');
});

/** Processes that were started with a word on their line, in mounts that have something of a folder. */
function inside(folder: string, word = ''): string[] {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const line = readFileSync(`/proc/${name}/cmdline`, 'latin1');
      const mounts = readFileSync(`/proc/${name}/mountinfo`, 'latin1');
      return line.includes(word) && (mounts.includes(folder) || line.includes(folder));
    } catch {
      return false;
    }
  });
}

test('a local cluster is used by processes of this machine, with GPUs that are none', { skip }, async () => {
  const own = mkdtempSync(path.join(os.tmpdir(), 'ry-slurm-rig-'));
  const local = await SlurmCluster.start({ nodes: ['a1', 'a2'], gres: 'gpu:a100:2', cpusPerNode: 6 });
  try {
    const { bin, prefix } = local.local;
    const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}` };
    // srun here goes inside, srun in the job is there already.
    const line = 'hostname; echo $CUDA_VISIBLE_DEVICES; echo $SLURM_CPUS_ON_NODE; srun hostname';
    const options = ['--wait', '--gres=gpu:a100:2', '-n1', '--exclusive', '-o', `${own}/out`, '--wrap', line];
    execFileSync('sbatch', options, { cwd: own, env, stdio: 'ignore' });
    assert.equal(readFileSync(`${own}/out`, 'utf8'), 'a1\n0,1\n6\na1\n');
    const [enter, ...more] = prefix;
    const out = execFileSync(enter!, [...more, 'sh', '-c', 'pwd; srun -N2 -n2 hostname | sort'], {
      cwd: own,
    });
    assert.equal(out.toString(), `${own}\na1\na2\n`);
  } finally {
    await local.close();
    rmSync(own, { recursive: true });
  }
  assert.ok(!existsSync(local.local.folder));
  assert.deepEqual(inside(local.local.folder), []);
});

for (const end of ['stdin', 'SIGKILL'] as const) {
  test(`a cluster of the command line goes with ${end}, with all its jobs`, { skip }, async () => {
    const script = path.join(import.meta.dirname, '../rig/slurm/start-cluster.ts');
    const child = spawn(process.execPath, [script, '{"nodes": ["n1"]}'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const next = async (): Promise<Record<string, unknown>> =>
      JSON.parse(((await lines.next()) as { value: string }).value) as Record<string, unknown>;
    const { bin, folder } = (await next()) as { bin: string; folder: string };
    const sbatch = path.join(bin, 'sbatch');
    execFileSync(sbatch, ['-o', '/dev/null', '--wrap', 'setsid sleep 23456 & sleep 23456']);
    await until('its job runs', () => inside(folder, 'sleep\x0023456').length === 2);
    child.stdin.write('{"do": "killNode", "with": ["n1"]}\n{"do": "jobs"}\n{"do": "nothing"}\n');
    assert.deepEqual(await next(), { result: null });
    assert.equal(((await next())['result'] as { state: string }[])[0]!.state, 'RUNNING');
    assert.match(String((await next())['error']), /there is no nothing/);
    if (end === 'stdin') child.stdin.end();
    else child.kill('SIGKILL');
    await once(child, 'close');
    await until('its folder is gone', () => !existsSync(folder));
    await until('its processes are gone', () => inside(folder).length === 0);
    assert.ok(!readFileSync('/proc/self/mounts', 'utf8').includes(folder));
  });
}

test('a job that takes too much memory is out of it', { skip: skipWithoutMemoryLimits() }, async () => {
  const more = await SshHosts.open();
  const other = await SlurmCluster.start({ hosts: more, nodes: ['m1'], memoryLimits: true });
  try {
    const much = 'python3 -c "print(len(bytearray(300 << 20)))"; echo "ended with $?"';
    const argv = ['sbatch', '--parsable', '--wait', '--mem=100', '-o', '/tmp/out', '--wrap', much];
    const { stdout, code } = await other.try(...argv);
    assert.notEqual(code, 0);
    const { JobState, Reason } = await other.job(stdout.trim());
    assert.equal(`${JobState} ${Reason}`, 'OUT_OF_MEMORY OutOfMemory');
    assert.match(await other.on('m1', 'cat', '/tmp/out'), /ended with 137\n.*oom-kill event/s);
  } finally {
    await more.close();
  }
});

test('a cluster that is closed leaves nothing, on its login node neither', { skip }, async () => {
  const more = await SshHosts.open();
  const folder = more.base;
  const second = await SlurmCluster.start({ hosts: more, name: 'second' });
  // Two clusters side by side do not know of each other.
  assert.deepEqual(await second.jobs(), []);
  await second.run('sbatch', '-o', '/dev/null', '--wrap', 'sleep 34567');
  await until('its job runs', () => inside(folder, 'sleep\x0034567').length === 1);
  await more.close();
  assert.ok(!existsSync(folder));
  assert.deepEqual(inside(folder), []);
});
