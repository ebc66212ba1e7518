import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { resolveHome, type Home } from '../api/home.ts';
import { backUpBeforeMigration } from './backup.ts';
import { ServerLock } from './lock.ts';
import { RunyardServer } from './server.ts';

// The editor starts this with its own Node; what made it a Node, and what keeps it small, must not reach the children.
delete process.env['ELECTRON_RUN_AS_NODE'];
delete process.env['MALLOC_ARENA_MAX'];

const idleMinutes = 10;
const lockTimeoutMs = 30_000;
const log = (line: string) => console.error(`${new Date().toISOString()} ${line}`);

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { home: { type: 'string' } } });
  const home = resolveHome(values.home);
  mkdirSync(home.dir, { recursive: true, mode: 0o700 });
  const lock = await takeLock(home);
  if (!lock) {
    log('another server has this home');
    return;
  }
  const here = path.dirname(fileURLToPath(import.meta.url));
  const bundled = existsSync(path.join(here, 'build.json'));
  const dist = bundled ? here : path.join(here, '../../dist');
  const build = JSON.parse(readFileSync(path.join(dist, 'build.json'), 'utf8')) as {
    version: string;
    hash: string;
    builtAt: number;
  };
  await backUpBeforeMigration(home, log);
  const server = new RunyardServer({
    home,
    version: build.version,
    build: build.hash,
    builtAt: build.builtAt,
    agentFile: path.join(dist, 'agent.pyz'),
    writerThread: new URL(bundled ? './writer.mjs' : './writer-thread.ts', import.meta.url),
    snapshotThread: new URL(bundled ? './snapshot.mjs' : './snapshot-thread.ts', import.meta.url),
    idleMs: Number(process.env['RUNYARD_SERVER_IDLE_SECONDS'] ?? idleMinutes * 60) * 1000,
    log,
    ended: () => {
      lock.release();
      process.exit(0);
    },
  });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => server.drain(signal));
  process.on('uncaughtException', (error) => log(`uncaught: ${error.stack}`));
  process.on('unhandledRejection', (error) => log(`unhandled: ${(error as Error)?.stack ?? String(error)}`));
  await server.start();
}

/**
 * The lock; undefined when another server answers. One that is ending answers no more and has the lock for a
 * moment yet: it is waited for.
 */
async function takeLock(home: Home): Promise<ServerLock | undefined> {
  const deadline = Date.now() + lockTimeoutMs;
  for (;;) {
    const lock = ServerLock.acquire(home.serverDir);
    if (lock || Date.now() > deadline || (await answers(home.socket))) return lock;
    await sleep(20);
  }
}

function answers(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = net.connect(socket);
    const done = (answer: boolean) => {
      connection.destroy();
      resolve(answer);
    };
    connection.on('connect', () => done(true));
    connection.on('error', () => done(false));
  });
}

main().catch((error: Error) => {
  log(`cannot start: ${error.message}`);
  process.exit(1);
});
