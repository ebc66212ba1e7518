import assert from 'node:assert/strict';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { RunPageView, Session } from './session.ts';

const failing = `
import sys
for i in range(60): print("step", i)
raise ValueError("the learning rate is negative")
`;

let session: Session;
let page: RunPageView;
before(async () => {
  session = await Session.open({ examples: ['digits'], files: { 'failing/train.py': failing } });
  page = new RunPageView(session.window);
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(() => session?.close());

test('a live run: charts, log, parameters, tags, the count in the status bar', async () => {
  const { window } = session;
  await session.submitConfiguration('digits', 'digits');
  await page.opened('digits 1');
  await page.status('Running').waitFor();
  await window.statusBarItem('1 run').waitFor();
  await page.drawn('train/loss');
  await page.drawn('epoch/test_accuracy');
  await page.fact('epochs').getByText('20').waitFor();
  await page.fact('data').getByText('UCI').waitFor();
  await page.tab('log').click();
  await page.frame.locator('ry-log', { hasText: /epoch +1\/20/ }).waitFor();
  await page.tab('system').click();
  await page.frame.locator('ry-system canvas').first().waitFor();
});

test('the finished run: confusion matrix, tables, images, files, configuration', async () => {
  const { window } = session;
  await page.status('Completed').waitFor();
  await window.notification(/Run digits 1 completed in/).waitFor();
  await page.tab('tables').click();
  assert.equal(await page.frame.locator('table.confusion tbody tr').count(), 10);
  await page.frame.locator('ry-image img').waitFor();
  await page.tab('files').click();
  await page.frame.getByRole('button', { name: 'outputs/weights.json', exact: true }).click();
  await session.fileTab('weights.json').waitFor();
  await window.tab('digits 1').click();
  await page.tab('configuration').click();
  await page.frame.getByText('script: train.py').waitFor();
  assert.equal(await window.statusBarItem('1 run').count(), 0);
});

test('Rerun, then Cancel from the page', async () => {
  await page.action('rerun').click();
  await page.opened('digits 2');
  await page.status('Running').waitFor();
  await session.window.treeRows('Experiments', 'digits 2').waitFor();
  await page.action('cancel').click();
  await page.status('Canceled').waitFor();
  assert.equal((await session.newestRun('digits'))?.status, 'Canceled');
});

test('Copy Run ID', async () => {
  await page.action('copyId').click();
  const run = await session.newestRun('digits');
  await session.window.statusBarItem('Run id copied').waitFor();
  const copied = await session.window.page.evaluate(() => {
    const { navigator } = globalThis as unknown as {
      navigator: { clipboard: { readText(): Promise<string> } };
    };
    return navigator.clipboard.readText();
  });
  assert.equal(copied, run?.id);
});

test('a failed run says why and shows the end of its log; Open Log has the whole', async () => {
  const { window } = session;
  await session.submitNew('failing');
  await page.opened('failing 1');
  await page.status('Failed').waitFor();
  await page.frame.locator('.notice.error strong', { hasText: 'the learning rate is negative' }).waitFor();
  await page.frame.locator('.tail', { hasText: 'step 59' }).waitFor();
  await window.treeRows('Experiments', 'failing 1').waitFor();
  await page.action('openLog').click();
  await session.fileTab('std_log.txt').waitFor();
  await window.page.locator('.monaco-editor', { hasText: 'Traceback' }).waitFor();
});

test('Delete: asked first, then the page closes and the tree forgets it', async () => {
  const { window } = session;
  await window.tab('failing 1').click();
  await page.status('Failed').waitFor();
  await page.action('delete').click();
  await window.dialog('Delete the run').waitFor();
  await window.dialogButton('Delete');
  await window.tab('failing 1').waitFor({ state: 'detached' });
  await window.treeRows('Experiments', 'failing 1').waitFor({ state: 'detached' });
  assert.equal(await session.newestRun('failing'), undefined);
});
