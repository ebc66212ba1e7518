import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { RunPageView, Session } from './session.ts';

const brief = `
import sys, runyard
runyard.log_params({"greeting": "hello"})
print("arguments:", sys.argv[1:])
runyard.log("answer", 41)
runyard.log("answer", 42)
`;

let session: Session;
before(async () => {
  session = await Session.open({
    settings: { 'files.autoSave': 'off' },
    files: {
      'plain/train.py': brief,
      'plain/other.py': 'print("other")\n',
      "it's a ü/train.py": brief,
      'broken/train.py': brief,
      'broken/.runyard/good.runconfig': 'script: train.py\nunknownKey: 1\n',
      'broken/.runyard/bad.runconfig': 'script: train.py\narguments: 7\n',
    },
  });
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(() => session?.close());

test('empty views say what to do', async () => {
  const { window } = session;
  await window.showContainer('Runyard');
  await window.view('Experiments').getByText('Nothing has run in this workspace yet.').waitFor();
  await window.view('Experiments').getByRole('button', { name: 'Submit Run...' }).waitFor();
  await window.view('Models').getByText('will be listed here in a coming version').waitFor();
});

test('a folder without a configuration: five questions with Back, then the run', async () => {
  const { window } = session;
  await session.askToSubmit('plain');
  await session.step(1);
  const labels = await window.quickInput.labels();
  assert.match(labels[0] ?? '', /train\.py/, 'the likeliest script comes first');
  assert.ok(
    labels.some((label) => /Interpreter: \S*python3/.test(label)),
    labels.join(),
  );
  await window.quickInput.pick(/train\.py$/);
  await session.step(2);
  await window.quickInput.type('--rate "0.5');
  await window.quickInput.accept();
  await window.quickInput.message().getByText('A quote is not closed').waitFor();
  await window.quickInput.back();
  await session.step(1);
  await window.quickInput.pick(/train\.py$/);
  await session.step(2);
  await window.quickInput.type(`--rate 0.5 'two words'`);
  await window.quickInput.accept();
  await session.step(3);
  await window.quickInput.pick(/local$/);
  await session.step(4);
  await window.quickInput.pick(/As the Host Is$/);
  await session.step(5);
  await window.quickInput.type('first try');
  await window.quickInput.pick(/first try$/);

  const page = new RunPageView(window);
  await page.status('Completed').waitFor();
  await page.fact('greeting').getByText('hello').waitFor();
  await page.drawn('answer');
  await page.tab('log').click();
  await page.frame.getByText(`arguments: ['--rate', '0.5', 'two words']`).waitFor();
  await window.treeRows('Experiments', 'first try').waitFor();
  await window.treeRows('Experiments', 'first try 1').waitFor();
});

test('the answers were written as a run configuration, and it is offered the next time', async () => {
  const { window } = session;
  const file = path.join(session.folder, 'plain/.runyard/train.runconfig');
  const text = await readFile(file, 'utf8');
  assert.match(text, /script: train\.py/);
  assert.match(text, /two words/);
  await session.askToSubmit('plain');
  await window.quickInput
    .row(/\btrain$/)
    .getByText(`train.py --rate 0.5 'two words'`)
    .waitFor();
  await window.quickInput.pick(/\btrain$/);
  await new RunPageView(window).opened('first try 2');
  await window.treeRows('Experiments', 'first try 2').waitFor();
  await new RunPageView(window).status('Completed').waitFor();
});

test('a Python file: its script is chosen already', async () => {
  const { window } = session;
  await window.showContainer('Explorer');
  if (!(await window.explorerRow('other.py').isVisible())) await window.explorerRow('plain').click();
  await session.askToSubmit('other.py');
  await window.quickInput.pick(/New Run Configuration\.\.\.$/);
  await session.step(2);
  await window.quickInput.widget.getByText('Arguments of other.py').waitFor();
  await window.quickInput.cancel();
  assert.equal(existsSync(path.join(session.folder, 'plain/.runyard/other.runconfig')), false);
});

test('a folder name with an apostrophe, spaces and Unicode', async () => {
  await session.submitNew("it's a ü");
  const page = new RunPageView(session.window);
  await page.opened("it's a ü 1");
  await page.status('Completed').waitFor();
});

test('configurations: one with a warning runs, a broken one is shown with its reason', async () => {
  const { window } = session;
  await session.askToSubmit('broken');
  const good = window.quickInput.row(/\bgood$/);
  await good.getByText('unknownKey').waitFor();
  const bad = window.quickInput.row(/\bbad$/);
  await bad.getByText(/bad\.runconfig:2/).waitFor();
  await bad.click();
  await session.fileTab('bad.runconfig').waitFor();
  await window.quickInput.waitUntilClosed();
});

test('unsaved editors are asked about; the run gets what was saved', async () => {
  const { window } = session;
  const page = new RunPageView(window);
  await window.explorerRow('plain').waitFor({ state: 'attached' });
  await window.runCommand('View: Close All Editors');
  await window.showContainer('Explorer');
  await window.explorerRow('train.py').last().dblclick();
  await session.fileTab('train.py').waitFor();
  await window.page.locator('.monaco-editor .view-lines').click();
  await window.page.keyboard.press('Control+Home');
  await window.page.keyboard.type('print("typed but not saved")\n');
  await session.fileTab('train.py').and(window.page.locator('.dirty')).waitFor();
  await session.submitConfiguration('plain', 'train');
  await window.dialog('unsaved changes').waitFor();
  await window.dialogButton('Save and Submit');
  await page.opened('first try 3');
  await page.status('Completed').waitFor();
  await page.tab('log').click();
  await page.frame.getByText('typed but not saved').waitFor();
});
