import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import type { Theme } from '../rig/browser.ts';
import { RunPageView, Session } from './session.ts';

/**
 * Pictures of the tree, the submit quick pick and the run page. They go to test-results/screenshots, or where
 * RUNYARD_SCREENSHOTS says: `RUNYARD_SCREENSHOTS=docs/images npm test -- browser` renews those of the docs.
 */
const themes: Theme[] = ['light', 'dark', 'high-contrast'];
const failing = 'raise ValueError("the learning rate is negative")\n';
const endless = 'import time\nwhile True: time.sleep(1)\n';

let session: Session;
let page: RunPageView;
before(async () => {
  session = await Session.open({
    examples: ['digits', 'hello'],
    files: { 'failing/train.py': failing, 'endless/train.py': endless },
  });
  page = new RunPageView(session.window);
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(() => session?.close());

async function quiet(): Promise<void> {
  await session.window.runCommand('Notifications: Clear All Notifications');
}

test('pictures of a finished run, its tables and its log', async () => {
  await session.submitNew('failing');
  await page.opened('failing 1');
  await page.status('Failed').waitFor();
  await session.submitNew('hello');
  await page.opened('hello 1');
  await page.status('Completed').waitFor();
  await session.submitConfiguration('digits', 'digits');
  await page.opened('digits 1');
  await page.status('Completed').waitFor();
  await session.submitNew('endless');
  await page.opened('endless 1');
  await page.status('Running').waitFor();
  await session.window.tab('digits 1').click();
  await page.opened('digits 1');
  await page.drawn('train/loss');
  await page.frame.locator('.page').evaluate(() => {
    (globalThis as unknown as { scrollTo(x: number, y: number): void }).scrollTo(0, 0);
  });
  for (const theme of themes) {
    await quiet();
    await session.window.setTheme(theme);
    await page.drawn('epoch/learning_rate');
    taken(await session.window.screenshot('run-page', theme));
  }
  await session.window.setTheme('light');
  await page.tab('tables').click();
  await page.frame.locator('ry-image img').waitFor();
  await quiet();
  taken(await session.window.screenshot('run-tables'));
  await page.tab('log').click();
  await page.frame.getByText('epoch 20/20').waitFor();
  taken(await session.window.screenshot('run-log'));
  await session.window.tab('failing 1').click();
  await page.opened('failing 1');
  await page.status('Failed').waitFor();
  taken(await session.window.screenshot('run-failed'));
});

test('pictures of the tree', async () => {
  const { window } = session;
  await window.runCommand('View: Close All Editors');
  await window.showContainer('Runyard');
  for (const experiment of ['failing', 'hello', 'digits', 'endless']) {
    await window.expandTreeRow('Experiments', experiment);
  }
  await window.treeRows('Experiments', 'failing 1').waitFor();
  await window.treeRows('Experiments', 'endless 1').waitFor();
  for (const theme of themes) {
    await quiet();
    taken(await window.screenshot('tree', theme));
  }
});

test('pictures of the submit quick pick', async () => {
  const { window } = session;
  for (const theme of themes) {
    await quiet();
    await window.setTheme(theme);
    await session.askToSubmit('digits');
    await window.quickInput.row(/\bdigits$/).waitFor();
    taken(await window.screenshot('submit', theme));
    await window.quickInput.cancel();
  }
});

/** A picture with content is far larger than an empty window. */
function taken(file: string): void {
  assert.ok(statSync(file).size > 15_000, file);
}
