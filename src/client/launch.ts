import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { copyFile, mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises';
import type http from 'node:http';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerInfo } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import type { Home } from '../api/home.ts';
import { NoServerError, request } from './http.ts';

/** How to run a JavaScript file with a Node that has SQLite (22.13 or later). */
export interface Launcher {
  command: string;
  env: Record<string, string>;
}

export interface LaunchOptions {
  home: Home;
  /** Holds `serverFiles`. */
  distDir: string;
  launcher?: Launcher | undefined;
  /** False once nobody waits for the server any more: none is started then. */
  wanted: () => boolean;
  log: (line: string) => void;
}

interface BuildInfo {
  version: string;
  hash: string;
  builtAt: number;
}

/** Files a server is made of; they are copied together. */
const serverFiles = ['server.mjs', 'writer.mjs', 'snapshot.mjs', 'agent.pyz', 'bootstrap.py', 'build.json'];

/** A server lives for days and mostly waits: a small young generation keeps it small. */
const memoryFlags = ['--max-semi-space-size=2'];

/** glibc gives every thread an arena of its own, which keeps what the thread once needed. */
const memoryVariables = { MALLOC_ARENA_MAX: '2' };

/** Waited for a started server to answer, and for a draining one to end. */
const startTimeoutMs = 30_000;
const drainTimeoutMs = 60_000;
const mostLogBytes = 4 * 1024 * 1024;

/** The living server's facts, or undefined when nobody answers. */
export async function askServer(home: Home, agent: http.Agent): Promise<ServerInfo | undefined> {
  try {
    const answer = await request(home.socket, agent, { method: 'GET', path: '/v1/server' });
    return answer.status === 200 ? (JSON.parse(answer.body.toString()) as ServerInfo) : undefined;
  } catch (error) {
    if (error instanceof NoServerError) return undefined;
    throw error;
  }
}

/**
 * Makes sure that a server of this home answers, and that it is not older than this client: an older one
 * is asked to drain and end first. Throws `unavailable` with the server log's last lines when none starts.
 */
export async function ensureServer(options: LaunchOptions, agent: http.Agent): Promise<ServerInfo> {
  const { home, log } = options;
  const mine = await readBuildInfo(options.distDir);
  const living = await askServer(home, agent);
  if (living && !living.draining && (living.build === mine.hash || living.builtAt >= mine.builtAt)) {
    return living;
  }
  if (living) {
    log(
      `server ${living.version} (pid ${living.pid}) is older than this client or ending; waiting for its end`,
    );
    await drain(home, agent, living.pid);
  }
  // A closed client hears no answer: that says nothing about the server.
  if (!options.wanted()) throw new RunyardError('canceled', 'The connection to the server was closed.');
  return start(options, mine, agent);
}

async function drain(home: Home, agent: http.Agent, pid: number): Promise<void> {
  await request(home.socket, agent, {
    method: 'POST',
    path: '/v1/server/drain',
    body: { reason: 'a newer client is here' },
  }).catch(() => undefined);
  const deadline = Date.now() + drainTimeoutMs;
  while (Date.now() < deadline) {
    const now = await askServer(home, agent);
    if (!now || now.pid !== pid) return;
    await sleep(50);
  }
  throw new RunyardError('unavailable', `The older server (process ${pid}) does not end.`, {
    action: `End process ${pid} and try again.`,
  });
}

async function start(options: LaunchOptions, mine: BuildInfo, agent: http.Agent): Promise<ServerInfo> {
  const { home, log } = options;
  await mkdir(home.serverDir, { recursive: true, mode: 0o700 });
  const dist = await copyDist(options, mine);
  const launcher = options.launcher ?? findNode(options.distDir);
  await rotateLog(home.serverLog);
  const logFile = await open(home.serverLog, 'a', 0o600);
  const logStart = (await logFile.stat()).size;
  let exit: string | undefined;
  try {
    const child = spawn(
      launcher.command,
      [...memoryFlags, path.join(dist, 'server.mjs'), '--home', home.dir],
      {
        cwd: home.dir,
        detached: true,
        stdio: ['ignore', logFile.fd, logFile.fd],
        env: { ...baseEnvironment(), ...launcher.env, ...memoryVariables },
        windowsHide: true,
      },
    );
    child.on('error', (error) => (exit = error.message));
    // Exit code 0 means that another server was quicker: it will answer.
    child.on('exit', (code, signal) => {
      if (code !== 0) exit = `exit ${code ?? signal}`;
    });
    child.unref();
    log(`started the server from ${dist} (pid ${child.pid})`);
  } finally {
    await logFile.close();
  }
  const deadline = Date.now() + startTimeoutMs;
  for (let wait = 5; Date.now() < deadline; wait = Math.min(wait * 1.5, 100)) {
    const living = await askServer(home, agent);
    if (living) return living;
    if (exit) break;
    await sleep(wait);
  }
  const tail = (await readFile(home.serverLog, 'utf8').catch(() => '')).slice(logStart).trim().slice(-800);
  throw new RunyardError(
    'unavailable',
    `The Runyard server did not start (${exit ?? 'no answer'}). ${tail}`,
    {
      action: `See ${home.serverLog}.`,
    },
  );
}

