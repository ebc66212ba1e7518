import { spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, watch, writeFileSync, type FSWatcher } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { downloadAndUnzipVSCode, runTests } from '@vscode/test-electron';
import { build, type BuildOptions } from 'esbuild';
import { component, which } from '../../scripts/system-packages.mjs';
import { launchBrowser, openWorkbench } from './browser.ts';
import { node24, repository, run } from './processes.ts';
import { startBrowserVSCode } from './vscode-browser.ts';

// Runs test/host/**/*.test.ts inside a real extension host: that of VS Code where it can be downloaded and
// shown, else that of VS Code in the browser. RUNYARD_TEST_HOST=electron or =browser leaves no choice.
//   node test/rig/extension-host.ts [--tests FOLDER] [--extension FOLDER] [--results FILE]

const minute = 60_000;

/** Far above what the suites take; only a hang reaches it. */
const limitMs = 20 * minute;

interface Setup {
  /** The extension's folder. */
  extension: string;
  /** The bundle's entry, with `run()`. */
  entry: string;
  /** The folder that the window has open: a copy of examples/. */
  folder: string;
  /** A temporary folder for anything else. */
  scratch: string;
  /** Where the tests write what became of them. */
  results: string;
}

interface Line {
  name?: string;
  result?: 'passed' | 'failed' | 'skipped';
  error?: string;
  ms?: number;
  reason?: string;
  /** Written last. */
  end?: boolean;
  /** Nothing ran as something of the machine is missing. */
  component?: boolean;
}

function environment(setup: Setup): Record<string, string> {
  return {
    RUNYARD_HOST_RESULTS: setup.results,
    RUNYARD_HOME: path.join(setup.scratch, 'home'),
  };
}

/** One CommonJS file of all the tests, and an entry that reports also where that cannot be loaded. */
async function bundle(tests: string, out: string): Promise<string> {
  const files = readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts'))
    .sort();
  const suite = path.join(repository, 'test/rig/host-suite.ts');
  const common: BuildOptions = {
    absWorkingDir: repository,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node22',
    external: ['vscode'],
    sourcemap: 'inline',
    logLevel: 'warning',
  };
  const imports = files.map((name) => `import ${JSON.stringify(path.join(tests, name))};`);
  await build({
    ...common,
    stdin: {
      contents: [`export * from ${JSON.stringify(suite)};`, ...imports].join('\n'),
      resolveDir: repository,
    },
    outfile: path.join(out, 'tests.cjs'),
  });
  const entry = path.join(out, 'index.cjs');
  writeFileSync(
    entry,
    `const { appendFileSync } = require('fs');
exports.run = async () => {
  let suite;
  try {
    suite = require('./tests.cjs');
  } catch (error) {
    const lines = [{ name: 'loading the tests', result: 'failed', error: String(error.stack) }, { end: true }];
    appendFileSync(process.env.RUNYARD_HOST_RESULTS, lines.map((line) => JSON.stringify(line) + '\\n').join(''));
    throw error;
  }
  await suite.runAll(() => undefined);
};
`,
  );
  return entry;
}

function linesOf(setup: Setup): Line[] {
  if (!existsSync(setup.results)) return [];
  const text = readFileSync(setup.results, 'utf8');
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
}

// VS Code itself

function canDownload(): Promise<boolean> {
  return new Promise((resolve) => {
    const request = https.get(
      'https://update.code.visualstudio.com/api/releases/stable',
      { timeout: 3000 },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    request.on('timeout', () => request.destroy(new Error('timeout')));
    request.on('error', () => resolve(false));
  });
}

function hasDisplay(): boolean {
  const { DISPLAY, WAYLAND_DISPLAY } = process.env;
  return process.platform !== 'linux' || Boolean(DISPLAY || WAYLAND_DISPLAY);
}

/** Why VS Code itself cannot serve here; empty where it can. */
async function electronObstacle(): Promise<string> {
  if (!hasDisplay() && !which('xvfb-run')) return 'there is no display and no xvfb-run';
  return (await canDownload()) ? '' : "VS Code's download site cannot be reached";
}

async function inElectron(setup: Setup): Promise<void> {
  const vscodeExecutablePath = await downloadAndUnzipVSCode({
    version: 'stable',
    cachePath: path.join(repository, '.vscode-test'),
  });
  const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  await runTests({
    vscodeExecutablePath,
    extensionDevelopmentPath: setup.extension,
    extensionTestsPath: setup.entry,
    extensionTestsEnv: environment(setup),
    launchArgs: [
      setup.folder,
      ...root,
      ...['--disable-extensions', '--disable-workspace-trust', '--disable-gpu'],
      ...['--skip-welcome', '--skip-release-notes', `--user-data-dir=${path.join(setup.scratch, 'user')}`],
    ],
  });
}

/** On a display of its own: this program again, under xvfb-run. */
async function underXvfb(): Promise<number> {
  const child = spawn('xvfb-run', ['-a', process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, RUNYARD_TEST_HOST: 'electron' },
  });
  return new Promise((resolve) => {
    child.once('error', () => resolve(couldNotStart));
    child.once('close', (code) => resolve(code ?? couldNotStart));
  });
}

// VS Code in the browser

