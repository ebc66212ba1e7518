// All that `npm test` does after the packages are installed: builds, checks and runs every suite, prints a
// row for each step and, alone on the last line, the sum.
//   npm test                 everything
//   npm test -- unit lint    these steps only (and what they stand on)
import { spawn } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import path from 'node:path';
import { clearTimeout, setTimeout } from 'node:timers';
import { fileURLToPath } from 'node:url';
import { component, ensureSystemPackages, needsOf, which } from './system-packages.mjs';
import { cleanEnvironment, run } from '../test/rig/processes.ts';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const results = path.join(root, 'test-results');
const strict = /^(1|true)$/i.test(process.env.CI ?? '');
const node = process.execPath;

/** A suite that hangs is ended and counts as failed; far above what any of them takes. */
const limitMinutes = 30;

/** Most suites wait more than they compute: three at a time keep two cores busy. */
const lanes = 3;

/** Parses what `node --test` with our reporter and the extension-host runner write. */
function jsonLines(step) {
  const file = path.join(results, `${step.name}.jsonl`);
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .map((test) =>
      // A file without a single test is reported as one passed test of the file's name.
      test.result === 'passed' && test.file && path.resolve(root, test.name) === test.file
        ? { ...test, result: 'failed', error: 'no tests found in this file' }
        : test.component && strict
          ? { ...test, result: 'failed', error: test.reason }
          : test,
    );
}

/** Parses the output of `python3 -m unittest -v`. */
function unittest(step, output) {
  const count = (name) => Number(new RegExp(`\\b${name}=(\\d+)`).exec(output)?.[1] ?? 0);
  const ran = Number(/^Ran (\d+) tests? in /m.exec(output)?.[1] ?? 0);
  const failed = count('failures') + count('errors') + count('unexpected successes');
  const skipped = count('skipped') + count('expected failures');
  const tests = [];
  for (const part of output.split(/^={70}$/m).slice(1)) {
    const name = part
      .trim()
      .split('\n')[0]
      .replace(/^(FAIL|ERROR): /, '');
    tests.push({ name, result: 'failed', error: part.split(/^Ran \d+ tests? in /m)[0].trim() });
  }
  // Errors outside of a test (a module that cannot be imported) are not among those that ran.
  while (tests.length < failed) tests.push({ name: 'unexpected success', result: 'failed' });
  for (let n = 0; n < skipped; n++) tests.push({ name: 'skipped', result: 'skipped' });
  for (let n = tests.length; n < ran; n++) tests.push({ name: 'passed', result: 'passed' });
  return tests;
}

/** Programs whose exit code is the whole answer count as one test. */
function one(step, output, code) {
  if (code === 0) return [{ name: step.name, result: 'passed' }];
  return [{ name: step.name, result: 'failed', error: output.trimEnd().split('\n').slice(-60).join('\n') }];
}

function hasTests(folder, pattern) {
  const dir = path.join(root, folder);
  if (!existsSync(dir)) return undefined;
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).some((file) => pattern.test(file));
}

function nodeTest(name, folder, concurrency, { files = '**/*.test.ts', ...more } = {}) {
  const reporter = path.join(root, 'scripts/test-reporter.mjs');
  return {
    name,
    folder,
    pattern: /\.test\.ts$/,
    needs: needsOf(more.group ?? name),
    command: [
      node,
      '--test',
      `--test-concurrency=${concurrency}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${path.join(results, `${name}.jsonl`)}`,
      `${folder}/${files}`,
    ],
    parse: jsonLines,
    ...more,
  };
}

/**
 * The Pythons that the suites run under: of those on this machine (3.6 or later) the oldest, the newest, and
 * the `python3` of the path. RUNYARD_TEST_PYTHONS=all takes one of each minor version.
 */
async function pythons() {
  const pyenv = path.join(process.env.PYENV_ROOT ?? path.join(homedir(), '.pyenv'), 'versions');
  const candidates = [
    which('python3'),
    '/usr/bin/python3',
    ...Array.from({ length: 20 }, (_, n) => which(`python3.${n + 6}`)),
    ...(existsSync(pyenv) ? readdirSync(pyenv).map((name) => path.join(pyenv, name, 'bin/python3')) : []),
  ];
  const found = new Map();
  for (const file of candidates) {
    if (!file || !existsSync(file)) continue;
    const ask = 'import sys; print("%d.%d" % sys.version_info[:2]); print(sys.executable)';
    const [version, executable] = (await run(file, ['-c', ask]).catch(() => '')).trim().split('\n');
    const minor = Number(/^3\.(\d+)$/.exec(version ?? '')?.[1] ?? 0);
    if (minor >= 6 && executable && !found.has(version)) found.set(version, executable);
  }
  const first = [...found.keys()][0];
  const sorted = [...found].sort(([a], [b]) => Number(a.slice(2)) - Number(b.slice(2)));
  if (process.env.RUNYARD_TEST_PYTHONS === 'all') return sorted;
  return sorted.filter(([version], i) => version === first || i === 0 || i === sorted.length - 1);
}

