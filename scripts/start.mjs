// What `npm start` does after the packages are installed: builds, packages, opens VS Code with the extension
// and examples/, submits examples/digits through the extension, and shows the run's log and metrics here.
//   npm start                 stays up until Ctrl-C
//   npm start -- --once       ends when the run has ended and its page has shown it
//   npm start -- --browser    VS Code in the browser also where the desktop's `code` is there
//   npm start -- --cli        no VS Code: the same submit through the command line
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { setInterval } from 'node:timers';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { component, ensureSystemPackages, which } from './system-packages.mjs';
import { launchBrowser, openWorkbench } from '../test/rig/browser.ts';
import { startBrowserVSCode } from '../test/rig/vscode-browser.ts';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const examples = path.join(root, 'examples');
const example = 'digits';
const configuration = 'digits';
const vsix = path.join(root, 'dist/runyard.vsix');
const cli = path.join(root, 'dist/cli.mjs');

/** How long a person may take to answer the desktop's question before the command line takes over. */
const answerMinutes = 5;

const { values: options } = parseArgs({
  options: { once: { type: 'boolean' }, browser: { type: 'boolean' }, cli: { type: 'boolean' } },
});
const display =
  process.platform !== 'linux' ||
  Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY || process.env.WSL_DISTRO_NAME);

const say = (text) => console.log(`\n==> ${text}`);
const detail = (text) => console.log(`    ${text}`);

class StepFailure extends Error {
  constructor(step, why, advice) {
    super(why);
    this.step = step;
    this.advice = advice;
  }
}

// What was started and is to be ended, the last first.
const cleanups = [];
let stopping;
function stop(code) {
  stopping ??= (async () => {
    for (const cleanup of cleanups.reverse()) {
      await Promise.race([cleanup(), sleep(20_000)]).catch((error) => detail(`clean-up: ${error.message}`));
    }
    process.exit(code);
  })();
  return stopping;
}
let settled = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (!stopping) console.log('\nStopping.');
    void stop(settled ? 0 : 130);
  });
}

/** Runs a program of ours in the terminal; gives its exit code. */
function show(args) {
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      // What Ctrl-C has ended has nothing to say about how it went on.
      if (!stopping) resolve(signal ?? code);
    });
  });
}

/** Runs the command line and gives what it prints as JSON. */
function ask(...args) {
  const result = spawnSync(process.execPath, [cli, ...args, '--json'], { cwd: root, encoding: 'utf8' });
  if (result.status !== 0) {
    const command = `npm run -s runyard -- ${args.join(' ')}`;
    throw new StepFailure(command, (result.stderr || result.stdout).trim(), `Try it by hand: ${command}`);
  }
  return JSON.parse(result.stdout);
}

async function build() {
  say('Building the extension, the server, the command line and the agent');
  if ((await show(['scripts/build.mjs'])) !== 0) {
    throw new StepFailure('the build', 'scripts/build.mjs failed, see above', 'Try: npm run build');
  }
  say('Packaging the extension');
  if ((await show(['scripts/package.mjs'])) !== 0) {
    throw new StepFailure('packaging', 'scripts/package.mjs failed, see above', 'Try: npm run package');
  }
}

function checkPython() {
  ensureSystemPackages(['python', 'start'], detail);
  const { available, reason } = component('python3');
  if (!available) throw new StepFailure('looking for Python', reason, 'The example is a Python script.');
}

const runs = () => ask('run', 'list');

/** Waits for a run that was not there before. */
async function newRun(before, until) {
  for (;;) {
    const found = runs().find((run) => !before.has(run.id));
    if (found) return found.id;
    if (await Promise.race([until, sleep(250, false)])) return undefined;
  }
}

/** Streams the log of a run and prints its metrics; gives its status. */
async function follow(id) {
  say(`The log of run ${id}`);
  await show([cli, 'run', 'logs', id, '--follow']);
  return finish(id);
}

async function finish(id) {
  say('Its metrics');
  await show([cli, 'run', 'metrics', id]);
  const { status, run } = ask('run', 'show', id);
  return status ?? run?.status;
}

async function throughCommandLine() {
  say(`Submitting examples/${example} through the command line`);
  const before = new Set(runs().map((run) => run.id));
  const folder = path.join(examples, example);
  const code = await show([cli, 'run', 'submit', folder, '--config', configuration, '--follow']);
  const id = runs().find((run) => !before.has(run.id))?.id;
  if (!id) {
    throw new StepFailure(
      'submitting',
      `it ended with ${code}, see above`,
      'Try: npm run -s runyard -- run submit',
    );
  }
  return finish(id);
}

// VS Code on the desktop

function desktopCode() {
  if (options.browser || !display || process.getuid?.() === 0) return undefined;
  const code = which('code');
  return code && spawnSync(code, ['--version'], { timeout: 30_000 }).status === 0 ? code : undefined;
}

