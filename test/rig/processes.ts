import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = path.dirname(path.dirname(path.dirname(fileURLToPath(import.meta.url))));

/** The Node 24 that came with the development dependencies; else the one that runs this. */
export function node24(): string {
  const bundled = path.join(repository, 'node_modules/node/bin/node');
  return existsSync(bundled) ? bundled : process.execPath;
}

/**
 * The environment without what npm, a test runner or a surrounding editor added, and with Node 24 first on
 * the path: what a program started by a person would see.
 */
export function cleanEnvironment(extra: Record<string, string | undefined> = {}): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env };
  for (const name of Object.keys(env)) {
    if (/^(npm_(lifecycle|package)_|VSCODE_)/.test(name)) delete env[name];
  }
  for (const name of [
    'NODE_TEST_CONTEXT',
    'NODE_OPTIONS',
    'NODE_ENV',
    'ELECTRON_RUN_AS_NODE',
    'INIT_CWD',
    'npm_config_local_prefix',
    'npm_command',
    'npm_execpath',
    'npm_node_execpath',
    'PORT',
    'PASSWORD',
  ]) {
    delete env[name];
  }
  const rest = (env['PATH'] ?? '').split(path.delimiter).filter((dir) => !dir.includes('node_modules'));
  env['PATH'] = [path.dirname(node24()), ...rest].join(path.delimiter);
  for (const [name, value] of Object.entries(extra)) {
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  return env;
}

/** Runs a program to its end; throws with the end of its output where it fails. */
export async function run(command: string, args: string[], options: SpawnOptions = {}): Promise<string> {
  const child = spawn(command, args, {
    env: cleanEnvironment(),
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (output += data.toString()));
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve(status ?? signal));
  });
  if (code !== 0) {
    const tail = output.trimEnd().split('\n').slice(-30).join('\n');
    throw new Error(`${[command, ...args].join(' ')} ended with ${code}:\n${tail}`);
  }
  return output;
}

export function ended(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Ends a process that was started `detached`, with its whole group: asks first, then insists. */
export async function stopGroup(child: ChildProcess, graceMs = 10_000): Promise<void> {
  const signal = (name: NodeJS.Signals): void => {
    try {
      if (child.pid) process.kill(-child.pid, name);
    } catch {
      // Nobody of the group is left.
    }
  };
  if (!ended(child)) {
    const closed = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    signal('SIGTERM');
    const timer = setTimeout(() => signal('SIGKILL'), graceMs);
    await closed;
    clearTimeout(timer);
  }
  signal('SIGKILL');
}
