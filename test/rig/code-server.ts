import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { withLock } from './lock.ts';
import { cleanEnvironment, repository, run } from './processes.ts';

/** The npm package code-server 4.139.1 is VS Code 1.139.1 for the browser; it runs on Node 24. */
const version = '4.139.1';

/** Counts up when the steps below change, so that an older installation is made anew. */
const recipe = 1;

const cache = process.env['RUNYARD_TEST_CACHE'] ?? path.join(repository, '.vscode-test');

/**
 * VS Code's logger is the one native module without a ready-made binary. This one of the same interface
 * writes the same files, and no compiler is needed.
 */
const logger = `'use strict';
const fs = require('fs');
const path = require('path');
let level = 2;
const names = ['trace', 'debug', 'info', 'warning', 'error', 'critical'];
class Logger {
  constructor(type, name, file) { this.file = file; this.level = level; this.raw = false; }
  write(at, message) {
    if (at < this.level || !this.file) return;
    const stamp = new Date().toISOString().replace('T', ' ').replace('Z', '');
    try {
      fs.appendFileSync(this.file, this.raw ? message : stamp + ' [' + names[at] + '] ' + message + '\\n');
    } catch {}
  }
  getLevel() { return this.level; }
  setLevel(value) { this.level = value; }
  setPattern() { this.raw = false; }
  clearFormatters() { this.raw = true; }
  flush() {}
  drop() { this.file = undefined; }
}
names.forEach((name, at) => {
  Logger.prototype[name === 'warning' ? 'warn' : name] = function (message) { this.write(at, message); };
});
async function create(type, name, file) {
  await fs.promises.mkdir(path.dirname(file), { recursive: true });
  return new Logger(type, name, file);
}
exports.version = 0;
exports.setLevel = (value) => { level = value; };
exports.setFlushOn = () => {};
exports.Logger = Logger;
exports.createRotatingLogger = (name, file) => create('rotating', name, file);
exports.createAsyncRotatingLogger = (name, file) => create('rotating_async', name, file);
`;

/** Where code-server's entry is once {@link installCodeServer} has run. */
const home = path.join(cache, 'code-server', version);
const entry = path.join(home, 'node_modules/code-server/out/node/entry.js');
const stamp = path.join(home, 'complete.json');
const wanted = JSON.stringify({ version, recipe, platform: process.platform, arch: process.arch });

async function complete(): Promise<boolean> {
  return (await readFile(stamp, 'utf8').catch(() => '')) === wanted && existsSync(entry);
}

export function codeServerIsInstalled(): Promise<boolean> {
  return complete();
}

/**
 * Installs code-server where it is not there yet (about 30 s, 620 MB) and returns its entry script. An
 * installation that was interrupted is made anew; of two callers at once one installs and the other waits.
 */
export async function installCodeServer(log: (text: string) => void = () => undefined): Promise<string> {
  if (await complete()) return entry;
  return withLock(path.join(cache, 'code-server.lock'), async () => {
    if (await complete()) return entry;
    log(`installing code-server ${version} (about half a minute, 620 MB)`);
    await rm(home, { recursive: true, force: true });
    await mkdir(home, { recursive: true });
    await writeFile(path.join(home, 'package.json'), '{ "private": true }\n');
    const npm = async (folder: string, args: string[]): Promise<void> => {
      await run('npm', [...args, '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
        cwd: folder,
        env: cleanEnvironment(),
      });
    };
    // Its own post-install steps (and argon2's) serve log-in by password, which is off here.
    await npm(home, ['install', `code-server@${version}`]);
    const vscode = path.join(home, 'node_modules/code-server/lib/vscode');
    log('installing the packages of VS Code itself');
    await npm(vscode, ['install', '--omit=dev']);
    await npm(path.join(vscode, 'extensions'), ['install', '--omit=dev']);
    await writeFile(path.join(vscode, 'node_modules/@vscode/spdlog/index.js'), logger);
    // Native as well; the extension host looks after its parent by other means too.
    await writeFile(
      path.join(vscode, 'node_modules/@vscode/native-watchdog/index.js'),
      'exports.start = () => {};\nexports.exit = process.exit;\n',
    );
    await writeFile(stamp, wanted);
    log(`installed code-server ${version}`);
    return entry;
  });
}

if (import.meta.main) await installCodeServer(console.log);