async function inBrowser(setup: Setup): Promise<void> {
  const vscode = await startBrowserVSCode({
    folder: setup.folder,
    env: environment(setup),
    userDataDir: path.join(setup.scratch, 'user'),
    extensionsDir: path.join(setup.scratch, 'extensions'),
    payload: (authority) => [
      ['extensionDevelopmentPath', `vscode-remote://${authority}${setup.extension}`],
      ['extensionTestsPath', `vscode-remote://${authority}${setup.entry}`],
    ],
    log: console.log,
  });
  const browser = await launchBrowser();
  try {
    const workbench = await openWorkbench(browser, vscode.url);
    const crashed = new Promise<string>((resolve) => {
      workbench.page.once('crash', () => resolve('the page crashed'));
      void vscode.ended.then(() => resolve('the server of VS Code ended'));
    });
    const why = await Promise.race([crashed, testsEnded(setup, vscode.logFile)]);
    if (why) {
      const errors = workbench.errors.map((text) => text.split('\n')[0]).slice(-10);
      throw new Error([why, 'The last errors of the page:', ...errors].join('\n'));
    }
  } finally {
    await browser.close();
    await vscode.stop();
  }
}

/** Settles when the tests have ended (with nothing) or can no longer end (with why). */
function testsEnded(setup: Setup, logFile: string): Promise<string> {
  return new Promise((resolve) => {
    const started = Date.now();
    let watcher: FSWatcher | undefined = undefined;
    let timer: NodeJS.Timeout | undefined = undefined;
    const look = (): void => {
      const died = /Extension Host Process exited with code: .*/.exec(readFileSync(logFile, 'utf8'))?.[0];
      const late = Date.now() - started > limitMs ? `no end within ${limitMs / minute} minutes` : '';
      const ended = linesOf(setup).some((line) => line.end);
      if (!ended && !died && !late) return;
      watcher?.close();
      clearInterval(timer);
      resolve(ended ? '' : died || late);
    };
    watcher = watch(path.dirname(setup.results), look);
    timer = setInterval(look, 500);
    look();
  });
}

// The choice

/** The exit code that says that VS Code itself did not come up. */
const couldNotStart = 78;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      tests: { type: 'string', default: path.join(repository, 'test/host') },
      extension: { type: 'string', default: repository },
      results: { type: 'string' },
    },
  });
  const forced = process.env['RUNYARD_TEST_HOST'];
  const scratch = await mkdtemp(path.join(tmpdir(), 'ry-host-'));
  const report: Line[] = [];
  try {
    const setup: Setup = {
      extension: path.resolve(values.extension),
      entry: await bundle(path.resolve(values.tests), path.join(scratch, 'bundle')),
      folder: path.join(scratch, 'examples'),
      results: path.join(scratch, 'results', 'host.jsonl'),
      scratch,
    };
    await mkdir(path.dirname(setup.results));
    cpSync(path.join(repository, 'examples'), setup.folder, { recursive: true });

    let failure = '';
    let ran = false;
    if (forced !== 'browser') {
      const obstacle = await electronObstacle();
      if (obstacle) {
        console.log(`not in VS Code itself: ${obstacle}`);
      } else if (!hasDisplay()) {
        const code = await underXvfb();
        if (code !== couldNotStart) return code;
      } else {
        console.log('in the extension host of VS Code itself');
        await inElectron(setup).catch((error) => (failure = String(error)));
        // Nothing written: it did not get as far as the tests, and the browser's may.
        ran = linesOf(setup).length > 0;
        if (!ran) console.log(`VS Code did not start the tests: ${failure}`);
      }
      if (!ran && forced === 'electron') return couldNotStart;
    }
    if (!ran) {
      const chromium = component('chromium');
      if (!chromium.available) {
        report.push({ name: 'host', result: 'skipped', reason: chromium.reason, component: true });
      } else {
        console.log('in the extension host of VS Code in the browser');
        failure = '';
        await inBrowser(setup).catch((error) => (failure = String(error)));
      }
    }

    const lines = linesOf(setup);
    report.push(...lines.filter((line) => line.result));
    const ended = lines.some((line) => line.end);
    if (report.length === 0)
      report.push({ name: 'host', result: 'failed', error: failure || 'no tests found' });
    else if (lines.length > 0 && !ended) {
      report.push({ name: 'the extension host ended before its tests', result: 'failed', error: failure });
    }
  } finally {
    await stopRunyard(scratch);
    await rm(scratch, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
  for (const { result, name, ms, error, reason } of report) {
    console.log(`${result}  ${name}${ms === undefined ? '' : ` (${ms} ms)`}${reason ? `: ${reason}` : ''}`);
    if (error) console.log(error.replace(/^/gm, '    '));
  }
  if (values.results) {
    await mkdir(path.dirname(path.resolve(values.results)), { recursive: true });
    writeFileSync(values.results, report.map((line) => JSON.stringify(line) + '\n').join(''));
  }
  return report.some((line) => line.result === 'failed') ? 1 : 0;
}

/** Ends the server that the tests have started in their own home. */
async function stopRunyard(scratch: string): Promise<void> {
  const home = path.join(scratch, 'home');
  const cli = path.join(repository, 'dist/cli.mjs');
  if (!existsSync(home) || !existsSync(cli)) return;
  await run(node24(), [cli, 'server', 'stop', '--home', home]).catch((error) => console.error(String(error)));
}

process.exit(await main());
