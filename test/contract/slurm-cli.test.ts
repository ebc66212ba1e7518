import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Compute, ConnectionTest } from '../../src/api/compute.ts';
import type { Run } from '../../src/api/entities.ts';
import { SlurmCluster, skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { SshHosts, skipWithoutSshHosts, type SshConfig } from '../rig/ssh-hosts.ts';
import { runCli, TestHome } from '../support/home.ts';

// A Slurm cluster from the command line, as a person at a terminal has it.
const skip = skipWithoutSlurm() || skipWithoutSshHosts();
const home = new TestHome();
let hosts: SshHosts;
let cluster: SlurmCluster;
let config: SshConfig;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  cluster = await SlurmCluster.start({ hosts, gres: 'gpu:a100:2' });
  config = hosts.sshConfig();
});
after(async () => {
  await home.close();
  await cluster?.close();
  await hosts?.close();
});

async function said(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(home.dir, args);
  assert.equal(code, 0, stderr + stdout);
  return stdout;
}

async function json<T>(...args: string[]): Promise<T> {
  return JSON.parse(await said(...args, '--json')) as T;
}

const stepOf = ({ steps }: ConnectionTest, id: string) => steps.find((step) => step.id === id);

test('a login node that is used directly is said, with the change that mends it', { skip }, async () => {
  await json('compute', 'add', 'login', '--ssh-config', config.file);
  const result = await json<ConnectionTest>('compute', 'test', 'login');
  assert.ok(result.ok, JSON.stringify(result.steps));
  const step = stepOf(result, 'login-node');
  assert.equal(step?.state, 'warning');
  assert.deepEqual(step?.fix, { scheduler: 'slurm' });
  assert.ok(stepOf(result, 'survival'));
  assert.equal(stepOf(result, 'slurm'), undefined);
  const { facts } = await json<Compute>('compute', 'show', 'login');
  assert.match(facts?.slurm ?? '', /\d+\.\d+/);
});

test('a cluster is added, tested, shown and changed', { skip }, async () => {
  const add = ['compute', 'add', 'hpc', 'login', '--ssh-config', config.file, '--scheduler', 'slurm'];
  await json(...add, '--partition', 'main', '--sbatch', '--exclusive', '--sbatch=--nice=3');
  const result = await json<ConnectionTest>('compute', 'test', 'hpc');
  assert.ok(result.ok, JSON.stringify(result.steps));
  assert.match(stepOf(result, 'slurm')?.detail ?? '', /^Slurm \d.*cluster rig, 4 partitions/);
  assert.match(stepOf(result, 'partition')?.detail ?? '', /^main: UP, 3 of 3 nodes idle/);
  assert.ok(stepOf(result, 'shared'));
  for (const id of ['survival', 'login-node', 'queue']) assert.equal(stepOf(result, id), undefined);

  const text = await said('compute', 'partitions', 'hpc');
  assert.match(text, /^PARTITION +STATE +TIME LIMIT +NODES IDLE/);
  assert.match(text, /^main\* +UP +\S+ +3\/3 +12\/12 .*a100 [?6]\/6$/m);
  assert.match(await said('compute', 'show', 'hpc'), /^scheduler +slurm \d/m);
  assert.match(await said('compute', 'list'), /^hpc +\S+ +slurm +connected +0 +0 /m);

  // What is not named stays; what is empty goes back.
  const { settings } = await json<Compute>('compute', 'edit', 'hpc', '--qos', 'normal', '--sbatch', '');
  assert.deepEqual([settings?.slurm.partition, settings?.slurm.qos], ['main', 'normal']);
  assert.deepEqual(settings?.slurm.options, []);
  const back = await json<Compute>('compute', 'edit', 'hpc', '--qos', '');
  assert.equal(back.settings?.slurm.qos, null);
  assert.equal(back.settings?.scheduler, 'slurm');
});

test('what cannot work is found out by the test', { skip }, async () => {
  await json('compute', 'edit', 'hpc', '--partition', 'long');
  const { code, stdout } = await runCli(home.dir, ['compute', 'test', 'hpc']);
  assert.equal(code, 1);
  assert.match(stdout, /^FAIL {2}Partition: There is no partition long\. There are: .*main/m);
  await json('compute', 'edit', 'hpc', '--partition', 'main');

  const line = await runCli(home.dir, ['compute', 'edit', 'hpc', '--sbatch=--comment=mine']);
  assert.match(line.stderr, /"--comment=mine" of slurm\.options cannot be used: the run is found by it/);

  const refused = await runCli(home.dir, ['compute', 'partitions', 'local']);
  assert.match(refused.stderr, /local is no Slurm cluster/);
  const two = await runCli(home.dir, ['compute', 'add', 'both', 'login', '--local']);
  assert.match(two.stderr, /--local is this machine/);
});

