import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { RunPageView, Session } from './session.ts';

const endless = 'import time\nwhile True: time.sleep(0.2)\n';
/** One page of the tree and some more. */
const many = 55;

let session: Session;
before(async () => {
  session = await Session.open({
    files: { 'quick/train.py': 'print("quick")\n', 'endless/train.py': endless },
  });
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(() => session?.close());

async function submit(folder: string): Promise<string> {
  const client = await session.api();
  const run = await client.call('submitRun', {
    params: { workspace: 'default' },
    body: {
      folder: path.join(session.folder, folder),
      configuration: { script: 'train.py' },
      environment: { PATH: process.env['PATH'] ?? '' },
    },
  });
  return run.id;
}

test('runs that another client submits appear; a long list loads in pages of 50', async () => {
  const { window } = session;
  await window.showContainer('Runyard');
  await window.view('Experiments').getByText('Nothing has run in this workspace yet.').waitFor();
  await submit('quick');
  await window.treeRows('Experiments', 'quick').waitFor();
  for (let i = 1; i < many; i++) await submit('quick');
  await window.treeRows('Experiments', `quick ${many}`).waitFor();
  await window.reload();
  await window.treeRows('Experiments', `quick ${many}`).waitFor();
  await window.view('Experiments').locator('.monaco-list').press('End');
  const more = window.treeRows('Experiments', 'Load More');
  await more.waitFor();
  await more.click();
  await more.waitFor({ state: 'detached' });
  await window.view('Experiments').locator('.monaco-list').press('End');
  await window.treeRows('Experiments', 'quick 1').waitFor();
});

test('the palette: a run is asked for, canceled, and deleted with the keyboard', async () => {
  const { window } = session;
  await window.view('Experiments').locator('.monaco-list').press('Home');
  const id = await submit('endless');
  await window.treeRows('Experiments', 'endless').waitFor();
  const client = await session.api();
  const status = async () => {
    const run = await client.call('getRun', { params: { workspace: 'default', run: id } });
    return run.status;
  };
  await window.statusBarItem(/\d+ runs?/).waitFor();
  await window.runCommand('View: Close All Editors');
  await window.view('Experiments').locator('.monaco-list').press('Home');
  await window.view('Experiments').locator('.monaco-list').press('Escape');
  await window.runCommand('Runyard: Cancel Run');
  await window.quickInput.row('endless 1').waitFor();
  await window.quickInput.pick('endless 1');
  while ((await status()) !== 'Canceled') await window.page.waitForTimeout(100);
  await window.expandTreeRow('Experiments', 'endless');
  await window.treeRows('Experiments', 'endless 1').click();
  await new RunPageView(window).opened('endless 1');
  await window.treeRows('Experiments', 'endless 1').click();
  await window.view('Experiments').locator('.monaco-list').press('Delete');
  await window.dialog('Delete the run').waitFor();
  await window.dialogButton('Delete');
  await window.treeRows('Experiments', 'endless 1').waitFor({ state: 'detached' });
});

test('Download Run saves a zip', async () => {
  const { window } = session;
  await window.view('Experiments').locator('.monaco-list').press('Home');
  await window.contextMenu(window.treeRows('Experiments', `quick ${many}`), 'Download Run...');
  await window.quickInput.waitUntilOpen();
  // The dialog proposes a file of its own a moment after it has opened.
  while (!(await window.quickInput.input.inputValue()).endsWith('.zip')) {
    await window.page.waitForTimeout(50);
  }
  const file = path.join(session.folder, 'run.zip');
  await window.quickInput.type(file);
  await window.quickInput.accept();
  await window.notification('run.zip is complete').waitFor();
  assert.ok(existsSync(file) && statSync(file).size > 100);
});

test('workspaces: create, use, and delete one with all that is in it', async () => {
  const { window } = session;
  await window.runCommand('Runyard: Create Workspace...');
  await window.quickInput.type('bad name');
  await window.quickInput.message().getByText('Use letters, digits').waitFor();
  await window.quickInput.type('second');
  await window.quickInput.accept();
  const row = window.treeRows('Workspaces', 'second');
  await row.getByText('current').waitFor();
  await window.view('Experiments').getByText('Nothing has run in this workspace yet.').waitFor();
  await window.contextMenu(window.treeRows('Workspaces', 'default'), 'Use Workspace');
  await window.treeRows('Experiments', 'quick').waitFor();
  await window.contextMenu(row, 'Delete Workspace...');
  await window.dialogButton('Delete');
  await row.waitFor({ state: 'detached' });
  assert.equal(existsSync(path.join(session.home, 'workspaces/second')), false);
});

test('the server is killed: views and pages go on with the next one', async () => {
  const { window } = session;
  const id = await submit('endless');
  await window.treeRows('Experiments', 'endless').waitFor();
  await window.expandTreeRow('Experiments', 'endless');
  const page = await RunPageView.openFromTree(window, /^endless \d$/, 'endless');
  await page.status('Running').waitFor();
  const client = await session.api();
  const { pid } = await client.call('getServer');
  process.kill(pid, 'SIGKILL');
  await page.action('cancel').click();
  await page.status('Canceled').waitFor();
  const run = await client.call('getRun', { params: { workspace: 'default', run: id } });
  assert.equal(run.status, 'Canceled');
  assert.notEqual((await client.call('getServer')).pid, pid);
});

test('an experiment is deleted with its runs', async () => {
  const { window } = session;
  await window.contextMenu(window.treeRows('Experiments', 'quick'), 'Delete Experiment...');
  await window.dialog(`with its ${many} runs`).waitFor();
  await window.dialogButton('Delete');
  await window.treeRows('Experiments', 'quick').waitFor({ state: 'detached' });
});