async function steps() {
  const discover = (pattern) => [
    '-m',
    'unittest',
    'discover',
    '-v',
    '-s',
    'python/tests',
    '-t',
    'python',
    '-p',
    pattern,
  ];
  const python = (version, executable) => ({
    name: version ? `python${version}` : 'python',
    group: 'python',
    folder: 'python/tests',
    pattern: /^test.*\.py$/,
    needs: needsOf('python'),
    command: [executable, ...discover('test_*.py')],
    parse: unittest,
  });
  const found = await pythons();
  // Builds environments and runs containers for real: minutes, so by default under the oldest Python only.
  const slow = ([version, executable]) =>
    ['container', 'distributed', 'environment'].map((what) => ({
      ...python(version, executable),
      name: `python${version}-${what}`,
      pattern: /^slow.*\.py$/,
      command: [node, 'test/rig/docker/with-engine.ts', '--', executable, ...discover(`slow_${what}*.py`)],
    }));
  const oldest = [...found].sort(([a], [b]) => Number(a.slice(2)) - Number(b.slice(2))).slice(0, 1);
  const tsc = ['node_modules/typescript/bin/tsc', '-p'];
  return [
    { name: 'build', command: [node, 'scripts/build.mjs'], parse: one, prepares: true },
    { name: 'package', after: ['build'], command: [node, 'scripts/package.mjs'], parse: one, prepares: true },
    {
      name: 'vscode',
      command: [node, 'test/rig/code-server.ts'],
      parse: one,
      prepares: true,
      onlyFor: ['host', 'browser'],
    },
    nodeTest('browser', 'test/browser', 1, { after: ['package', 'vscode'] }),
    nodeTest('contract', 'test/contract', 2, { after: ['build'], files: '!(slurm*).test.ts' }),
    // They wait for Slurm most of the time.
    nodeTest('contract-slurm', 'test/contract', 3, {
      after: ['build'],
      group: 'contract',
      files: 'slurm*.test.ts',
    }),
    {
      name: 'host',
      folder: 'test/host',
      pattern: /\.test\.ts$/,
      // The runner itself says what is missing: VS Code needs nothing of ours where it can be downloaded.
      needs: [],
      after: ['build', 'vscode'],
      command: [node, 'test/rig/extension-host.ts', '--results', path.join(results, 'host.jsonl')],
      parse: jsonLines,
    },
    nodeTest('unit', 'test/unit', 2),
    {
      name: 'lint',
      // A build puts its results beside dist/ for a moment.
      after: ['build'],
      command: [node, 'node_modules/eslint/bin/eslint.js', '--cache', '--ignore-pattern', 'dist.*/', '.'],
      parse: one,
    },
    {
      name: 'format',
      after: ['build'],
      command: [node, 'node_modules/prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.'],
      parse: one,
    },
    { name: 'typecheck', command: [node, ...tsc, 'tsconfig.json'], parse: one },
    {
      name: 'typecheck-webview',
      group: 'typecheck',
      command: [node, ...tsc, 'webview/tsconfig.json'],
      parse: one,
    },
    ...(found.length ? found.map(([version, executable]) => python(version, executable)) : [python()]),
    ...(process.env.RUNYARD_TEST_PYTHONS === 'all' ? found : oldest).flatMap(slow),
  ];
}

const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
const children = new Set();

/** Runs a step's command, its whole output into test-results/<name>.log. */
async function execute(step) {
  const home = mkdtempSync(path.join(tmpdir(), 'ry-home-'));
  const logFile = path.join(results, `${step.name}.log`);
  const out = createWriteStream(logFile);
  const [program, ...args] = step.command;
  const child = spawn(program, args, {
    cwd: root,
    // A test that forgets to make a home of its own must not touch the user's.
    env: { ...cleanEnvironment({ CI: process.env.CI }), RUNYARD_HOME: home, PYTHONDONTWRITEBYTECODE: '1' },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let output = '';
  const read = (data) => {
    out.write(data);
    output += data.toString();
  };
  child.stdout.on('data', read);
  child.stderr.on('data', read);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    process.kill(-child.pid, 'SIGKILL');
  }, limitMinutes * 60_000);
  const code = await new Promise((resolve) => {
    child.once('error', (error) => {
      output += String(error);
      resolve(1);
    });
    child.once('exit', (status, signal) => {
      // A daemon that a test left behind may hold the pipes open: what it says is no result.
      const give = setTimeout(() => resolve(status ?? signal), 2000);
      child.once('close', () => {
        clearTimeout(give);
        resolve(status ?? signal);
      });
    });
  });
  clearTimeout(timer);
  children.delete(child);
  child.stdout.destroy();
  child.stderr.destroy();
  out.end();
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
  return { output, code: late ? `no end within ${limitMinutes} minutes` : code };
}

