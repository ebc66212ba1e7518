import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { isTerminal, type RunStatus } from '../../src/api/run-status.ts';
import { SshHosts, skipWithoutSshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { RunPageView, Session } from './session.ts';

const brief = `
import socket, runyard
print("runs on", socket.gethostname())
runyard.log("answer", 42)
`;

const waiting = `
import os, time
while not os.path.exists(os.path.expanduser("~/go-on")): time.sleep(0.1)
`;

/** More than is brought into the workspace by itself; holes cost the disk of the host nothing. */
const big = `
import os
os.makedirs("outputs", exist_ok=True)
with open("outputs/model.bin", "wb") as file: file.truncate(257 * 1024 * 1024)
`;

const skip = skipWithoutSshHosts();
let hosts: SshHosts;
let gpu: SshHost;
let locked: SshHost;
let config: SshConfig;
let session: Session;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  [gpu, locked] = await Promise.all([
    hosts.start({ name: 'gpu' }),
    hosts.start({ name: 'locked', signIn: ['password'] }),
  ]);
  config = hosts.sshConfig({ known: false });
  session = await Session.open({
    files: { 'plain/train.py': brief, 'waiting/train.py': waiting, 'big/train.py': big },
    machineSettings: { 'runyard.sshConfigFile': config.file },
  });
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(async () => {
  await session?.close();
  await hosts?.close();
});

async function showCompute(): Promise<void> {
  const { window } = session;
  await window.showContainer('Runyard');
  await window.expandView('Compute');
}

/** Answers the three questions of *Add Compute*. */
async function add(host: string): Promise<void> {
  const { quickInput } = session.window;
  await quickInput.waitUntilOpen({ title: 'Add Compute (1/3)' });
  await quickInput.pick(new RegExp(`\\b${host}$`));
  await quickInput.waitUntilOpen({ title: `Add Compute: ${host} (2/3)` });
  await quickInput.accept();
  await quickInput.waitUntilOpen({ title: `Add Compute: ${host} (3/3)` });
  await quickInput.pick(/Add and Test Connection$/);
}

test('with this machine only the view offers to add a host', { skip }, async () => {
  const { window } = session;
  await showCompute();
  await window.treeRows('Compute', 'local').waitFor();
  await window.treeRows('Compute', 'Add Compute...').click();
  await window.quickInput.waitUntilOpen({ title: 'Add Compute (1/3)' });
  await window.quickInput
    .row(/\bgpu$/)
    .getByText(`mia@${gpu.address}`)
    .waitFor();
  await window.quickInput.cancel();
});

test(
  'a host is added; its unknown key is asked about, recorded, and the test is shown',
  { skip },
  async () => {
    const { window } = session;
    await showCompute();
    await window.treeRows('Compute', 'Add Compute...').click();
    await add('gpu');
    await window
      .dialog('Trust the host key')
      .getByText(await gpu.fingerprint())
      .waitFor();
    await window.dialogButton('Trust and Connect');
    const page = window.webview();
    await page.locator('.summary.ok').waitFor();
    assert.equal(await page.locator('li.failed').count(), 0);
    await page.locator('li.ok', { hasText: 'Runs outlive the connection' }).waitFor();
    await window.treeRows('Compute', 'gpu').getByText('0/').waitFor();
    assert.match(await readFile(config.knownHosts, 'utf8'), new RegExp(gpu.address.replaceAll('.', '\\.')));
    await window.treeRows('Compute', 'Add Compute...').waitFor({ state: 'hidden' });
  },
);

test('a run is submitted to it, and completes there', { skip }, async () => {
  const { window } = session;
  await session.askToSubmit('plain');
  await session.step(1);
  await window.quickInput.accept();
  await session.step(2);
  await window.quickInput.accept();
  await session.step(3);
  await window.quickInput
    .row(/^\s*gpu$/)
    .getByText('running')
    .waitFor();
  await window.quickInput.pick(/^\s*gpu$/);
  await session.step(4);
  await window.quickInput.row(/Interpreter: python3 of gpu/).waitFor();
  await window.quickInput.accept();
  await session.step(5);
  await window.quickInput.accept();
  const page = new RunPageView(window);
  await page.opened('plain 1');
  await page.status('Completed').waitFor();
  await page.tab('log').click();
  await page.frame.getByText('runs on gpu').waitFor();
});

test(
  'a password is asked for until it is right, kept, and given silently to the next server',
  { skip },
  async () => {
    const { window } = session;
    const { quickInput } = window;
    await window.runCommand('Runyard: Add Compute...');
    await add('locked');
    await window.dialog('Trust the host key').waitFor();
    await window.dialogButton('Trust and Connect');
    const password = quickInput.input.and(window.page.locator('[type=password]'));
    await password.waitFor();
    await quickInput.type('a wrong one');
    await quickInput.accept();
    await quickInput.message().getByText('The password was not right.').waitFor();
    await quickInput.type(locked.password);
    await quickInput.accept();
    await window.webview().locator('.summary.ok', { hasText: 'locked' }).waitFor();
    await window.treeRows('Compute', 'locked').getByText('running').waitFor();

    await restartServer();
    const accepted = () => locked.log().split('Accepted password').length;
    const before = accepted();
    await window.treeRows('Compute', 'locked').getByText('not connected').waitFor();
    await window.contextMenu(window.treeRows('Compute', 'locked'), 'Connect / Sign In');
    await window.treeRows('Compute', 'locked').getByText('running').waitFor();
    assert.equal(accepted(), before + 1);
    assert.equal(await password.count(), 0);
  },
);

test(
  'a run goes on over a new server without a question: the password is given from the store',
  { skip },
  async () => {
    const { window } = session;
    const client = await session.api();
    const run = await client.call('submitRun', {
      params: { workspace: 'default' },
      body: {
        folder: `${session.folder}/waiting`,
        experiment: 'waiting',
        configuration: { target: 'locked', script: 'train.py' },
      },
    });
    await reached(run.id, 'Running');
    await restartServer();
    await locked.shell(`touch ${locked.homePath}/go-on`);
    await reached(run.id, 'Completed');
    assert.equal(await window.quickInput.input.count(), 0);
    assert.equal(await window.notification('waits for you').count(), 0);
  },
);

test('two windows ask; an answer in one closes the question of the other', { skip }, async () => {
  const { window } = session;
  const client = await session.api();
  const body = { name: 'again', host: 'locked', user: 'root', configFile: config.file };
  await client.call('addCompute', { body });
  const second = await session.openWindow();
  try {
    await second.showContainer('Runyard');
    await second.treeRows('Compute', 'again').waitFor();
    await second.contextMenu(second.treeRows('Compute', 'again'), 'Connect / Sign In');
    const asked = (one: typeof window) => one.quickInput.input.and(one.page.locator('[type=password]'));
    await asked(second).waitFor();
    await asked(window).waitFor();
    await window.quickInput.type(locked.password);
    await window.quickInput.accept();
    await second.quickInput.waitUntilClosed();
    await window.quickInput.waitUntilClosed();
    await second.treeRows('Compute', 'again').getByText('running').waitFor();
    assert.equal(await second.page.locator('.notification-toast .codicon-error').count(), 0);
  } finally {
    await second.close();
    await client.call('removeCompute', { params: { compute: 'again' } });
  }
});

test('a big output stays on the host until it is fetched', { skip }, async () => {
  const { window } = session;
  const client = await session.api();
  const run = await client.call('submitRun', {
    params: { workspace: 'default' },
    body: {
      folder: `${session.folder}/big`,
      experiment: 'big',
      configuration: { target: 'gpu', script: 'train.py' },
    },
  });
  await reached(run.id, 'Completed');
  await window.expandTreeRow('Experiments', 'big');
  const page = await RunPageView.openFromTree(window, 'big 1', 'big 1');
  await page.status('Completed').waitFor();
  await page.tab('files').click();
  const row = page.frame.locator('tr', { hasText: 'model.bin' });
  await row.getByText('on the host only').waitFor();
  await row.locator('button.link').click();
  await window.dialog('are on gpu only').waitFor();
  await window.dialogButton('Cancel');
  await row.locator('vscode-button[title="Fetch from Host"]').click();
  await window.notification('"outputs/model.bin" is in the workspace now.').first().waitFor();
  await row.getByText('on the host only').waitFor({ state: 'hidden' });
});

test('what is kept is forgotten: the password is asked for again', { skip }, async () => {
  const { window } = session;
  const { quickInput } = window;
  await window.runCommand('Runyard: Forget Secrets...');
  await quickInput.row(new RegExp(`mia@${locked.address}$`)).waitFor();
  await quickInput.accept();
  await window
    .notification(/(is|are) forgotten\./)
    .first()
    .waitFor();
  await restartServer();
  await window.treeRows('Compute', 'locked').getByText('not connected').waitFor();
  await window.contextMenu(window.treeRows('Compute', 'locked'), 'Connect / Sign In');
  await quickInput.input.and(window.page.locator('[type=password]')).waitFor();
  await quickInput.cancel();
  await window.treeRows('Compute', 'locked').getByText('waits for you').waitFor();
});

test('a host whose key has changed is refused, and the test says why', { skip }, async () => {
  const { window } = session;
  await gpu.changeHostKeys();
  await window.contextMenu(window.treeRows('Compute', 'gpu'), 'Test Connection');
  const page = window.webview();
  await page.locator('.summary.failed', { hasText: 'gpu' }).waitFor();
  const step = page.locator('li.failed');
  await step.getByText('is not the one that was recorded').waitFor();
  await step.locator('.todo', { hasText: 'ssh-keygen -R' }).waitFor();
  assert.equal(await window.dialog().count(), 0);
});

test('set-up lines are a document: to save it is to set them', { skip }, async () => {
  const { window } = session;
  await window.runCommand('View: Close All Editors');
  await window.contextMenu(window.treeRows('Compute', 'locked'), 'Edit Set-up Lines...');
  await session.fileTab('set-up.sh').waitFor();
  await window.page.locator('.monaco-editor.focused').waitFor();
  await window.page.keyboard.press('Control+End');
  await window.page.keyboard.type('export GREETING=hello');
  await window.page.keyboard.press('Control+s');
  await window.notification('The set-up lines of locked are saved').first().waitFor();
  const client = await session.api();
  const { settings } = await client.call('getCompute', { params: { compute: 'locked' } });
  assert.deepEqual(settings?.setup, ['export GREETING=hello']);
});

test('a target is edited and removed', { skip }, async () => {
  const { window } = session;
  const { quickInput } = window;
  const client = await session.api();
  await window.contextMenu(window.treeRows('Compute', 'locked'), 'Edit Compute...');
  await quickInput.pick('Runs at a time');
  await quickInput.waitUntilOpen({ title: 'locked: Runs at a time' });
  await quickInput.type('many');
  await quickInput.message().getByText('Enter a number').waitFor();
  await quickInput.type('3');
  await quickInput.accept();
  await quickInput.waitUntilOpen({ title: 'Settings of locked' });
  await quickInput.cancel();
  const { settings } = await client.call('getCompute', { params: { compute: 'locked' } });
  assert.equal(settings?.slots, 3);

  await window.contextMenu(window.treeRows('Compute', 'locked'), 'Remove Compute...');
  await window.dialogButton('Remove');
  await window.treeRows('Compute', 'locked').waitFor({ state: 'hidden' });
  const { computes } = await client.call('listComputes');
  assert.deepEqual(
    computes.map(({ name }) => name),
    ['local', 'gpu'],
  );
});

/** Waits until a run has this status; fails when it has ended with another one. */
async function reached(run: string, wanted: RunStatus): Promise<void> {
  const client = await session.api();
  const params = { workspace: 'default', run };
  for (;;) {
    const { status, statusReason, error } = await client.call('getRun', { params });
    if (status === wanted) return;
    if (isTerminal(status)) assert.fail(`${status}: ${statusReason} ${error?.message ?? ''}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Pictures of what a person sees; look at them. */
test('pictures of the view and of a test that failed', { skip }, async () => {
  const { window } = session;
  await window.runCommand('Runyard: Test Connection');
  await window.quickInput.pick(/\bgpu$/);
  await window.webview().locator('.summary.failed').waitFor();
  await window.treeRows('Compute', 'gpu').waitFor();
  for (const theme of ['light', 'dark', 'high-contrast'] as const) {
    await window.setTheme(theme);
    await window.runCommand('Notifications: Clear All Notifications');
    const file = await window.screenshot('compute', theme);
    assert.ok(statSync(file).size > 15_000, file);
  }
});

/** The server ends; the window starts the next one by itself. */
async function restartServer(): Promise<void> {
  const client = await session.api();
  const { pid } = await client.call('getServer');
  await client.call('drainServer', { body: {} });
  for (;;) {
    const now = await client.call('getServer').catch(() => undefined);
    if (now && now.pid !== pid) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
