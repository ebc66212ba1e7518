import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { test } from '../rig/host-suite.ts';
import { fileUri, parseUri } from '../../src/extension/files/address.ts';
import { formatDuration } from '../../src/extension/format.ts';
import { scrub } from '../../src/extension/log.ts';
import { joinArguments, splitArguments } from '../../src/extension/submit/arguments.ts';
import { submitterEnvironment } from '../../src/extension/submit/environment.ts';
import { RunyardUriHandler } from '../../src/extension/uri-handler.ts';
import { Log } from '../../src/extension/log.ts';
import { cleanLog } from '../../webview/run/log/clean.ts';
import { LogWindow } from '../../webview/run/log/log-window.ts';

test('an arguments line splits as a shell splits it, and joins back', () => {
  assert.deepEqual(splitArguments(`--a 1 'two words' "a \\"b\\"" c\\ d ""`), [
    '--a',
    '1',
    'two words',
    'a "b"',
    'c d',
    '',
  ]);
  assert.throws(() => splitArguments(`--a "open`), /not closed/);
  for (const words of [[], [''], ['a b', "it's", '$HOME', '"', '\\', 'ü', '--x=1'], ['\n', '*']]) {
    assert.deepEqual(splitArguments(joinArguments(words)), words);
  }
});

test("the submitter's environment is without the editor's own variables", () => {
  const own = { ELECTRON_RUN_AS_NODE: '1', VSCODE_PID: '1', NODE_OPTIONS: '--x', CODE_SERVER_SESSION: 's' };
  const mine = { PATH: '/bin', CONDA_PREFIX: '/c', CUDA_VISIBLE_DEVICES: '0' };
  assert.deepEqual(submitterEnvironment({ ...own, ...mine, GONE: undefined }), mine);
});

test('the log tells no secrets and no home', () => {
  assert.equal(scrub('at /home/ann/x', '/home/ann'), 'at ~/x');
  assert.equal(scrub('token=abc123 next', '/h'), 'token=*** next');
  assert.equal(scrub('{"password":"abc"}', '/h'), '{"password":"***"}');
  assert.equal(scrub('https://ann:pw@host/x', '/h'), 'https://ann:***@host/x');
});

test('durations read well', () => {
  assert.equal(formatDuration(800), '0.8 s');
  assert.equal(formatDuration(187_000), '3m 07s');
  assert.equal(formatDuration(7_500_000), '2h 05m');
});

test("a run's files have addresses, whatever their names", () => {
  const ref = { workspace: 'default', runId: 'a_1' };
  for (const name of ['user_logs/std_log.txt', 'outputs/ü #1?.json', "it's/100%.txt"]) {
    const parsed = parseUri(vscode.Uri.parse(fileUri(ref, name, true).toString()));
    assert.deepEqual(parsed, { ...ref, path: name, tail: true });
  }
  assert.equal(parseUri(vscode.Uri.parse('runyard:/default/a_1')), undefined);
});

test('links: a run opens; a submit from a folder that is not open here is refused', async () => {
  const opened: string[] = [];
  const log = new Log();
  const handler = new RunyardUriHandler(
    {
      open: async ({ workspace, runId }) => opened.push(`${workspace}/${runId}`),
      submit: async () => opened.push('submitted'),
    },
    log,
  );
  const uri = (rest: string) => vscode.Uri.parse(`vscode://runyard.runyard/${rest}`);
  await handler.handleUri(uri('run/default/digits_1'));
  for (const folder of ['/etc', 'relative', `${vscode.workspace.workspaceFolders![0]!.uri.fsPath}/../x`]) {
    await handler.handleUri(uri(`submit?folder=${encodeURIComponent(folder)}&configuration=digits`));
  }
  await handler.handleUri(uri('submit'));
  await handler.handleUri(uri('nonsense'));
  assert.deepEqual(opened, ['default/digits_1']);
});

test('a log as text: colours and overwritten progress go, control characters show', () => {
  assert.equal(cleanLog('\x1b[31mred\x1b[0m\n'), 'red\n');
  assert.equal(cleanLog('10%\r50%\r100%\nnext\r\n'), '100%\nnext\n');
  assert.equal(cleanLog('a\0b'), 'a\u2400b');
});

test('a log window: however the bytes come, each is shown once', () => {
  const lines = Array.from({ length: 500 }, (_, i) => `line ${i} ${'ü€🙂'.repeat(i % 50)}\n`).join('');
  const bytes = new TextEncoder().encode(`${lines}${'x'.repeat(100_000)}\nlast without end`);
  const whole = new TextDecoder().decode(bytes);
  for (const size of [1, 7, 1000, 65_536, bytes.length]) {
    const window = new LogWindow();
    for (let at = 0; at < bytes.length; at += size) window.append(bytes.subarray(at, at + size));
    assert.equal(window.pieces.map((piece) => piece.text).join('') + window.pendingText, whole, `by ${size}`);
    assert.ok(window.pendingText.length <= 16 * 1024 + 8);
  }
  const middle = bytes.indexOf(10, 3000) + 10;
  const window = LogWindow.startingAt(middle, bytes.subarray(middle));
  assert.match(window.pieces[0]!.text, /^line \d+/, 'begins with a line');
  window.prepend(0, bytes.subarray(0, window.start));
  assert.equal(window.pieces.map((piece) => piece.text).join('') + window.pendingText, whole);
});