async function throughDesktop(code) {
  const call = (step, args) => {
    const result = spawnSync(code, args, { cwd: root, encoding: 'utf8' });
    if (result.status === 0) return;
    throw new StepFailure(step, (result.stderr || result.stdout).trim(), `Try: code ${args.join(' ')}`);
  };
  say('Installing the extension in VS Code');
  call('installing the extension', ['--install-extension', vsix, '--force']);
  say('Opening examples/ in VS Code');
  call('opening the folder', [examples]);
  const before = new Set(runs().map((run) => run.id));
  const query = new globalThis.URLSearchParams({ folder: path.join(examples, example), configuration });
  const link = `vscode://runyard.runyard/submit?${query.toString().replaceAll('+', '%20')}`;
  call('submitting', ['--open-url', link]);
  detail('VS Code asks whether to open the link and to submit the run: answer there.');
  const id = await newRun(before, sleep(answerMinutes * 60_000, true));
  if (id) return follow(id);
  detail(`No run was submitted within ${answerMinutes} minutes.`);
  return throughCommandLine();
}

// VS Code in the browser

async function openBrowser(url) {
  const visible = display && !options.once;
  say(`Opening it in Chromium${visible ? '' : ' (without a window, as a person would use it)'}`);
  const browser = await launchBrowser({ headless: !visible });
  cleanups.push(() => browser.close());
  return openWorkbench(browser, url, { resizable: visible });
}

async function throughBrowser() {
  say('Starting VS Code in the browser, with the extension installed and examples/ open');
  let vscode;
  try {
    vscode = await startBrowserVSCode({ folder: examples, vsix: [vsix], log: detail });
  } catch (error) {
    detail(`That failed: ${error.message}`);
    detail('It comes from the npm package code-server; is the npm registry reachable?');
    return throughCommandLine();
  }
  cleanups.push(() => vscode.stop());
  void vscode.ended.then(() => {
    if (stopping) return;
    console.error(`\nVS Code in the browser has ended by itself; its log: ${vscode.logFile}`);
    void stop(1);
  });
  detail(`Its address: ${vscode.url}`);
  address = vscode.url;
  const chromium = component('chromium');
  if (!chromium.available) {
    detail(`${chromium.reason}. Open the address in a browser of yours.`);
    return throughCommandLine();
  }
  let workbench;
  try {
    workbench = await openBrowser(vscode.url);
  } catch (error) {
    detail(`Chromium did not open it: ${error.message.split('\n')[0]}`);
    return throughCommandLine();
  }

  say(`Submitting: the context menu of "${example}" > Submit Run`);
  const before = new Set(runs().map((run) => run.id));
  let id;
  try {
    await workbench.explorerMenu(example, /^Submit Run/);
    await workbench.quickInput.pick(configuration);
    const shown = workbench.webview().getByRole('tablist').waitFor();
    id = await newRun(before, sleep(120_000, true));
    if (!id) throw new Error('no run appeared within two minutes');
    detail(`Run ${id} was submitted; its page opens.`);
    await shown;
  } catch (error) {
    mkdirSync(path.join(root, 'test-results'), { recursive: true });
    const file = path.join(root, 'test-results/start.png');
    await workbench.page.screenshot({ path: file }).catch(() => undefined);
    throw new StepFailure(
      'submitting through VS Code',
      error.message,
      `What the window showed is in ${path.relative(root, file)}; its log is ${vscode.logFile}.`,
    );
  }
  const status = await follow(id);
  if (status === 'Completed') await chartsShown(workbench);
  return status;
}

/** The run's page has drawn a chart of every metric it shows. */
async function chartsShown(workbench) {
  const canvas = workbench.webview().locator('canvas');
  await canvas.first().waitFor();
  detail(`The run's page shows ${await canvas.count()} charts.`);
  if (!options.once) return;
  detail(`A picture of it: ${path.relative(root, await workbench.screenshot('start'))}`);
}

let address;

async function main() {
  await build();
  checkPython();
  const code = options.cli ? undefined : desktopCode();
  const submit = options.cli ? throughCommandLine : code ? () => throughDesktop(code) : throughBrowser;
  const status = await submit();
  say(`The run's status: ${status}`);
  if (options.once) return stop(status === 'Completed' ? 0 : 1);
  settled = true;
  if (address) {
    console.log(`\nVS Code stays up at ${address}`);
    console.log('Open the Runyard view there: the run is under Experiments. Ctrl-C ends it.');
    await new Promise(() => setInterval(() => undefined, 1 << 30));
  }
  return stop(0);
}

main().catch((error) => {
  if (stopping) return;
  if (error instanceof StepFailure) {
    console.error(`\nFailed: ${error.step}: ${error.message}\n${error.advice}`);
  } else {
    console.error(`\nFailed: ${error.stack ?? error}`);
  }
  void stop(1);
});
