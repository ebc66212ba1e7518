import { spawn, type ChildProcess } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  existsSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Run, RunDetail } from '../../src/api/entities.ts';
import type { RunStatus } from '../../src/api/run-status.ts';
import { isTerminal } from '../../src/api/run-status.ts';
import type { SubmitRequest } from '../../src/api/requests.ts';
import { Client } from '../../src/client/client.ts';

export const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const dist = path.join(repository, 'dist');
const mostMs = 180_000;

export interface HomeOptions {
  /** Where the home is made; a tmpfs for tests of a full disk. */
  parent?: string;
  distDir?: string;
  /** Settings of the server (`RUNYARD_SERVER_...`). */
  server?: Record<string, string>;
}

/** A home of its own with its own server, for one test file; everything started in it is ended by `close`. */
export class TestHome {
  readonly dir: string;
  readonly client: Client;
  readonly folders: string;
  private readonly base: string;
  private readonly distDir: string;

  constructor(options: HomeOptions = {}) {
    this.base = mkdtempSync(path.join(options.parent ?? os.tmpdir(), 'ry-'));
    this.dir = path.join(this.base, 'home');
    this.folders = path.join(this.base, 'folders');
    mkdirSync(this.folders);
    Object.assign(process.env, options.server ?? {});
    this.distDir = options.distDir ?? dist;
    this.client = this.newClient();
  }

  /** One more client, as another window or shell would be. */
  newClient(): Client {
    return new Client({ home: this.dir, distDir: this.distDir });
  }

  /** A folder with files; names may hold anything. */
  folder(name: string, files: Record<string, string | Uint8Array>): string {
    const dir = path.join(this.folders, name);
    for (const [file, content] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(dir, file)), { recursive: true });
      writeFileSync(path.join(dir, file), content);
    }
    return dir;
  }

  submit(folder: string, more: Partial<SubmitRequest> = {}): Promise<Run> {
    const environment = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '' };
    return this.client.call('submitRun', {
      params: { workspace: 'default' },
      body: { folder, environment, ...more },
    });
  }

  /** Submits one Python script. */
  script(source: string, more: Partial<SubmitRequest> = {}): Promise<Run> {
    const folder = this.folder(`script-${Math.random().toString(36).slice(2)}`, { 'train.py': source });
    return this.submit(folder, { configuration: { script: 'train.py' }, ...more });
  }

  detail(run: string): Promise<RunDetail> {
    return this.client.call('getRun', { params: { workspace: 'default', run } });
  }

  cancel(run: string): Promise<Run> {
    return this.client.call('cancelRun', { params: { workspace: 'default', run } });
  }

  /** Waits for a condition on the run. The long limit is for a machine that hangs, not for speed. */
  async until(run: string, what: string, condition: (run: RunDetail) => boolean): Promise<RunDetail> {
    const deadline = Date.now() + mostMs;
    for (;;) {
      const detail = await this.detail(run);
      if (condition(detail)) return detail;
      if (Date.now() > deadline) throw new Error(`${run} is not ${what}: ${JSON.stringify(detail, null, 1)}`);
      await sleep(50);
    }
  }

  ended(run: string): Promise<RunDetail> {
    return this.until(run, 'ended', ({ status }) => isTerminal(status));
  }

  reaches(run: string, status: RunStatus): Promise<RunDetail> {
    return this.until(run, status, (detail) => detail.status === status || isTerminal(detail.status));
  }

  async log(run: string): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let offset = 0; ;) {
      const { data } = await this.client.bytes('readArtifact', {
        params: { workspace: 'default', run },
        query: { path: 'user_logs/std_log.txt', offset, length: 4 * 1024 * 1024 },
      });
      if (data.byteLength === 0) return Buffer.concat(parts);
      parts.push(Buffer.from(data));
      offset += data.byteLength;
    }
  }

  /** Every point of a metric, in order of arrival. */
  async points(run: string, name: string): Promise<{ steps: number[]; values: (number | string)[] }> {
    const { windows } = await this.client.call('getWindows', {
      params: { workspace: 'default', run },
      body: { names: [name], points: 20_000 },
    });
    const window = windows[0];
    if (!window) return { steps: [], values: [] };
    if (window.sampled) throw new Error(`${name} has more points than fit`);
    return { steps: window.steps, values: window.values };
  }

  /** The attempt's folder on the local host. */
  attemptDir(run: string): string {
    return path.join(this.dir, 'host/runs', run, 'attempts/1');
  }

  /** All lines of the journals as the script wrote them. */
  journalLines(run: string): Record<string, unknown>[] {
    const dir = path.join(this.attemptDir(run), 'journal');
    return readdirSync(dir).flatMap((file) =>
      readFileSync(path.join(dir, file), 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    );
  }

  async serverPid(): Promise<number> {
    return (await this.client.call('getServer')).pid;
  }

  /** As the system would end it: without a word. Resolves when it is gone. */
  async killServer(): Promise<void> {
    const pid = await this.serverPid();
    process.kill(pid, 'SIGKILL');
    while (isAlive(pid)) await sleep(5);
  }

  /** Processes of this home that are alive: those whose environment or command line names it. */
  processes(mark: string = this.base): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => {
        try {
          const text =
            readFileSync(`/proc/${pid}/environ`, 'latin1') + readFileSync(`/proc/${pid}/cmdline`, 'latin1');
          return text.includes(mark) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
        } catch {
          return false;
        }
      })
      .map(Number);
  }

  async close(): Promise<void> {
    try {
      const { runs } = await this.client.call('listRuns', {
        params: { workspace: 'default' },
        query: { active: 'true', limit: 1000 },
      });
      for (const run of runs) await this.cancel(run.id).catch(() => undefined);
      for (const run of runs) await this.ended(run.id).catch(() => undefined);
    } catch {
      // The workspace may be what the test destroyed.
    }
    await this.client.call('drainServer', { body: {} }).catch(() => undefined);
    this.client.close();
    const deadline = Date.now() + 20_000;
    while (this.processes().length > 0 && Date.now() < deadline) await sleep(50);
    for (const pid of this.processes()) process.kill(pid, 'SIGKILL');
    rmSync(this.base, { recursive: true, force: true });
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !readFileSync(`/proc/${pid}/stat`, 'latin1').match(/^\d+ \(.*\) Z/);
  } catch {
    return false;
  }
}

/** The command line of this checkout, against a home. */
export function cli(home: string, args: string[], env: Record<string, string> = {}): ChildProcess {
  return spawn(process.execPath, [path.join(dist, 'cli.mjs'), ...args], {
    env: { ...process.env, RUNYARD_HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

export async function runCli(
  home: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = cli(home, args, env);
  let stdout = '';
  let stderr = '';
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

export function isBuilt(): boolean {
  return existsSync(path.join(dist, 'build.json'));
}