async function perform(step) {
  const missing = (step.needs ?? []).map(component).filter(({ available }) => !available);
  if (missing.length) {
    const error = missing.map(({ reason }) => reason).join('; ');
    return [
      {
        name: step.name,
        result: strict ? 'failed' : 'skipped',
        reason: error,
        error: strict ? error : undefined,
      },
    ];
  }
  const { output, code } = await execute(step);
  const tests = step.parse(step, output, code);
  const failed = tests.some((test) => test.result === 'failed');
  if (code !== 0 && !failed) {
    const tail = output.trimEnd().split('\n').slice(-60).join('\n');
    tests.push({ name: step.name, result: 'failed', error: `it ended with ${code}:\n${tail}` });
  } else if (!tests.length) {
    tests.push({ name: step.name, result: 'failed', error: 'no tests found' });
  }
  // What only prepares is no test, unless it fails.
  return step.prepares ? tests.filter((test) => test.result === 'failed') : tests;
}

function count(tests) {
  const number = (result) => tests.filter((test) => test.result === result).length;
  return { passed: number('passed'), failed: number('failed'), skipped: number('skipped') };
}

function summary({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ''}`;
}

function indent(text) {
  return text.replace(/^/gm, '      ');
}

async function main(names) {
  const started = Date.now();
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      for (const child of children) process.kill(-child.pid, 'SIGTERM');
      process.exit(130);
    });
  }
  rmSync(results, { recursive: true, force: true });
  mkdirSync(results, { recursive: true });

  const all = await steps();
  const known = [...new Set(all.flatMap((step) => [step.name, step.group ?? step.name]))];
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length) {
    console.error(`There is no step ${unknown.join(', ')}; there are ${known.join(', ')}.`);
    process.exit(2);
  }
  const chosen = new Set(
    all.filter((step) => !names.length || names.includes(step.name) || names.includes(step.group)),
  );
  // A suite that has not been written yet is named, not passed over.
  const absent = [];
  for (const step of chosen) {
    if (!step.folder || hasTests(step.folder, step.pattern) !== undefined) continue;
    absent.push(step);
    chosen.delete(step);
  }
  for (const step of [...all].reverse()) {
    if (![...chosen].some((other) => other.after?.includes(step.name))) continue;
    chosen.add(step);
  }
  const plan = all.filter(
    (step) =>
      chosen.has(step) && (!step.onlyFor || [...chosen].some(({ name }) => step.onlyFor.includes(name))),
  );

  const suites = plan.map((step) => step.group ?? step.name);
  ensureSystemPackages(suites, (text) => console.log(`system packages: ${text}`));
  const versions = plan.filter(
    (step) => step.group === 'python' && step.name !== 'python' && !step.name.includes('-'),
  );
  const python = versions.map((step) => step.name.slice(6)).join(', ');
  console.log(`node ${process.version}${python ? `; python ${python}` : ''}`);
  for (const step of absent) console.log(`-     ${step.name}: no tests yet (${step.folder} is not there)`);

  const done = new Map();
  const totals = [];
  const waiting = [...plan];
  const running = new Set();
  const start = (step) => {
    const broken = (step.after ?? []).find((name) => done.has(name) && done.get(name).failed);
    const began = Date.now();
    const work = broken
      ? Promise.resolve([{ name: step.name, result: 'failed', error: `not run, as ${broken} failed` }])
      : perform(step);
    const task = work.then((tests) => {
      running.delete(task);
      totals.push(...tests.map((test) => ({ ...test, step: step.name })));
      const numbers = count(tests);
      done.set(step.name, numbers);
      const mark = numbers.failed ? 'FAIL' : numbers.skipped && !numbers.passed ? 'skip' : 'ok  ';
      const time = seconds(Date.now() - began);
      console.log(
        `${mark}  ${step.name.padEnd(18)} ${(step.prepares && !numbers.failed ? 'done' : summary(numbers)).padEnd(30)} ${time.padStart(8)}`,
      );
      for (const test of tests) {
        if (test.result === 'failed') {
          const where = test.file ? ` (${path.relative(root, test.file)})` : '';
          console.log(`    failed: ${test.name}${where}`);
          if (test.error) console.log(indent(test.error));
        } else if (test.result === 'skipped' && test.reason) {
          console.log(`    skipped: ${test.name}: ${test.reason}`);
        }
      }
      if (numbers.failed) console.log(`    the whole output: test-results/${step.name}.log`);
    });
    running.add(task);
  };
  while (waiting.length || running.size) {
    for (const step of [...waiting]) {
      if (running.size >= lanes) break;
      const open = (step.after ?? []).filter(
        (name) => plan.some((other) => other.name === name) && !done.has(name),
      );
      if (open.length) continue;
      waiting.splice(waiting.indexOf(step), 1);
      start(step);
    }
    await Promise.race(running);
  }

  const numbers = count(totals);
  const failures = totals.filter((test) => test.result === 'failed');
  if (failures.length) {
    console.log('\nFailed:');
    for (const test of failures) {
      console.log(`  ${test.step}: ${test.file ? `${path.relative(root, test.file)}: ` : ''}${test.name}`);
    }
  }
  console.log(`\nAll steps took ${seconds(Date.now() - started)}; their output is in test-results/.`);
  console.log(summary(numbers));
  process.exit(numbers.failed || !numbers.passed ? 1 : 0);
}

await main(process.argv.slice(2));
