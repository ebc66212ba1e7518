// The first step of `npm start` and `npm test`: plain Node 20, no packages needed. Installs the packages where
// they are missing or not those of package-lock.json, then runs scripts/<name>.mjs under the Node 24 that came
// with them.
//   node scripts/bootstrap.mjs <name> [argument...]
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const bin = path.join(root, 'node_modules/node/bin');
const [name, ...args] = process.argv.slice(2);

function fail(text) {
  console.error(text);
  process.exit(1);
}

function lock(file) {
  try {
    return JSON.parse(readFileSync(path.join(root, file), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** npm writes its own record into node_modules last: it is there only after a complete installation. */
function installed() {
  const wanted = lock('package-lock.json');
  const there = lock('node_modules/.package-lock.json');
  if (!wanted || !there || !existsSync(path.join(bin, 'node'))) return false;
  return Object.entries(wanted).every(
    ([where, entry]) =>
      where === '' || entry.optional || entry.link || there[where]?.version === entry.version,
  );
}

const shell = process.platform === 'win32';

function run(program, programArgs, env = process.env) {
  const child = spawn(program, programArgs, { cwd: root, env, stdio: 'inherit', shell });
  // Ctrl-C reaches the child by itself; this process waits until it has cleaned up.
  const handlers = { SIGINT: () => undefined, SIGTERM: () => child.kill('SIGTERM') };
  for (const [signal, handler] of Object.entries(handlers)) process.on(signal, handler);
  // npm's shell passes no signal on: where it has gone, the child is to end as well.
  const parent = process.ppid;
  const orphaned = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(orphaned);
    child.kill('SIGTERM');
  }, 500);
  return new Promise((resolve) => {
    child.once('error', (error) => fail(`${program} could not be started: ${error.message}`));
    child.once('close', (code, signal) => {
      clearInterval(orphaned);
      for (const [one, handler] of Object.entries(handlers)) process.off(one, handler);
      resolve(signal ? 128 + (constants.signals[signal] ?? 0) : code);
    });
  });
}

if (Number(process.versions.node.split('.')[0]) < 20) {
  fail(`Runyard is built with Node.js 20 or later; this is ${process.version}. See https://nodejs.org.`);
}
if (!/^[a-z-]+$/.test(name ?? '') || !existsSync(path.join(root, `scripts/${name}.mjs`))) {
  fail(`There is no scripts/${name}.mjs.`);
}
if (!installed()) {
  console.log('Installing the packages (npm ci)');
  const started = Date.now();
  const code = await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  if (code !== 0) {
    fail(`npm ci failed with ${code}. Look at its output above; it needs the npm registry to be reachable.`);
  }
  // Where npm does not run the packages' own scripts, the Node binary is not in its place yet.
  if (!existsSync(path.join(bin, 'node'))) await run('npm', ['rebuild', 'node', '--foreground-scripts']);
  if (!existsSync(path.join(bin, 'node'))) {
    fail('The package "node" brought no binary. Try: npm rebuild node --foreground-scripts');
  }
  console.log(`Installed the packages in ${Math.round((Date.now() - started) / 1000)} s`);
}
const env = { ...process.env };
const search = Object.keys(env).find((key) => key.toUpperCase() === 'PATH') ?? 'PATH';
env[search] = [bin, path.join(root, 'node_modules/.bin'), env[search]].join(path.delimiter);
process.exitCode = await run(path.join(bin, 'node'), [path.join(root, `scripts/${name}.mjs`), ...args], env);
