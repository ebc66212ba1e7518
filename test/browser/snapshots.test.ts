import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { readFile, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { RunPageView, Session } from './session.ts';

const train = `import sys

from model.net import width

rate = 0.1
print("arguments:", sys.argv[1:])
print("width:", width)
`;
const net = '# A network\n\nwidth = 64  # needle in the code\n';
const small = Object.fromEntries(
  Array.from({ length: 2100 }, (_, n) => [`large/cache/deep/part-${n}.txt`, `${n}\n`]),
);

let session: Session;
let page: RunPageView;
before(async () => {
  session = await Session.open({
    files: {
      'study/train.py': train,
      'study/model/__init__.py': '',
      'study/model/net.py': net,
      'study/data/raw/values.csv': 'x,y\n1,2\n',
      'large/train.py': 'print("large")\n',
      ...small,
      'linked/train.py': 'print("linked")\n',
      'secret/train.py': 'print("secret")\n',
      'secret/.env': 'TOKEN=abc\n',
      'secret/keys/id_rsa': '-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n',
    },
  });
  await symlink('/etc/hostname', at('linked/outside'));
  git('init', '-b', 'trunk');
  git('add', '-A');
  git('-c', 'user.name=me', '-c', 'user.email=me@example.org', 'commit', '-qm', 'first');
  page = new RunPageView(session.window);
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(() => session?.close());

function git(...args: string[]): void {
  execFileSync('git', args, { cwd: path.join(session.folder, 'study'), stdio: 'ignore' });
}

const at = (...parts: string[]) => path.join(session.folder, ...parts);
/** The run's page, and its row in the tree: the side bar has come to rest. */
async function shown(run: string): Promise<void> {
  await page.opened(run);
  await session.window.treeRows('Experiments', run).and(session.window.page.locator('.selected')).waitFor();
}

/** Waits until a folder is there as a whole: no progress is told of any more. */
async function written(file: string): Promise<void> {
  const under = session.window.notification('Restoring the snapshot');
  while (!existsSync(file) || (await under.isVisible())) await session.window.page.waitForTimeout(100);
}

test('the run page says where the code stands in git, and opens the snapshot', async () => {
  const { window } = session;
  await session.submitNew('study');
  await page.opened('study 1');
  await page.status('Completed').waitFor();
  await page.fact('Branch').getByText('trunk').waitFor();
  await page.fact('Work tree').getByText('changes kept').waitFor();
  await page.action('openSnapshot').click();
  await window.treeRows('Snapshot', 'train.py').waitFor();
  await window.expandTreeRow('Snapshot', 'model');
  await session.openSnapshotFile('net.py');
  await window.page.locator('.view-lines').getByText('needle in the code').waitFor();
});

test('the snapshot is read-only, and stays as it was when the folder changes', async () => {
  const { window } = session;
  await writeFile(at('study/train.py'), train.replace('rate = 0.1', 'rate = 0.05'));
  await writeFile(at('study/model/extra.py'), 'extra = 1\n');
  await rm(at('study/data'), { recursive: true });
  await session.openSnapshotFile('train.py');
  const lines = window.page.locator('.view-lines').first();
  await lines.getByText('rate = 0.1').waitFor();
  await lines.click();
  await window.page.keyboard.type('x');
  await window.page.getByText('Editor is read-only').first().waitFor();
});

test('a file is found by its path', async () => {
  const { window } = session;
  await window.runCommand('Runyard: Find File in Snapshot...');
  await window.quickInput.type('raw/val');
  await window.quickInput.pick(/values\.csv$/);
  await session.fileTab('values.csv').waitFor();
});

test('the text of a snapshot is searched; a match opens at its line', async () => {
  const { window } = session;
  await window.runCommand('Runyard: Search in Snapshot...');
  await window.quickInput.type('NEEDLE');
  await window.quickInput.accept();
  const row = window.quickInput.row(/needle in the code/);
  await row.getByText('model/net.py:3').waitFor();
  await row.click();
  await window.statusBarItem(/Ln 3,/).waitFor();
  await window.runCommand('Runyard: Search in Snapshot...');
  await window.quickInput.type('nowhere to be found');
  await window.quickInput.accept();
  await window.notification(/is in no file of the snapshot/).waitFor();
});

test('Compare with Working Folder lists what differs, and opens a diff', async () => {
  const { window } = session;
  await window.tab('study 1').click();
  await page.opened('study 1');
  await page.action('compareWithFolder').click();
  const changed = window.treeRows('Comparison', 'train.py');
  await changed.waitFor();
  await window.treeRows('Comparison', 'extra.py').waitFor();
  await window.treeRows('Comparison', 'values.csv').waitFor();
  await window.treeRows('Comparison', 'data/raw').waitFor();
  await changed.click();
  await window.tab(/train\.py \(study 1 ↔ study \(now\)\)/).waitFor();
  const diff = window.page.locator('.monaco-diff-editor');
  await diff.locator('.modified').getByText('rate = 0.05').waitFor();
  await window.treeRows('Comparison', 'values.csv').click();
  await window.tab(/values\.csv \(study 1/).waitFor();
});

test('pictures of a snapshot, a comparison and a diff', async () => {
  const { window } = session;
  await window.runCommand('View: Close All Editors');
  for (const name of ['Workspaces', 'Models']) {
    const header = window.view(name).locator('.pane-header');
    if ((await header.getAttribute('aria-expanded')) === 'true') await header.click();
  }
  // Folded, so that all of the snapshot is seen.
  await window.treeRows('Snapshot', 'model').click();
  await window.treeRows('Snapshot', 'net.py').waitFor({ state: 'detached' });
  await window.treeRows('Comparison', 'train.py').click();
  await window.page.locator('.monaco-diff-editor .modified').getByText('rate = 0.05').waitFor();
  for (const theme of ['light', 'dark', 'high-contrast'] as const) {
    await window.setTheme(theme);
    await window.runCommand('Notifications: Clear All Notifications');
    const file = await window.screenshot('snapshot-compare', theme);
    assert.ok(statSync(file).size > 15_000, file);
  }
  await window.setTheme('light');
});

test('a saved change renews the comparison', async () => {
  const { window } = session;
  await writeFile(at('study/train.py'), train);
  await window.treeRows('Comparison', 'extra.py').click();
  await window.tab(/extra\.py \(study 1/).waitFor();
  await window.page.locator('.monaco-diff-editor .modified .view-lines').click();
  await window.page.keyboard.type('more = 2\n');
  await window.page.keyboard.press('Control+s');
  await window.treeRows('Comparison', 'train.py').waitFor({ state: 'detached' });
  await window.treeRows('Comparison', 'extra.py').waitFor();
});

test('two runs are compared; all their changes open at once', async () => {
  const { window } = session;
  await session.submitConfiguration('study', 'train');
  await page.opened('study 2');
  await page.status('Completed').waitFor();
  await window.showContainer('Runyard');
  await window.runCommand('Runyard: Compare with Another Run...');
  await window.quickInput.pick('study 2');
  await window.view('Comparison').getByText('study 1 ↔ study 2').waitFor();
  await window.treeRows('Comparison', 'extra.py').waitFor();
  await window.runCommand('Runyard: Open All Changes');
  await window.tab(/study 1 ↔ study 2/).waitFor();
});

test('a large folder: its heaviest folders, and Ignore writes the ignore file', async () => {
  const { window } = session;
  await session.submitNew('large');
  await window.quickInput.waitUntilOpen({ title: /large: 2,1\d\d files/ });
  const row = window.quickInput.row(/cache$/);
  await row.hover();
  await row.locator('.action-label[aria-label="Ignore"]').click();
  await window.quickInput.widget.getByPlaceholder(/No longer large/).waitFor();
  assert.match(await readFile(at('large/.gitignore'), 'utf8'), /^\/cache\/$/m);
  await window.quickInput.pick(/Submit$/);
  await shown('large 1');
  await page.status('Completed').waitFor();
});

test('files that look like secrets are asked about, the same ones once', async () => {
  const { window } = session;
  await session.submitNew('secret');
  await window.dialog('2 files look like secrets').waitFor();
  await window.dialog('keys/id_rsa').waitFor();
  await window.dialogButton('Submit Anyway');
  await shown('secret 1');
  await session.submitConfiguration('secret', 'train');
  await shown('secret 2');
  await writeFile(at('secret/.env.local'), 'TOKEN=def\n');
  await session.submitConfiguration('secret', 'train');
  await window.dialog('3 files look like secrets').waitFor();
  await window.dialogButton('Leave Them Out');
  await page.opened('secret 3');
  await page.status('Completed').waitFor();
  assert.match(await readFile(at('secret/.gitignore'), 'utf8'), /^\/\.env\.local$/m);
  const client = await session.api();
  const run = await session.newestRun('secret');
  const params = { workspace: 'default', snapshot: run!.id };
  const { entries } = await client.call('listSnapshotEntries', { params, query: {} });
  assert.ok(!entries.some((entry) => entry.path.startsWith('.env')));
  assert.ok(existsSync(at('secret/.env')), 'the file itself stays');
});

test('what cannot be taken is named; Ignore leaves it out and goes on', async () => {
  const { window } = session;
  await session.submitNew('linked');
  await window.dialog('"outside" cannot be part of a snapshot').waitFor();
  await window.dialogButton('Ignore');
  await shown('linked 1');
  await page.status('Completed').waitFor();
  assert.match(await readFile(at('linked/.gitignore'), 'utf8'), /^\/outside$/m);
});

test('Close puts the views away', async () => {
  const { window } = session;
  await window.runCommand('Runyard: Close Snapshot');
  await window.view('Snapshot').waitFor({ state: 'detached' });
  await window.runCommand('Runyard: Close Comparison');
  await window.view('Comparison').waitFor({ state: 'detached' });
});

test('Rerun with Changes... runs the same snapshot with other arguments', async () => {
  const { window } = session;
  await RunPageView.openFromTree(window, 'study 1', 'study 1');
  await page.action('rerunWithChanges').click();
  await window.quickInput.waitUntilOpen({ title: /Rerun with Changes: study 1/ });
  await window.quickInput.type('--rate 0.5');
  await window.quickInput.accept();
  await window.quickInput.pick(/local$/);
  await window.quickInput.pick(/As in study 1$/);
  await window.quickInput.pick(/study$/);
  await page.opened('study 3');
  await page.status('Completed').waitFor();
  await page.tab('log').click();
  await page.frame.getByText(`arguments: ['--rate', '0.5']`).waitFor();
  const run = await session.newestRun('study');
  const client = await session.api();
  const first = await client.call('listRuns', {
    params: { workspace: 'default' },
    query: { experiment: 'study', limit: 10 },
  });
  assert.equal(run?.snapshotId, first.runs.find((one) => one.displayName === 'study 1')?.snapshotId);
});

test('the context menu of a run opens its snapshot', async () => {
  const { window } = session;
  await window.contextMenu(window.treeRows('Experiments', 'study 1'), 'Snapshot');
  const entry = window.page.locator('.monaco-submenu .action-label', { hasText: /^Open Snapshot$/ });
  await entry.waitFor();
  // A menu takes no click right after it has opened.
  while (await entry.isVisible()) {
    await entry.click().catch(() => undefined);
    await window.page.waitForTimeout(300);
  }
  await window.view('Snapshot').getByText('study 1').waitFor();
  await window.treeRows('Snapshot', 'train.py').waitFor();
});

test('Restore Snapshot... writes a new folder, or a git worktree with the changes', async () => {
  const { window } = session;
  for (const [form, name] of [
    ['Into a Folder', 'study-restored'],
    ['As a Git Worktree', 'study-worktree'],
  ] as const) {
    await window.runCommand('Runyard: Restore Snapshot...');
    await window.quickInput.pick(new RegExp(`${form}$`));
    await window.quickInput.waitUntilOpen({ title: /Restore Snapshot: a new folder/ });
    // The dialog proposes a name of its own a moment after it has opened.
    while (!(await window.quickInput.input.inputValue()).endsWith('study-1')) {
      await window.page.waitForTimeout(50);
    }
    await window.quickInput.type(at(name));
    await window.quickInput.accept();
    // A notification may be gone before it is looked for.
    await written(at(name, 'train.py'));
  }
  assert.equal(await readFile(at('study-restored/data/raw/values.csv'), 'utf8'), 'x,y\n1,2\n');
  assert.equal(await readFile(at('study-restored/model/net.py'), 'utf8'), net);
  assert.equal(existsSync(at('study-restored/.git')), false);
  const worktree = at('study-worktree');
  assert.ok(existsSync(path.join(worktree, '.git')));
  assert.match(await readFile(path.join(worktree, '.runyard/train.runconfig'), 'utf8'), /train\.py/);
});

test('a snapshot as the folder of a window of its own', async () => {
  const { window } = session;
  const opened = window.context.waitForEvent('page');
  await window.runCommand('Runyard: Open Snapshot in New Window');
  const other = await opened;
  const row = other.locator('.explorer-folders-view .monaco-list-row', { hasText: 'train.py' });
  await row.waitFor();
  await row.dblclick();
  await other.locator('.view-lines').getByText('rate = 0.1').waitFor();
  await other.close();
});
