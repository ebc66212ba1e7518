import { spawn, type ChildProcess } from 'node:child_process';
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { once } from 'node:events';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { component } from '../../../scripts/system-packages.mjs';
import type { SshHost } from '../ssh-host.ts';
import { testImage, testImageTar } from './image.ts';
import { dockerRigProblem } from './problem.ts';

export { testImage } from './image.ts';
export { dockerRigProblem, skipWithoutDocker } from './problem.ts';

export interface EngineOptions {
  /** Containers go on while the engine is away. */
  liveRestore?: boolean;
  /** Where its data lies: a small file system for tests of a full disk. */
  data?: string;
  /** On a test host, at its usual socket, for everybody there. */
  host?: SshHost;
  /** Without the test image. */
  empty?: boolean;
  /** Where it listens, by default in a folder of its own. */
  socket?: string;
  /** This folder is another one for the engine, as where it is on another machine. */
  blind?: string;
}

const longestMs = 60_000;

/** A real Docker engine of one test's own, with the test image, that no other engine of the machine knows. */
export class DockerEngine {
  /** For `DOCKER_HOST`. On a test host only that one can use it. */
  readonly address: string;
  private readonly dir: string;
  private readonly options: EngineOptions;
  private child: ChildProcess | undefined;
  private said = '';
  private room: ChildProcess | undefined;

  private constructor(options: EngineOptions) {
    this.options = options;
    // A host's own folder, so that both sides know it by a name.
    this.dir = options.host ? '/tmp/engine' : mkdtempSync(path.join(os.tmpdir(), 'ry-docker-'));
    this.address = `unix://${options.host ? '/var/run/docker.sock' : (options.socket ?? `${this.dir}/docker.sock`)}`;
  }

  static async start(options: EngineOptions = {}): Promise<DockerEngine> {
    const problem = dockerRigProblem();
    if (problem) throw new Error(problem);
    const engine = new DockerEngine(options);
    try {
      await engine.begin();
      if (!options.empty) await engine.import(testImage);
    } catch (error) {
      await engine.close();
      throw error;
    }
    return engine;
  }

  /** Makes the test image known under one more name. */
  async import(name: string): Promise<void> {
    const tar = await testImageTar();
    const child = this.spawnDocker(['import', '-', name]);
    createReadStream(tar).pipe(child.stdin!);
    child.stdin!.on('error', () => undefined);
    const { code, output } = await finished(child);
    if (code !== 0) throw new Error(`docker import ended with ${code}: ${output}`);
  }

  /**
   * A registry that only this engine reaches, with the test image in it; gives the image's name there. It ends with the
   * engine.
   */
  async registry(): Promise<string> {
    const folder = `${this.dir}/registry`;
    mkdirSync(folder, { recursive: true });
    const file = `${folder}/config.yml`;
    const storage = `storage:\n  filesystem:\n    rootdirectory: ${folder}/data\n`;
    writeFileSync(file, `version: 0.1\nlog:\n  level: error\n${storage}http:\n  addr: 127.0.0.1:5000\n`);
    this.apart([component('registry').path, 'serve', file]);
    const name = '127.0.0.1:5000/debian-python:12';
    await this.docker('tag', testImage, name);
    const deadline = Date.now() + longestMs;
    for (;;) {
      const { code, output } = await this.try(['push', '-q', name]);
      if (code === 0) break;
      if (Date.now() > deadline) throw new Error(`the registry takes no image: ${output}`);
      await sleep(100);
    }
    return name;
  }

