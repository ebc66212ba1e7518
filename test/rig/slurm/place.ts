import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { finish, type Finished, type SshHost } from '../ssh-host.ts';
import { Keeper } from '../ssh-keeper.ts';

/** The system in which a cluster is made: its login node. */
export interface Place {
  /** Of the cluster's files, by the same name on all its machines. */
  readonly folder: string;
  /** Whether /tmp holds what the machines must share. */
  readonly sharesTmp: boolean;
  write(name: string, content: string, mode?: number): void;
  /** Runs a program as root to its end. */
  exec(argv: string[], input?: string | Uint8Array): Promise<Finished>;
  /** Starts a program that ends with the place; resolves with the first line it writes. */
  start(name: string, argv: string[]): Promise<string>;
  close(): Promise<void>;
}

/** On a test host: all of the cluster is inside its namespaces, and goes with them. */
export class HostPlace implements Place {
  readonly folder = '/srv/cluster';
  readonly sharesTmp = false;
  private readonly host: SshHost;

  constructor(host: SshHost) {
    this.host = host;
    mkdirSync(host.path(this.folder), { recursive: true });
  }

  write(name: string, content: string, mode = 0o644): void {
    writeFileSync(this.host.path(path.join(this.folder, name)), content, { mode });
  }

  exec(argv: string[], input?: string | Uint8Array): Promise<Finished> {
    return this.host.exec(argv, input);
  }

  async start(name: string, argv: string[]): Promise<string> {
    return firstLine(name, this.host.spawn(argv));
  }

  async close(): Promise<void> {
    await this.host.stop();
  }
}

const paths = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** On this machine, with its files and processes, but with a network, a name and a /etc/slurm of its own. */
export class RoomPlace implements Place {
  readonly folder: string;
  readonly sharesTmp = true;
  private readonly keeper: Keeper;
  private pid = '';

  private constructor() {
    this.folder = mkdtempSync(path.join(os.tmpdir(), 'ry-slurm-'));
    // Every user of the machine may submit jobs.
    chmodSync(this.folder, 0o755);
    this.keeper = new Keeper(this.folder);
  }

  static async open(name: string): Promise<RoomPlace> {
    const room = new RoomPlace();
    try {
      const line = `hostname '${name}' && ip link set lo up && echo $$ && exec sleep infinity`;
      const flags = ['--net', '--mount', '--uts', '--propagation', 'slave'];
      room.pid = await room.keeper.start('room', ['unshare', ...flags, 'sh', '-c', line]);
    } catch (error) {
      await room.close();
      throw error;
    }
    return room;
  }

  /** Words before a command that is to be run inside; the folder it runs in stays. */
  get prefix(): string[] {
    return [path.join(this.folder, 'enter')];
  }

  /** Programs that go inside by themselves. */
  get bin(): string {
    return path.join(this.folder, 'bin');
  }

  /** Makes `prefix` and `bin`. */
  openDoors(programs: string[]): void {
    const nsenter = `nsenter -t ${this.pid} -m -n -u -- sh -c 'cd "$0" && exec "$@"' "$PWD"`;
    // Jobs have this folder on their PATH as well, as they have the environment of who submitted them.
    const isInside = `[ /etc/slurm/slurm.conf -ef '${this.folder}/etc/slurm.conf' ]`;
    const script = (program: string): string =>
      `#!/bin/sh\n${isInside} && exec ${program} "$@"\nexec ${nsenter} ${program} "$@"\n`;
    this.write('enter', script('env'), 0o755);
    mkdirSync(this.bin);
    for (const name of programs) this.write(`bin/${name}`, script(`/usr/bin/${name}`), 0o755);
  }

  write(name: string, content: string, mode = 0o644): void {
    writeFileSync(path.join(this.folder, name), content, { mode });
  }

  exec(argv: string[], input?: string | Uint8Array): Promise<Finished> {
    const enter = ['-t', this.pid, '-m', '-n', '-u', '--', ...argv];
    const env = { PATH: paths, HOME: '/root', LC_ALL: 'C.UTF-8' };
    return finish(spawn('nsenter', enter, { stdio: 'pipe', env }), input);
  }

  start(name: string, argv: string[]): Promise<string> {
    return this.keeper.start(name, ['nsenter', '-t', this.pid, '-m', '-n', '-u', '--', ...argv]);
  }

  async close(): Promise<void> {
    try {
      await this.keeper.close();
    } finally {
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

/** Of a program that goes on: a test that forgot to close it ends all the same. */
async function firstLine(name: string, child: ChildProcess): Promise<string> {
  let errors = '';
  let said = '';
  child.stderr!.on('data', (data: Buffer) => (errors += data.toString()));
  child.stdout!.on('data', (data: Buffer) => (said += data.toString()));
  while (!said.includes('\n')) {
    const heard = once(child.stdout!, 'data').then(() => true);
    const ended = once(child, 'close').then(() => false);
    if (!(await Promise.race([heard, ended]))) throw new Error(`${name} ended at its start: ${errors}`);
  }
  child.unref();
  for (const stream of [child.stdin, child.stdout, child.stderr])
    if (stream instanceof Socket) stream.unref();
  return said.split('\n')[0]!.trim();
}