test('a run on two nodes, and what is said of its job', { skip }, async () => {
  const source = `
import os, time
print(os.environ["RANK"], os.uname()[1], flush=True)
while not os.path.exists(os.path.expanduser("~/go-on")): time.sleep(0.1)
`;
  const folder = home.folder('two', { 'where.py': source });
  const submit = ['run', 'submit', folder, '--compute', 'hpc', '--script', 'where.py'];
  const run = await json<Run>(...submit, '--nodes', '2', '--time', '5', '--sbatch', '--nice=7');
  await home.until(run.id, 'on its nodes', ({ status, scheduler }) => {
    return status === 'Running' && scheduler?.state === 'RUNNING' && scheduler.timeLimitAt !== null;
  });
  const shown = await said('run', 'show', run.id);
  assert.match(shown, /^slurm job +\d+$/m);
  assert.match(shown, /^slurm state +RUNNING$/m);
  assert.match(shown, /^partition +main$/m);
  assert.match(shown, /^nodes +node\[1-2\]$/m);
  assert.match(shown, /^time limit +\d{4}-/m);
  await cluster.login.shell(`touch ${cluster.login.homePath}/go-on`);
  const detail = await home.ended(run.id);
  assert.equal(detail.status, 'Completed', JSON.stringify(detail.error));
  assert.deepEqual(
    [detail.configuration.nodeCount, detail.configuration.slurm],
    [2, { time: '5', options: ['--nice=7'] }],
  );
  assert.match(await said('run', 'logs', run.id), /^0 node\d$/m);
  assert.match(await said('run', 'logs', run.id, '--rank', '1'), /^1 node\d$/m);
  assert.doesNotMatch(await said('run', 'show', run.id), /^slurm state/m);
});

test('a job that waits says where it stands; several nodes take a cluster', { skip }, async () => {
  const folder = home.folder('wait', { 'wait.py': 'print("never")\n' });
  const submit = ['run', 'submit', folder, '--script', 'wait.py'];
  const run = await json<Run>(...submit, '--compute', 'hpc', '--sbatch', '--hold');
  const { scheduler } = await home.until(run.id, 'held', (now) => now.scheduler?.reason === 'JobHeldUser');
  assert.ok(scheduler!.job > 0);
  assert.match(await said('run', 'show', run.id), /^slurm state +PENDING \(JobHeldUser\)$/m);
  await json('run', 'cancel', run.id, '--wait');

  const alone = await runCli(home.dir, [...submit, '--nodes', '2']);
  assert.equal(alone.code, 2);
  assert.match(alone.stderr, /asks for 2 nodes; the compute target local is one machine/);
  const bad = await runCli(home.dir, [...submit, '--compute', 'hpc', '--sbatch', '--array=1-3']);
  assert.equal(bad.code, 2);
  assert.match(bad.stderr, /"--array=1-3" of slurm\.options cannot be used: a run is one job/);
});

test('who follows a run that is requeued sees both logs, and where it is', { skip }, async () => {
  const source = `
import os, time
print("attempt", os.environ["RUNYARD_ATTEMPT"], "and a line that is as long as any", flush=True)
mark = os.path.expanduser("~/second")
while not os.path.exists(mark): time.sleep(0.1)
`;
  const folder = home.folder('again', { 'again.py': source });
  const following = runCli(home.dir, [
    ...['run', 'submit', folder, '--compute', 'hpc', '--script', 'again.py', '--name', 'again', '--follow'],
  ]);
  let run: Run | undefined;
  while (!run) run = (await json<Run[]>('run', 'list')).find(({ displayName }) => displayName === 'again');
  const { scheduler } = await home.until(run.id, 'running', ({ status, scheduler: job }) => {
    return status === 'Running' && job?.state === 'RUNNING';
  });
  while (!(await said('run', 'logs', run.id)).includes('attempt 1'));
  await cluster.run('scontrol', 'requeue', String(scheduler!.job));
  await home.until(run.id, 'again', ({ status, attempts }) => status === 'Running' && attempts === 2);
  await cluster.login.shell(`touch ${cluster.login.homePath}/second`);
  const { code, stdout, stderr } = await following;
  assert.equal(code, 0, stderr);
  const attempts = [...stdout.matchAll(/^attempt (\d)/gm)].map(([, number]) => number);
  assert.deepEqual(attempts, ['1', '2'], stdout);
  assert.match(stderr, new RegExp(`Running {2}On node\\d \\(job ${scheduler!.job}\\)$`, 'm'));
  assert.match(stderr, /Running {2}On node\d \(job \d+\), attempt 2$/m);
  assert.match(await said('run', 'logs', run.id, '--attempt', '1'), /^attempt 1/m);
  assert.match(await said('run', 'logs', run.id, '--attempt', '2'), /^attempt 2/m);
  const none = await runCli(home.dir, ['run', 'logs', run.id, '--attempt', '3']);
  assert.match(none.stderr, /There is no attempt 3: the run has had 2/);
});

test('what ran on the login node itself is a job once its target is a cluster', { skip }, async () => {
  const folder = home.folder('moved', { 'where.py': 'import os\nprint("on", os.uname()[1])\n' });
  const run = await json<Run>(
    'run',
    'submit',
    folder,
    '--compute',
    'login',
    '--script',
    'where.py',
    '--wait',
  );
  assert.equal(await said('run', 'logs', run.id), 'on login\n');
  await json('compute', 'edit', 'login', '--scheduler', 'slurm');
  const job = await json<Run>('run', 'rerun', run.id, '--wait');
  assert.match(await said('run', 'logs', job.id), /^on node\d$/m);
  await json('compute', 'edit', 'login', '--scheduler', 'direct');
  const back = await json<Run>('run', 'rerun', job.id, '--wait');
  assert.equal(await said('run', 'logs', back.id), 'on login\n');
});
