import assert from 'node:assert/strict';
import { after, afterEach, before, test, type TestContext } from 'node:test';
import { RunPageView, Session } from './session.ts';

const hard = `
import sys, runyard
for i in range(5000):
    for step in range(3):
        runyard.log("many/%04d" % i, float("nan") if step == 1 and i % 7 == 0 else i + step, step=step)
for step in [0, 1, 2, 3, 2, 1, 5]:
    runyard.log("a/backward", step * step, step=step)
runyard.log("a/single", 0.125)
out = sys.stdout.buffer
out.write(b"x" * 20_000_000 + b"\\xff\\xfe bad \\xe2\\x82 bytes\\n")
for i in range(200_000):
    out.write(b"line %d\\n" % i)
out.write(b"\\x1b[31mred\\x1b[0m 10%\\r 50%\\r100%\\nthe very end\\n")
out.flush()
`;

let session: Session;
let page: RunPageView;
before(async () => {
  session = await Session.open({ files: { 'hard/train.py': hard } });
  page = new RunPageView(session.window);
});
afterEach((t) => session?.pictureOfFailure(t as TestContext));
after(() => session?.close());

test('5,000 metrics: cards as one scrolls, found by name, gaps for what is no number', async () => {
  await session.submitNew('hard');
  await page.status('Completed').waitFor();
  await page.frame.getByText('5,002 metrics').waitFor();
  await page.drawn('a/backward');
  const cards = page.frame.locator('ry-metric');
  assert.ok((await cards.count()) <= 200, 'not all cards at once');
  const canvases = await page.frame.locator('canvas').count();
  assert.ok(canvases < 200, `${canvases} canvases`);
  await page.frame.locator('vscode-text-field input').fill('many/0007');
  await page.frame.getByText('1 of 5,002 metrics').waitFor();
  await page.drawn('many/0007');
  await page.frame.getByText('NaN at step 1').waitFor();
});

test('a log with a 20 MB line and bytes that are no text: its end, and earlier lines on demand', async () => {
  await page.tab('log').click();
  await page.frame.getByText('the very end').waitFor();
  const log = page.frame.locator('ry-log');
  const text = await log.innerText();
  assert.ok(text.length < 2_000_000, `${text.length} characters`);
  assert.match(text, /red 100%|100%/);
  assert.doesNotMatch(text, /\[31m/);
  await page.frame.locator('.log-scroll').evaluate((element) => {
    (element as unknown as { scrollTop: number }).scrollTop = 0;
  });
  await page.frame.getByRole('button', { name: /Earlier lines/ }).click();
  while ((await log.innerText()).length <= text.length) await session.window.page.waitForTimeout(100);
  const longer = await log.innerText();
  const lines = longer.split('\n').filter((line) => /^line \d+$/.test(line));
  const numbers = lines.map((line) => Number(line.slice(5)));
  for (const [i, n] of numbers.entries()) if (i > 0) assert.equal(n, numbers[i - 1]! + 1, 'no line is lost');
  assert.equal(numbers.at(-1), 199_999);
});

test('Open Log: the end of the file, and a line that says so', async () => {
  const { window } = session;
  await page.action('openLog').click();
  await session.fileTab('std_log.txt').waitFor();
  await window.page.locator('.monaco-editor', { hasText: 'the very end' }).waitFor();
  await window.page.locator('.monaco-editor .view-lines').first().click();
  await window.page.keyboard.press('Control+Home');
  await window.page.locator('.monaco-editor', { hasText: '[Runyard: the last' }).waitFor();
});
