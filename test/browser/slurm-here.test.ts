import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { SlurmCluster, skipWithoutSlurm } from '../rig/slurm/cluster.ts';
import { RunPageView, Session } from './session.ts';

// This machine as the login node of a cluster, by clicks.
const skip = skipWithoutSlurm();
let cluster: SlurmCluster;
let session: Session;
let shared: string;

before(async () => {
  if (skip) return;
  shared = mkdtempSync(path.join(os.tmpdir(), 'ry-shared-'));
  cluster = await SlurmCluster.start({ nodes: ['node1', 'node2'] });
  session = await Session.open({
    files: { 'where/train.py': 'import os\nprint("runs on", os.uname()[1])\n' },
  });
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(async () => {
  await session?.close();
  await cluster?.close();
  if (shared) rmSync(shared, { recursive: true, force: true });
});

test('this machine is added as a cluster; there is no host to open a terminal on', { skip }, async () => {
  const { window } = session;
  const { quickInput } = window;
  await window.showContainer('Runyard');
  await window.expandView('Compute');
  await window.treeRows('Compute', 'Add Compute...').click();
  await quickInput.waitUntilOpen({ title: 'Add Compute (1/3)' });
  await quickInput.pick(/This machine is a Slurm login node/);
  await quickInput.waitUntilOpen({ title: /\(2\/3\)/ });
  await quickInput.accept();
  await quickInput.waitUntilOpen({ title: 'Add Compute: cluster (3/3)' });
  await quickInput
    .row(/Folder on the host/)
    .getByText('~/.runyard/cluster')
    .waitFor();
  await quickInput.pick(/Folder on the host/);
  await quickInput.waitUntilOpen({ title: 'Folder on the host' });
  await quickInput.type(shared);
  await quickInput.accept();
  await quickInput.waitUntilOpen({ title: 'Add Compute: cluster (3/3)' });
  // As "module load slurm" would do it.
  await quickInput.pick(/Set-up lines/);
  await quickInput.waitUntilOpen({ title: 'Set-up line 1 of cluster' });
  await quickInput.type(`export PATH=${cluster.local.bin}:$PATH`);
  await quickInput.accept();
  await quickInput.waitUntilOpen({ title: 'Set-up line 2 of cluster' });
  await quickInput.accept();
  await quickInput.waitUntilOpen({ title: 'Add Compute: cluster (3/3)' });
  await quickInput.pick(/Add and Test Connection$/);
  await quickInput.waitUntilOpen({ title: 'Partition of cluster' });
  await quickInput.pick(/The cluster's default/);
  const page = window.webview();
  await page.locator('.summary.warning, .summary.ok').waitFor();
  assert.equal(await page.locator('[data-action="terminal"]').count(), 0);
  const row = window.treeRows('Compute', 'cluster');
  await row.getByText('Slurm: 2 of 2 nodes idle').waitFor();
  await row.click({ button: 'right' });
  await window.menuItem('Edit Compute...').waitFor();
  assert.equal(await window.menuItem('Open Terminal on Host').count(), 0);
  await window.page.keyboard.press('Escape');
});

test('a run is submitted to it, and runs on a node', { skip }, async () => {
  const { window } = session;
  const { quickInput } = window;
  await session.askToSubmit('where');
  await session.step(1);
  await quickInput.accept();
  await session.step(2);
  await quickInput.accept();
  await session.step(3);
  await quickInput.pick(/^\s*cluster$/);
  await session.step(4);
  await quickInput.row(/Interpreter: python3 of cluster/).waitFor();
  await quickInput.accept();
  await session.step(5);
  await quickInput.accept();
  const page = new RunPageView(window);
  await page.opened('where 1');
  await page.status('Completed').waitFor();
  await page.tab('log').click();
  await page.frame.getByText(/runs on node\d/).waitFor();
});
