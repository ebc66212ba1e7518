import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import type { Theme } from '../rig/browser.ts';
import { DockerEngine, skipWithoutDocker, testImage } from '../rig/docker/engine.ts';
import { RunPageView, Session } from './session.ts';
import { makeWheels } from './wheels.ts';

const themes: Theme[] = ['light', 'dark', 'high-contrast'];
const many = Object.fromEntries(
  Array.from({ length: 40 }, (_, n) => [`part-${String(n).padStart(2, '0')}`, `${n}.0`]),
);
const packages = { alpha: '1.0', beta: '2.5', ...many };
const asked = (...lines: string[]) => ['--no-index', '--find-links ./wheels', ...lines, ''].join('\n');

let session: Session;
let page: RunPageView;
let tools: string;
const socket = () => path.join(tools, 'docker.sock');
before(async () => {
  tools = await mkdtemp(path.join(tmpdir(), 'ry-t-'));
  session = await Session.open({
    files: {
      'study/requirements.txt': asked('alpha==1.0', 'beta', ...Object.keys(many)),
      'study/train.py': 'import alpha, beta\nprint("found", alpha.VERSION, beta.VERSION)\n',
      'fresh/requirements.txt': asked('alpha==1.0'),
      'fresh/train.py': 'import alpha\nprint("fresh", alpha.VERSION)\n',
      'broken/train.py': 'print("never")\n',
      'broken/requirements.txt': asked('nobody-has-this==9'),
      'plain/train.py': 'print("plain")\n',
    },
    window: { height: 1000 },
    // Where a person's own engine listens: nobody does, until a test says so.
    env: { DOCKER_HOST: `unix://${socket()}`, DOCKER_CONTEXT: undefined, XDG_RUNTIME_DIR: tools },
  });
  makeWheels(path.join(session.folder, 'study/wheels'), packages);
  for (const folder of ['broken', 'fresh'])
    makeWheels(path.join(session.folder, folder, 'wheels'), { alpha: '1.0' });
  page = new RunPageView(session.window);
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
let engine: DockerEngine | undefined;
after(async () => {
  await session?.close();
  await engine?.close();
  await rm(tools, { recursive: true, force: true });
});

async function showEnvironments(): Promise<void> {
  const { window } = session;
  await window.showContainer('Runyard');
  await window.expandView('Environments');
  // A list draws only what is in sight: it gets the room of the others.
  for (const name of ['Workspaces', 'Compute', 'Models']) {
    const header = window.view(name).locator('.pane-header');
    if ((await header.getAttribute('aria-expanded')) === 'true') await header.click();
  }
}

/** Right-clicks the requirements.txt of a folder. */
async function createFrom(folder: string): Promise<void> {
  const { window } = session;
  await window.showContainer('Explorer');
  await window.runCommand('File: Focus on Files Explorer');
  const row = window.explorerRow('requirements.txt');
  await window.runCommand('Collapse Folders in Explorer').catch(() => undefined);
  await window.explorerRow(folder).click();
  await row.waitFor();
  await window.contextMenu(row, 'Create Environment...');
}

/** Types until a row is the first one, and takes it: a tooltip or a list that moves is in nobody's way. */
async function choose(text: string): Promise<void> {
  const { quickInput } = session.window;
  await quickInput.type(text);
  await quickInput.row().first().filter({ hasText: text }).waitFor();
  await quickInput.accept();
}

/** Waits until the name is asked for; gives the one that is proposed. */
async function nameAsked(): Promise<string> {
  const { quickInput } = session.window;
  await quickInput.message().getByText('Its name').waitFor();
  return quickInput.input.inputValue();
}

async function quiet(): Promise<void> {
  await session.window.runCommand('Notifications: Clear All Notifications');
}

test('the empty view says what an environment is and how to make one', async () => {
  const { window } = session;
  await showEnvironments();
  const view = window.view('Environments');
  await view.getByText('An environment is what a run finds installed').waitFor();
  await view.locator('.monaco-button', { hasText: 'Create Environment...' }).waitFor();
});

test('a requirements.txt becomes an environment; its row tells what it is', async () => {
  const { window } = session;
  const { quickInput } = window;
  await createFrom('study');
  await quickInput.waitUntilOpen({ title: 'Create Environment: requirements.txt' });
  await quickInput.row(/python:3\.12-slim$/).waitFor();
  await quickInput.pick(/On the Host$/);
  assert.equal(await nameAsked(), 'study');
  await quickInput.accept();
  await window.notification('The environment study:1 is registered').first().waitFor();
  const row = window.treeRows('Environments', 'study');
  await row.getByText('version 1 · venv with 42 packages').waitFor();
  await window.expandTreeRow('Environments', 'study');
  await window.expandTreeRow('Environments', 'Packages asked for');
  await window.treeRows('Environments', 'alpha').getByText('==1.0').waitFor();
  await window.treeRows('Environments', 'beta').getByText('not pinned').waitFor();
  await window.treeRows('Environments', 'Packages asked for').locator('.monaco-tl-twistie').click();
  await window.treeRows('Environments', 'beta').waitFor({ state: 'detached' });
});

test('the same content again is said, and makes no new version', async () => {
  const { window } = session;
  await quiet();
  await createFrom('study');
  await window.quickInput.pick(/On the Host$/);
  await nameAsked();
  await window.quickInput.accept();
  await window.notification('study:1 has this very content already').first().waitFor();
  await window.notificationButton('study:1 has this very content already', 'Show Definition');
  await session.fileTab('study:1.yml').waitFor();
  await window.page.locator('.monaco-editor .view-lines', { hasText: 'requirements: |' }).waitFor();
});

test('it is built on this machine, with its log from the first line; the view tells it', async () => {
  const { window } = session;
  await quiet();
  await showEnvironments();
  await window.contextMenu(window.treeRows('Environments', 'study'), 'Build Environment...');
  await window.notification('study:1 is built on this machine').first().waitFor();
  const output = window.page.locator('.part.panel .monaco-editor .view-lines');
  await output.getByText('alpha', { exact: false }).first().waitFor();
  await window.treeRows('Environments', 'Built on this machine').getByText('packages').waitFor();
  for (const theme of themes) {
    await window.setTheme(theme);
    if (theme === 'light') taken(await window.screenshot('environment-build'));
    await quiet();
    taken(await window.screenshot('environments', theme));
  }
  await window.setTheme('light');
  await window.runCommand('View: Hide Panel');
});

test('what cannot be built says what failed; its log is at hand', async () => {
  const { window } = session;
  await createFrom('broken');
  await window.quickInput.pick(/On the Host$/);
  await nameAsked();
  await window.quickInput.accept();
  await window.notification('The environment broken:1 is registered').first().waitFor();
  await window.notificationButton('The environment broken:1 is registered', 'Build...');
  const failure = window.notification(/broken:1 on this machine: .*nobody-has-this/).first();
  await failure.waitFor();
  taken(await window.screenshot('environment-build-failed'));
  await failure.locator('.monaco-button', { hasText: 'Show Log' }).click();
  await window.page
    .locator('.part.panel .monaco-editor .view-lines')
    .getByText('nobody-has-this', { exact: false })
    .first()
    .waitFor();
  await window.runCommand('View: Hide Panel');
  await quiet();
});

test('a run in it: what it found installed is on its page', async () => {
  const { window } = session;
  const { quickInput } = window;
  await session.askToSubmit('study');
  await session.step(1);
  await quickInput.pick(/train\.py$/);
  await session.step(2);
  await quickInput.accept();
  await session.step(3);
  await quickInput.pick(/local$/);
  await session.step(4);
  await quickInput.row(/As the Host Is$/).waitFor();
  await quickInput.row(/requirements\.txt$/).waitFor();
  taken(await window.screenshot('submit-environment'));
  await choose('study:1');
  await session.step(5);
  await quickInput.accept();
  await page.opened('study 1');
  await page.status('Completed').waitFor();
  await page.tab('log').click();
  await page.frame.getByText('found 1.0 2.5').waitFor();
  await page.tab('environment').click();
  await page.frame.getByRole('button', { name: 'study:1', exact: true }).waitFor();
  await page.frame.locator('.package-list').getByText('part-39').waitFor();
  await page.fact('Built').getByText('it was there already').waitFor();
  const rows = page.frame.locator('.package-list tbody tr');
  assert.ok((await rows.count()) >= 42);
  await page.frame.locator('.packages vscode-text-field input').fill('part-0');
  await page.frame.locator('.packages [role=status]').getByText('10 of').waitFor();
  assert.equal(await rows.count(), 10);
  await page.frame.locator('.packages vscode-text-field input').fill('');
  await quiet();
  for (const theme of themes) {
    await window.setTheme(theme);
    taken(await window.screenshot('run-environment', theme));
  }
  await window.setTheme('light');
});

test('a run without an environment of its own; how the two differ', async () => {
  const { window } = session;
  await session.submitNew('plain');
  await page.opened('plain 1');
  await page.status('Completed').waitFor();
  await page.tab('environment').click();
  await page.fact('Environment').getByText('python3').waitFor();
  taken(await window.screenshot('run-environment-plain'));
  await window.tab('study 1').click();
  await page.opened('study 1');
  await page.tab('environment').click();
  await page.frame.locator('[data-environment=compare]').click();
  await window.quickInput.pick(/plain 1$/);
  await page.frame.locator('.comparison', { hasText: 'Compared with plain 1' }).waitFor();
  await page.frame.locator('.comparison').getByText('Only in this run').waitFor();
  await quiet();
  for (const theme of themes) taken(await window.screenshot('run-environment-compared', theme));
  await window.setTheme('light');
  await page.frame.getByRole('button', { name: 'Close Comparison' }).click();
});

test('Freeze pins what the run found; Copy gives it as lines', async () => {
  const { window } = session;
  await page.frame.locator('[data-environment=copyRequirements]').click();
  await window.statusBarItem('Packages copied').waitFor();
  const copied = await window.page.evaluate(() => {
    const { navigator } = globalThis as unknown as {
      navigator: { clipboard: { readText(): Promise<string> } };
    };
    return navigator.clipboard.readText();
  });
  assert.match(copied, /^alpha==1\.0\nbeta==2\.5\n/);
  await page.frame.locator('[data-environment=freeze]').click();
  await window.quickInput.waitUntilOpen({ title: 'Freeze the Environment of study 1' });
  assert.equal(await window.quickInput.input.inputValue(), 'study-frozen');
  await window.quickInput.accept();
  await window.notification('The environment study-frozen:1 is registered').first().waitFor();
  const client = await session.api();
  const params = { workspace: 'default', environment: 'study-frozen:1' };
  assert.deepEqual((await client.call('getEnvironment', { params })).unpinned, []);
});

/** Submits a folder in what its requirements.txt asks for. */
async function submitWithFile(folder: string): Promise<void> {
  await session.askToSubmit(folder);
  for (const step of [1, 2, 3]) {
    await session.step(step);
    await session.window.quickInput.accept();
  }
  await session.step(4);
  await choose('requirements.txt');
  await session.step(5);
  await session.window.quickInput.accept();
}

test('a run whose environment is built: the build log from its first line, then the log, both in reach', async () => {
  const { window } = session;
  await submitWithFile('fresh');
  await page.opened('fresh 1');
  await page.frame.locator('.reason', { hasText: 'Building the environment' }).waitFor();
  await page.tab('log').click();
  await page.frame.locator('[data-log=build][aria-pressed=true]').waitFor();
  await page.frame.locator('ry-log').getByText('pip install').first().waitFor();
  taken(await window.screenshot('run-building'));
  await page.status('Completed').waitFor();
  await page.frame.locator('[data-log=run][aria-pressed=true]').waitFor();
  await page.frame.locator('ry-log').getByText('fresh 1.0').waitFor();
  await page.frame.locator('[data-log=build]').click();
  await page.frame.locator('ry-log').getByText('Successfully installed alpha-1.0').waitFor();
  await quiet();
  for (const theme of themes) taken(await window.screenshot('run-build-log', theme));
  await window.setTheme('light');
  await page.tab('environment').click();
  await page.fact('Built').getByText('for this run').waitFor();
  await session.askToSubmit('fresh');
  await window.quickInput
    .row(/\btrain$/)
    .getByText('requirements.txt')
    .waitFor();
  await window.quickInput.cancel();
});

test('a run whose environment cannot be built says what failed, with the end of the build', async () => {
  await submitWithFile('broken');
  await page.opened('broken 1');
  await page.status('Failed').waitFor();
  await page.frame.locator('.notice.error strong', { hasText: 'nobody-has-this' }).waitFor();
  await page.frame.locator('.tail', { hasText: 'No matching distribution' }).waitFor();
  taken(await session.window.screenshot('run-build-failed'));
  await page.action('openLog').click();
  await session.fileTab('build_log.txt').waitFor();
  await session.window.runCommand('View: Close Editor');
});

test('what uses it, export, delete', async () => {
  const { window } = session;
  await quiet();
  await showEnvironments();
  await window.expandTreeRow('Environments', 'study');
  await window.treeRows('Environments', 'Used by').last().locator('.monaco-tl-twistie').click();
  await window.treeRows('Environments', 'study 1').click();
  await page.opened('study 1');
  await window.contextMenu(window.treeRows('Environments', 'study'), 'Show What Uses Environment');
  await window.quickInput.waitUntilOpen({ title: 'Runs in study:1' });
  await window.quickInput.cancel();
  await window.runCommand('Runyard: Delete Environment...');
  await window.quickInput.pick(/study-frozen:1$/);
  await window.dialog('Delete the environment study-frozen:1?').waitFor();
  await window.dialogButton('Delete');
  await window.treeRows('Environments', 'study-frozen').waitFor({ state: 'detached' });
});

const skipDocker = skipWithoutDocker();

test('Docker at the first submit: not running is said, it can be started', { skip: skipDocker }, async () => {
  const { window } = session;
  const { quickInput } = window;
  await session.askToSubmit('plain');
  await quickInput.pick(/New Run Configuration\.\.\.$/);
  await session.step(1);
  await quickInput.pick(/train\.py$/);
  await session.step(2);
  await quickInput.accept();
  await session.step(3);
  await quickInput
    .row(/Docker on this machine$/)
    .getByText('not running')
    .waitFor();
  taken(await window.screenshot('submit-docker'));
  await choose('Docker on this machine');
  await window.dialog('Docker is not running on this machine.').waitFor();
  taken(await window.screenshot('docker-not-running'));
  await window.dialogButton('Choose Another...');
  await session.step(3);
  await choose('Docker on this machine');
  await window.dialogButton('Start Docker');
  await window.notification('Waiting until Docker runs on this machine').first().waitFor();
  await window.page.locator('.part.panel .terminal-wrapper.active').first().waitFor();
  // As what the terminal says would start it.
  engine = await DockerEngine.start({ socket: socket() });
  await session.step(4);
  await quickInput.row(/python:3\.12-slim$/).waitFor();
  await quickInput.type('registry.example.org/team/train:7');
  await quickInput.row(/registry\.example\.org\/team\/train:7$/).waitFor();
  await quickInput.type(testImage);
  taken(await window.screenshot('submit-docker-image'));
  await choose(testImage);
  await session.step(5);
  await quickInput.accept();
  await quickInput.pick(/Submit Without Saving the Configuration$/);
  await page.opened('plain 2');
  await page.status('Completed').waitFor();
  await page.tab('environment').click();
  await page.frame.getByText('3.11.2').first().waitFor();
  taken(await window.screenshot('run-in-container'));
  assert.deepEqual(await engine.containers(), []);
});

/** A picture with content is far larger than an empty window. */
function taken(file: string): void {
  assert.ok(statSync(file).size > 15_000, file);
}