  /** Starts it (again); resolves when it answers. */
  async begin(): Promise<void> {
    const { host, liveRestore, data } = this.options;
    const socket = this.address.slice('unix://'.length);
    const argv = [
      component('dockerd').path,
      ...['--data-root', data ?? `${this.dir}/data`, '--exec-root', `${this.dir}/exec`],
      ...['--pidfile', `${this.dir}/pid`, '-H', this.address],
      ...['--iptables=false', '--ip6tables=false'],
      ...(liveRestore ? ['--live-restore'] : []),
      ...(host ? ['-G', 'mia'] : []),
    ];
    if (host) await host.output(['mkdir', '-p', this.dir]);
    else mkdirSync(this.dir, { recursive: true });
    if (!host && !this.room) await this.openRoom();
    const child = host ? host.spawn(argv) : this.apart(argv);
    this.child = child;
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (part: Buffer) => (this.said = (this.said + part.toString()).slice(-2000)));
    child.on('error', (error) => (this.said += error.message));
    const deadline = Date.now() + longestMs;
    for (;;) {
      const { code } = await this.try(['version', '--format', '{{.Server.Version}}']);
      if (code === 0) return;
      if (Date.now() > deadline || child.exitCode !== null)
        throw new Error(`dockerd does not answer at ${socket}:\n${this.said}`);
      await sleep(50);
    }
  }

  /** Ends the engine in order: without `liveRestore` its containers end with it. */
  async stop(): Promise<void> {
    await this.end('TERM');
  }

  /** Ends it at once, as a crash does: its containers go on by themselves. */
  async kill(): Promise<void> {
    await this.end('KILL');
    // Its helper would hold the next one's place.
    const deadline = Date.now() + longestMs;
    while (this.processes('containerd.toml').length > 0 && Date.now() < deadline) {
      for (const pid of this.processes('containerd.toml')) kill(pid, 'SIGKILL');
      await sleep(20);
    }
    rmSync(`${this.dir}/exec/containerd/containerd.pid`, { force: true });
  }

  /** Output of a docker command that must succeed. */
  async docker(...args: string[]): Promise<string> {
    const { code, output } = await this.try(args);
    if (code !== 0) throw new Error(`docker ${args.join(' ')} ended with ${code}: ${output}`);
    return output.trim();
  }

  try(args: string[]): Promise<{ code: number | null; output: string }> {
    const child = this.spawnDocker(args);
    child.stdin!.end();
    return finished(child);
  }

  /** Names of all containers, also of those that have ended. */
  async containers(): Promise<string[]> {
    return lines(await this.docker('ps', '-a', '--format', '{{.Names}}'));
  }

  /** `name:tag` or id of everything there is, layers without a name among them. */
  async images(): Promise<string[]> {
    return lines(await this.docker('images', '-a', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}')).map(
      (one) => (one.startsWith('<none>') ? one.split(' ')[1]! : one.split(' ')[0]!),
    );
  }

  /** Ends everything; nothing of it is left. */
  async close(): Promise<void> {
    if (this.options.host) {
      await this.stop().catch(() => undefined);
      return;
    }
    if (this.child && this.child.exitCode === null) {
      const { output } = await this.try(['ps', '-aq']);
      const ids = lines(output);
      if (ids.length > 0) await this.try(['rm', '-f', ...ids]);
      await this.stop();
    }
    for (const pid of this.processes(this.dir)) kill(pid, 'SIGKILL');
    // Its mounts are nobody else's, and go with it.
    this.room?.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  /**
   * Starts a program in the engine's own network and mounts: engines side by side would fight for one bridge, and take
   * it from each other. With the test's process it ends, and with it its containers and mounts.
   */
  private apart(argv: string[]): ChildProcess {
    const bound = ['--pdeathsig', 'TERM', '--'];
    const enter = ['-t', String(this.room!.pid), '-n', '-m', '--'];
    return spawn('nsenter', [...enter, 'setpriv', ...bound, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  private async openRoom(): Promise<void> {
    const hide = this.options.blind ? `mount -t tmpfs tmpfs '${this.options.blind}' && ` : '';
    const line = `ip link set lo up && ${hide}echo ready && exec sleep infinity`;
    const room = ['unshare', '--net', '--mount', '--propagation', 'slave', 'sh', '-c', line];
    this.room = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...room], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [ready] = (await once(this.room.stdout!, 'data')) as [Buffer];
    if (!ready.toString().includes('ready')) throw new Error('no network of its own for the engine');
  }

  private spawnDocker(args: string[]): ChildProcess {
    const docker = component('docker').path;
    const { host } = this.options;
    if (host) return host.spawn([docker, ...args]);
    const env = { PATH: process.env['PATH'], HOME: this.dir, DOCKER_HOST: this.address };
    return spawn(docker, args, { stdio: 'pipe', env });
  }

  private async end(signal: 'TERM' | 'KILL'): Promise<void> {
    const { host } = this.options;
    const child = this.child;
    this.child = undefined;
    if (!child || child.exitCode !== null) return;
    const closed = new Promise((resolve) => child.once('exit', resolve));
    if (host) await host.exec(['sh', '-c', `kill -${signal} $(cat ${this.dir}/pid)`]);
    else kill(child.pid!, `SIG${signal}`);
    await closed;
  }

  private processes(mark: string): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => {
        try {
          const line = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
          return line.includes(mark) && line.includes(this.dir);
        } catch {
          return false;
        }
      })
      .map(Number);
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has gone by itself.
  }
}

function lines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
}

function finished(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (part: Buffer) => (output += part.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}