/** One older log is kept. */
async function rotateLog(file: string): Promise<void> {
  const size = await stat(file).then(
    (s) => s.size,
    () => 0,
  );
  if (size > mostLogBytes) await rename(file, `${file}.1`).catch(() => undefined);
}

/** The server runs from a copy of its own: an extension update deletes the old extension's folder. */
async function copyDist(options: LaunchOptions, mine: BuildInfo): Promise<string> {
  const target = path.join(options.home.distDir, mine.hash);
  if (existsSync(path.join(target, 'build.json'))) return target;
  const temporary = path.join(options.home.distDir, `.${mine.hash}.${randomUUID()}`);
  await mkdir(temporary, { recursive: true, mode: 0o700 });
  for (const name of serverFiles) {
    await copyFile(path.join(options.distDir, name), path.join(temporary, name), constants.COPYFILE_FICLONE);
  }
  try {
    await rename(temporary, target);
  } catch (cause) {
    await rm(temporary, { recursive: true, force: true });
    if (!existsSync(path.join(target, 'build.json'))) {
      throw new RunyardError('internal', `The server could not be copied to ${target}.`, { cause });
    }
  }
  await removeOldCopies(options.home.distDir, mine.hash);
  return target;
}

/** Keeps the newest three: an older server may still be draining from its copy. */
async function removeOldCopies(distDir: string, current: string): Promise<void> {
  const copies: { name: string; builtAt: number }[] = [];
  for (const name of await readdir(distDir)) {
    if (name === current || name.startsWith('.')) continue;
    const info = await readBuildInfo(path.join(distDir, name)).catch(() => undefined);
    copies.push({ name, builtAt: info?.builtAt ?? 0 });
  }
  copies.sort((a, b) => b.builtAt - a.builtAt);
  for (const { name } of copies.slice(2))
    await rm(path.join(distDir, name), { recursive: true, force: true });
}

async function readBuildInfo(dir: string): Promise<BuildInfo> {
  try {
    return JSON.parse(await readFile(path.join(dir, 'build.json'), 'utf8')) as BuildInfo;
  } catch (cause) {
    throw new RunyardError('not_found', `The server's files are missing in ${dir}.`, {
      action: 'Reinstall Runyard, or run "npm run build" in a checkout.',
      cause,
    });
  }
}

/** A server serves every window and shell: it takes over nothing of the one that happened to start it. */
function baseEnvironment(): Record<string, string> {
  const keep = [
    'HOME',
    'USER',
    'LOGNAME',
    'PATH',
    'LANG',
    'LC_ALL',
    'TMPDIR',
    'SHELL',
    'TZ',
    'SYSTEMROOT',
    'USERPROFILE',
    'APPDATA',
    'LOCALAPPDATA',
    'XDG_RUNTIME_DIR',
    'SSH_AUTH_SOCK',
  ];
  const testing = Object.keys(process.env).filter((name) => name.startsWith('RUNYARD_SERVER_'));
  return Object.fromEntries(
    [...keep, ...testing].flatMap((name) => {
      const value = process.env[name];
      return value === undefined ? [] : [[name, value]];
    }),
  );
}

function findNode(distDir: string): Launcher {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 22 || (major === 22 && minor >= 13)) {
    return {
      command: process.execPath,
      env: process.versions['electron'] ? { ELECTRON_RUN_AS_NODE: '1' } : {},
    };
  }
  const local = path.join(distDir, '../node_modules/node/bin/node');
  if (existsSync(local)) return { command: local, env: {} };
  throw new RunyardError(
    'unavailable',
    `Runyard's server needs Node 22.13 or later; this is ${process.versions.node}.`,
    {
      action: 'Install a newer Node, or run "npm install" in the checkout, which brings one.',
    },
  );
}
