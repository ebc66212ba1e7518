import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import type { RunDetail } from '../../src/api/entities.ts';
import { SlurmCluster, skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { SshHosts, skipWithoutSshHosts } from '../rig/ssh-hosts.ts';
import { RunPageView, Session } from './session.ts';

// A Slurm cluster as a person at the editor has it: added by its login node, looked at, used.
const themes = ['light', 'dark', 'high-contrast'] as const;
const brief = `
import os, runyard, time
while not os.path.exists(os.path.expanduser("~/go-on")): time.sleep(0.1)
print("rank", os.environ.get("RANK"), "on", os.uname()[1])
runyard.log("answer", 42)
`;
const endless = `
import os, time
print("attempt", os.environ["RUNYARD_ATTEMPT"], flush=True)
while True: time.sleep(0.1)
`;

const skip = skipWithoutSlurm() || skipWithoutSshHosts();
let hosts: SshHosts;
let cluster: SlurmCluster;
let session: Session;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  cluster = await SlurmCluster.start({ hosts, gres: 'gpu:a100:2' });
  session = await Session.open({
    files: { 'plain/train.py': brief, 'endless/train.py': endless },
    machineSettings: { 'runyard.sshConfigFile': hosts.sshConfig().file },
  });
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(async () => {
  await session?.close();
  await cluster?.close();
  await hosts?.close();
});

test(
  'a login node is added: it is asked how runs start there, and in which partition',
  { skip },
  async () => {
    const { window } = session;
    const { quickInput } = window;
    await window.showContainer('Runyard');
    await window.expandView('Compute');
    await window.treeRows('Compute', 'Add Compute...').click();
    await quickInput.waitUntilOpen({ title: 'Add Compute (1/3)' });
    await quickInput.row(/This machine is a Slurm login node/).waitFor();
    await quickInput.pick(/\blogin$/);
    await quickInput.waitUntilOpen({ title: 'Add Compute: login (2/3)' });
    await quickInput.accept();
    await quickInput.waitUntilOpen({ title: 'Add Compute: login (3/3)' });
    await quickInput.pick(/Add and Test Connection$/);
    await quickInput.waitUntilOpen({ title: 'login is a login node of a Slurm cluster' });
    await quickInput.row(/Run directly on this login node/).waitFor();
    taken(await window.screenshot('add-cluster-scheduler'));
    await quickInput.pick(/Slurm cluster: submit jobs to Slurm/);
    await quickInput.waitUntilOpen({ title: 'Partition of login' });
    await quickInput
      .row(/\bshort$/)
      .getByText('1 of 1 nodes idle · at most 1m 00s')
      .waitFor();
    taken(await window.screenshot('add-cluster-partition'));
    await quickInput.pick(/\bmain$/);
    const page = window.webview();
    // The rig's homes are shared, but not by a file system that says so.
    await page.locator('.summary.warning').waitFor();
    await page.locator('li.warning', { hasText: 'Folder that the nodes see' }).waitFor();
    assert.equal(await page.locator('li.failed').count(), 0);
    await page.locator('li.ok', { hasText: 'Partition' }).getByText('main: UP, 3 of 3 nodes idle').waitFor();
    const client = await session.api();
    const { settings } = await client.call('getCompute', { params: { compute: 'login' } });
    assert.deepEqual([settings?.scheduler, settings?.slurm.partition], ['slurm', 'main']);
  },
);

test('the view shows its partitions, and what is idle', { skip }, async () => {
  const { window } = session;
  await window.treeRows('Compute', 'login').getByText('Slurm: 3 of 3 nodes idle, 0 jobs running').waitFor();
  await window.expandTreeRow('Compute', 'login');
  await window.treeRows('Compute', 'main').getByText('chosen').waitFor();
  await window.treeRows('Compute', 'short').getByText('at most').waitFor();
  await window.treeRows('Compute', 'Your jobs').waitFor();
  const others = ['Workspaces', 'Experiments', 'Models'];
  for (const name of others) await window.view(name).locator('.pane-header').click();
  await pictures('slurm-compute');
  for (const name of others) await window.expandView(name);
});

test('a run is submitted to it, and its page says which job it is', { skip }, async () => {
  const { window } = session;
  const { quickInput } = window;
  await session.askToSubmit('plain');
  await session.step(1);
  await quickInput.accept();
  await session.step(2);
  await quickInput.accept();
  await session.step(3);
  await quickInput
    .row(/^\s*login$/)
    .getByText('Slurm: 3 of 3 nodes idle')
    .waitFor();
  // An image is the business of its nodes: whether they have an engine is not known here.
  await quickInput.pick(/Container on login$/);
  await session.step(4);
  await quickInput.type('python:3.12-slim');
  await quickInput.row(/python:3\.12-slim$/).waitFor();
  await quickInput.back();
  await session.step(3);
  await quickInput.pick(/^\s*login$/);
  await session.step(4);
  await quickInput.accept();
  await session.step(5);
  await quickInput.accept();
  const page = new RunPageView(window);
  await page.opened('plain 1');
  await page.status('Running').waitFor();
  await page.fact('Partition').getByText('main').waitFor();
  await page
    .fact('Nodes')
    .getByText(/^node\d$/)
    .waitFor();
  await page
    .fact('Job')
    .getByText(/^\d+, RUNNING/)
    .waitFor();
  await cluster.login.shell(`touch ${cluster.login.homePath}/go-on`);
  await page.status('Completed').waitFor();
});

test('a run that waits says its place, and one that was requeued its attempts', { skip }, async () => {
  const { window } = session;
  // All nodes are taken; the next one waits.
  const first = await submit('endless', { nodeCount: 3, slurm: { options: ['--exclusive'] } });
  await reached(first, ({ status }) => status === 'Running');
  const second = await submit('plain', { nodeCount: 2, slurm: { options: ['--exclusive'] } });
  await reached(second, ({ scheduler }) => scheduler?.position === 1 && scheduler.reason !== null);
  await window.runCommand('View: Close All Editors');
  await window.expandTreeRow('Experiments', 'plain');
  const page = await RunPageView.openFromTree(window, 'plain 2', 'plain 2');
  await page.fact('Place').getByText('1 in main').waitFor();
  await page
    .fact('Job')
    .getByText(/PENDING/)
    .waitFor();
  await window.treeRows('Compute', 'login').getByText('1 job running, 1 waiting').waitFor();
  await pictures('slurm-waiting');

  const { scheduler } = await reached(first, (run) => run.scheduler !== null);
  await cluster.run('scontrol', 'requeue', String(scheduler!.job));
  await reached(first, ({ attempts, status }) => attempts === 2 && status !== 'Running');
  await reached(second, ({ status }) => status === 'Completed');
  await reached(first, ({ status }) => status === 'Running');
  await window.expandTreeRow('Experiments', 'endless');
  const again = await RunPageView.openFromTree(window, 'endless 1', 'endless 1');
  await again.fact('Requeued').getByText('once').waitFor();
  await again.frame.locator('.timeline-attempt', { hasText: 'Attempt 2' }).waitFor();
  await again.fact('Nodes').getByText('node[1-3]').waitFor();
  await pictures('slurm-run');
  // The log is that of the attempt that runs; the one before stays in reach.
  await again.tab('log').click();
  await again.frame.locator('ry-log').getByText('attempt 2').waitFor();
  await again.frame.getByLabel('Log file').selectOption('attempts/1/user_logs/std_log.txt');
  await again.frame.locator('ry-log').getByText('attempt 1').waitFor();
  await session
    .api()
    .then((client) => client.call('cancelRun', { params: { workspace: 'default', run: first } }));
  await again.status('Canceled').waitFor();
});

test('the partition is changed by clicks; what Slurm does not know is found out', { skip }, async () => {
  const { window } = session;
  const { quickInput } = window;
  await window.contextMenu(window.treeRows('Compute', 'login'), 'Edit Compute...');
  await quickInput.pick('Slurm: Partition');
  await quickInput.waitUntilOpen({ title: 'login: Slurm: Partition' });
  await quickInput.pick(/\bshort$/);
  await quickInput.waitUntilOpen({ title: 'Settings of login' });
  await quickInput.pick('Slurm: Account');
  await quickInput.waitUntilOpen({ title: 'login: Slurm: Account' });
  await quickInput.type('team');
  await quickInput.accept();
  await quickInput.waitUntilOpen({ title: 'Settings of login' });
  await quickInput.cancel();
  const client = await session.api();
  const { settings } = await client.call('getCompute', { params: { compute: 'login' } });
  assert.deepEqual([settings?.slurm.partition, settings?.slurm.account], ['short', 'team']);
  assert.equal(settings?.scheduler, 'slurm');
});

test('Slurm that does not answer is said, in its own words', { skip }, async () => {
  const { window } = session;
  await cluster.stopController();
  await window
    .treeRows('Compute', 'login')
    .getByText(/Slurm does not answer/)
    .waitFor();
  await window.contextMenu(window.treeRows('Compute', 'login'), 'Test Connection');
  await window.webview().locator('li.failed', { hasText: 'Slurm' }).waitFor();
  await pictures('slurm-silent');
  await cluster.startController();
  await window.treeRows('Compute', 'login').getByText('nodes idle').waitFor();
});

/** A run of a folder, its id. */
async function submit(folder: string, configuration: object): Promise<string> {
  const client = await session.api();
  const run = await client.call('submitRun', {
    params: { workspace: 'default' },
    body: {
      folder: `${session.folder}/${folder}`,
      experiment: folder,
      configuration: { target: 'login', script: 'train.py', ...configuration },
    },
  });
  return run.id;
}

async function reached(run: string, wanted: (run: RunDetail) => boolean): Promise<RunDetail> {
  const client = await session.api();
  for (let tries = 0; ; tries++) {
    const detail = await client.call('getRun', { params: { workspace: 'default', run } });
    if (wanted(detail)) return detail;
    if (tries > 1200) assert.fail(JSON.stringify(detail, null, 1));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Pictures of what a person sees; look at them. */
async function pictures(name: string): Promise<void> {
  const { window } = session;
  for (const theme of themes) {
    await window.setTheme(theme);
    await window.runCommand('Notifications: Clear All Notifications');
    taken(await window.screenshot(name, theme));
  }
}

function taken(file: string): void {
  assert.ok(statSync(file).size > 15_000, file);
}
