import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { RunPageView, Session } from './session.ts';

/** Goes on until its file says stop: no test waits for a time. */
const patient = `
import os, time, runyard
step = 0
while not os.path.exists(os.environ["STOP_FILE"]):
    runyard.log("beat", step % 7)
    print("beat", step)
    step += 1
    time.sleep(0.1)
print("told to stop")
`;

let session: Session;
let page: RunPageView;
before(async () => {
  session = await Session.open({ files: { 'patient/train.py': patient } });
  page = new RunPageView(session.window);
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(() => session?.close());

test('a window that is reloaded in mid-run restores the page and goes on', async () => {
  const { window } = session;
  const stop = `${session.folder}/stop`;
  await mkdir(`${session.folder}/patient/.runyard`, { recursive: true });
  await writeFile(
    `${session.folder}/patient/.runyard/patient.runconfig`,
    `script: train.py\nenvironmentVariables:\n  STOP_FILE: ${stop}\n`,
  );
  await session.submitConfiguration('patient', 'patient');
  await page.drawn('beat');
  await page.tab('log').click();
  await page.frame.getByText('beat 5', { exact: false }).first().waitFor();

  // VS Code in the browser writes down what is open only every few seconds.
  await window.page.waitForTimeout(8000);
  await window.reload();
  const restored = new RunPageView(window);
  await restored.status('Running').waitFor();
  assert.equal(await restored.tab('log').getAttribute('aria-selected'), 'true', 'the tab is kept');
  const text = () => restored.frame.locator('ry-log').innerText();
  const before = (await text()).length;
  while ((await text()).length <= before) await window.page.waitForTimeout(100);
  await restored.tab('overview').click();
  await restored.drawn('beat');

  await restored.action('openLog').click();
  await session.fileTab('std_log.txt').waitFor();
  const editor = window.page.locator('.monaco-editor .view-lines').first();
  await editor
    .getByText(/beat.\d+/)
    .first()
    .waitFor();
  const last = async () =>
    Math.max(...[...(await editor.innerText()).matchAll(/beat.(\d+)/g)].map((found) => Number(found[1])));
  const seen = await last();
  await editor.click();
  while ((await last()) < seen + 20) {
    await window.page.keyboard.press('Control+End');
    await window.page.waitForTimeout(500);
  }
  await window.tab('patient 1').click();
  await restored.status('Running').waitFor();

  const second = await session.openWindow();
  await second.showContainer('Runyard');
  await second.treeRows('Experiments', 'patient 1').click();
  const other = new RunPageView(second);
  await other.status('Running').waitFor();
  await other.drawn('beat');

  await writeFile(stop, '');
  await restored.status('Completed').waitFor();
  await other.status('Completed').waitFor();
  await second.close();
});

test('what is changed in one window shows in the other', async () => {
  const second = await session.openWindow();
  await second.showContainer('Runyard');
  await second.treeRows('Experiments', 'patient 1').waitFor();
  const { window } = session;
  await window.showContainer('Runyard');
  await window.contextMenu(window.treeRows('Experiments', 'patient 1'), 'Delete Run...');
  await window.dialogButton('Delete');
  await second.treeRows('Experiments', 'patient 1').waitFor({ state: 'detached' });
  await second.close();
});
