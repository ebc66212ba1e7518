import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { component } from '../../scripts/system-packages.mjs';
import { repository } from './processes.ts';
import type { Keeper } from './ssh-keeper.ts';
import type { SshKeys } from './ssh-keys.ts';
import { SshLink, type LinkKind, type LinkWeather } from './ssh-link.ts';
import { pamService, sshdConfig } from './ssh-server.ts';

const hostScript = path.join(import.meta.dirname, 'ssh/host.py');
const pretendScript = path.join(import.meta.dirname, 'ssh/old-python.py');
const longestMs = 60_000;

/** How a host lets people in; several may be had. */
export type SignIn = 'key' | 'password' | 'keyboard-interactive' | 'certificate';

/** What `mia` and `root` sign in with where they may by password. */
export const defaultPassword = 'correct horse 9';

export interface SshHostOptions {
  /** Alias in the ssh configuration and the host's own name; `host<n>` by default. */
  name?: string;
  /** Who signs in, by default `mia`; both exist. */
  user?: 'mia' | 'root';
  /** Login shell of `user`; it must be installed on this machine. */
  shell?: string;
  /** By default `['key']`. */
  signIn?: SignIn[];
  password?: string;
  /**
   * The usual one; only after `export PATH=/opt/tools/bin:$PATH`; none at all; or a `python3` that says it is
   * 3.5.
   */
  python?: 'usual' | 'setup' | 'none' | 'old';
  /** `.bashrc` writes to both outputs before anything else, and the server has a banner. */
  noisy?: boolean;
  /** `~/.runyard` is there, is root's and cannot be written. */
  readOnlyRoot?: boolean;
  /** Only this host reaches it. */
  behind?: SshHost;
  link?: LinkKind;
  /** Of a `tun` link, from its start. */
  weather?: LinkWeather;
  mtu?: number;
  hostKeys?: ('ed25519' | 'rsa')[];
  /** The host shows a certificate of the rig's host authority. */
  hostCertificate?: boolean;
  /** Lines for the beginning of the server's configuration, where they win. */
  sshd?: string[];
  /** More files of the host, by absolute path. */
  files?: Record<string, string | { content: string; mode?: number; user?: string }>;
}

/** What a host is made of besides its options; `SshHosts` knows it. */
export interface SshHostPlace {
  keeper: Keeper;
  keys: SshKeys;
  base: string;
  network: { number: number; prefix: string };
  index: number;
}

export interface Finished {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export function finish(child: ChildProcess, input?: string | Uint8Array): Promise<Finished> {
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout?.on('data', (data: Buffer) => out.push(data));
  child.stderr?.on('data', (data: Buffer) => err.push(data));
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input ?? '');
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) =>
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }),
    );
  });
}

/** A real sshd on port 22 of an address of its own, in a system of its own (see `ssh/host.py`). */
export class SshHost {
  readonly name: string;
  readonly address: string;
  readonly port = 22;
  readonly user: 'mia' | 'root';
  readonly password: string;
  readonly options: SshHostOptions;
  /** Shell line after which a host with `python: 'setup'` has a python3. */
  readonly setup = 'export PATH=/opt/tools/bin:$PATH';
  private readonly place: SshHostPlace;
  private readonly near: string;
  private readonly dir: string;
  private readonly process: string;
  private generation = 0;
  private init = 0;
  private pidNamespace = '';
  private wire: SshLink | undefined;
  /** Hosts behind this one, whose links end here. */
  private readonly inner: SshHost[] = [];

  private constructor(options: SshHostOptions, place: SshHostPlace) {
    this.options = options;
    this.place = place;
    this.name = options.name ?? `host${place.index}`;
    this.user = options.user ?? 'mia';
    this.password = options.password ?? defaultPassword;
    const { prefix } = place.network;
    this.near = `${prefix}${place.index * 4 + 1}`;
    this.address = `${prefix}${place.index * 4 + 2}`;
    this.process = `host-${place.index}`;
    this.dir = path.join(place.base, this.process);
    mkdirSync(this.dir);
    options.behind?.inner.push(this);
  }

  /** Of `SshHosts.start`. */
  static async start(options: SshHostOptions, place: SshHostPlace): Promise<SshHost> {
    const host = new SshHost(options, place);
    await host.boot();
    return host;
  }

  /** The home folder of its user, as this machine sees it. */
  get homeDir(): string {
    return this.homeOf(this.user);
  }

  homeOf(user: 'mia' | 'root'): string {
    return path.join(this.dir, user === 'root' ? 'root' : 'home/mia');
  }

  /** The same folder as the host calls it. */
  get homePath(): string {
    return this.user === 'root' ? '/root' : '/home/mia';
  }

  /** Any path of the host, as this machine sees it, until the host is stopped or rebooted. */
  path(inside: string): string {
    return path.join(`/proc/${this.running}/root`, inside);
  }

  private async boot(): Promise<void> {
    const { keeper } = this.place;
    writeFileSync(path.join(this.dir, 'host.json'), JSON.stringify(this.specification()));
    const inside = [
      '/usr/bin/python3',
      '-S',
      '-E',
      hostScript,
      path.join(this.dir, 'host.json'),
      pretendScript,
    ];
    const flags = ['--mount', '--net', '--pid', '--uts', '--ipc', '--fork', '--kill-child=KILL'];
    this.init = Number(await keeper.start(this.process, ['unshare', ...flags, ...inside]));
    this.pidNamespace = readlinkSync(`/proc/${this.init}/ns/pid`);
    await this.connect();
    for (const host of this.inner) if (host.init) await host.connect();
    await this.startSshd();
  }

  private async connect(): Promise<void> {
    const { keeper, index, network } = this.place;
    const { behind, link = 'veth', weather, mtu = link === 'tun' ? 9000 : 1500 } = this.options;
    this.wire = await SshLink.make(keeper, link, {
      number: network.number,
      host: index,
      near: { pid: behind?.init, address: this.near },
      far: { pid: this.init, address: this.address },
      mtu,
    });
    if (weather) await this.wire.weather(weather);
  }

  private async disconnect(): Promise<void> {
    await this.wire?.remove();
    this.wire = undefined;
  }

  private specification(): unknown {
    const { options, user } = this;
    const file = (name: string, content: string, mode = 0o644, owner: string | null = null) => ({
      path: name,
      content,
      mode,
      user: owner,
    });
    const files = [
      ...this.serverFiles(),
      file('/etc/ssh/rig/sshd_config', sshdConfig(options)),
      file('/etc/pam.d/sshd', pamService),
    ];
    if (options.noisy) {
      const noise =
        'echo "Welcome to the cluster! {\\"type\\": 1}"\necho "quota: 93% used" >&2\nprintf "no end of line"\n';
      files.push(file(`${this.homePath}/.bashrc`, noise, 0o644, user));
      files.push(file('/etc/ssh/rig/banner', '*** Authorised people only. ***\n'));
    }
    for (const [name, value] of Object.entries(options.files ?? {})) {
      const { content, mode, user: owner } = typeof value === 'string' ? { content: value } : value;
      files.push(file(name, content, mode, owner));
    }
    return {
      name: this.name,
      dir: this.dir,
      boot: randomUUID(),
      hidden: [repository],
      python: options.python ?? 'usual',
      users: (['root', 'mia'] as const).map((name) => ({
        name,
        shell: name === user ? (options.shell ?? '/bin/bash') : '/bin/bash',
        password: this.password,
      })),
      files,
      folders: options.readOnlyRoot ? [{ path: `${this.homePath}/.runyard`, mode: 0o555, user: null }] : [],
    };
  }

  /** The host's keys and what it trusts. */
  private serverFiles(): { path: string; content: string; mode: number; user: string | null }[] {
    const { keys } = this.place;
    const files = [
      ['authorized_keys', keys.authorized],
      ['user-ca.pub', keys.userAuthority],
    ];
    for (const type of this.options.hostKeys ?? ['ed25519']) {
      const key = keys.hostKey(this.process, type, this.generation);
      files.push([`host_${type}`, readFileSync(key, 'utf8')], [`host_${type}.pub`, keys.public(key)]);
      if (this.options.hostCertificate)
        files.push([`host_${type}-cert.pub`, keys.hostCertificate(key, this.address)]);
    }
    return files.map(([name, content]) => ({
      path: `/etc/ssh/rig/${name}`,
      content: content!.endsWith('\n') ? content! : `${content}\n`,
      mode: name!.startsWith('host_') && !name!.endsWith('.pub') ? 0o600 : 0o644,
      user: null,
    }));
  }

  /** Lines of `known_hosts` that make the host known. */
  get knownHosts(): string[] {
    const { keys } = this.place;
    if (this.options.hostCertificate) return [`@cert-authority ${this.address} ${keys.hostAuthority}`];
    return (this.options.hostKeys ?? ['ed25519']).map(
      (type) => `${this.address} ${keys.public(keys.hostKey(this.process, type, this.generation))}`,
    );
  }

  /** `SHA256:...` of a host key, as ssh shows it. */
  async fingerprint(type: 'ed25519' | 'rsa' = 'ed25519'): Promise<string> {
    const key = this.place.keys.hostKey(this.process, type, this.generation);
    const { stdout } = await finish(spawn('ssh-keygen', ['-l', '-f', `${key}.pub`]));
    return stdout.split(' ')[1]!;
  }

  /** From here on the server shows other host keys, as after a new installation. */
  async changeHostKeys(): Promise<void> {
    this.generation++;
    for (const file of this.serverFiles()) {
      writeFileSync(this.path(file.path), file.content, { mode: file.mode });
    }
    await this.restartSshd();
  }

  private inside(argv: string[]): string[] {
    const minimal = [
      `HOME=/root`,
      'LC_ALL=C.UTF-8',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    ];
    const enter = ['-t', String(this.running), '-m', '-n', '-p', '-u', '-i', '--', 'env', '-i', ...minimal];
    return [...enter, ...argv];
  }

  /** Starts a program on the host as root, past ssh. */
  spawn(argv: string[]): ChildProcess {
    return spawn('nsenter', this.inside(argv), { stdio: 'pipe' });
  }

  /** Runs a program on the host as root, past ssh, to its end. */
  exec(argv: string[], input?: string | Uint8Array): Promise<Finished> {
    return finish(this.spawn(argv), input);
  }

  /** The same, where it must succeed; what it wrote. */
  async output(argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.exec(argv);
    if (code !== 0)
      throw new Error(`${argv.join(' ')} ended with ${code} on ${this.name}: ${stdout}${stderr}`);
    return stdout;
  }

  /** A shell line on the host as its user, past ssh. */
  shell(line: string): Promise<Finished> {
    return this.exec([
      'setpriv',
      '--reuid',
      this.user,
      '--regid',
      this.user,
      '--init-groups',
      'sh',
      '-c',
      line,
    ]);
  }

  /** Resolves when it accepts connections. */
  async startSshd(): Promise<void> {
    const sshd = component('sshd').path;
    await this.output(['sh', '-c', 'mkdir -p /run/sshd && rm -f /run/sshd.pid']);
    await this.output([sshd, '-f', '/etc/ssh/rig/sshd_config', '-E', '/var/log/sshd.log']);
    // It writes its number when it listens.
    const deadline = Date.now() + longestMs;
    while (!this.listener()) {
      if (Date.now() > deadline) throw new Error(`sshd of ${this.name} does not start: ${this.log()}`);
      await sleep(5);
    }
  }

  private listener(): number | undefined {
    try {
      const inside = Number(readFileSync(this.path('/run/sshd.pid'), 'utf8'));
      return inside ? this.outer(inside) : undefined;
    } catch {
      return undefined;
    }
  }

  /** New connections are refused; those that are stay. */
  async stopSshd(): Promise<void> {
    const pid = this.listener();
    if (pid === undefined) return;
    process.kill(pid, 'SIGKILL');
    const deadline = Date.now() + longestMs;
    while (this.all().includes(pid) && Date.now() < deadline) await sleep(5);
  }

  async restartSshd(): Promise<void> {
    await this.stopSshd();
    await this.startSshd();
  }

  /** What the server has said, since the host was made. */
  log(): string {
    try {
      return readFileSync(path.join(this.dir, 'log/sshd.log'), 'utf8');
    } catch {
      return '';
    }
  }

  private all(): number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => {
        try {
          if (readlinkSync(`/proc/${pid}/ns/pid`) !== this.pidNamespace) return false;
          return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
        } catch {
          return false;
        }
      });
  }

  private isServer(pid: number): boolean {
    try {
      return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('sshd');
    } catch {
      return false;
    }
  }

  /**
   * Processes on the host, as this machine numbers them, without its first one and the ssh server's own; with
   * a mark those only whose environment or command line has it.
   */
  processes(mark = ''): number[] {
    return this.all().filter((pid) => {
      if (pid === this.init || this.isServer(pid)) return false;
      try {
        const text =
          readFileSync(`/proc/${pid}/environ`, 'latin1') + readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        return text.includes(mark);
      } catch {
        return false;
      }
    });
  }

  /** This machine's number of a process that the host numbers so; undefined when it is gone. */
  outer(inside: number): number | undefined {
    return this.all().find((pid) => {
      try {
        const numbers = /^NSpid:\s*(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
        return Number(numbers?.split(/\s+/).at(-1)) === inside;
      } catch {
        return false;
      }
    });
  }

  /** The server's processes that serve a connection. */
  sessions(): number[] {
    const listener = this.listener();
    return this.all().filter((pid) => pid !== listener && this.isServer(pid));
  }

  /** Packets are dropped, both ways, and nobody is told. */
  async cut(): Promise<void> {
    await this.link.cut();
  }

  async mend(): Promise<void> {
    await this.link.mend();
  }

  /** Sets delay, loss and rate of a `tun` link; what is not named stays. */
  async weather(weather: LinkWeather): Promise<void> {
    await this.link.weather(weather);
  }

  /** Ends what serves the connections, as an administrator or the host's own out-of-memory killer does. */
  killSessions(): void {
    for (const pid of this.sessions()) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It went with another one.
      }
    }
  }

  /** Resets every connection to the ssh server, as a firewall or a router that forgot does. */
  async reset(): Promise<void> {
    const filter = ['state', 'connected', 'sport', '=', ':22'];
    await this.output(['ss', '-K', '-t', '-H', ...filter]);
    // A kernel without the ability says nothing.
    const left = await this.output(['ss', '-t', '-H', 'state', 'established', 'sport', '=', ':22']);
    if (left.trim()) this.killSessions();
  }

  /**
   * Every process ends at once, and the host starts anew with another boot id: files in homes, /tmp and /var/log
   * stay, all others are as they were at first.
   */
  async reboot(): Promise<void> {
    await this.stop();
    await this.boot();
  }

  /** The host is gone, as when its plug is pulled. */
  async stop(): Promise<void> {
    for (const host of [this, ...this.inner]) await host.disconnect();
    await this.place.keeper.stop(this.process);
    this.init = 0;
  }

  /** After `stop`. */
  async resume(): Promise<void> {
    await this.boot();
  }

  private get link(): SshLink {
    if (!this.wire) throw new Error(`${this.name} has no link: it or its jump host is stopped`);
    return this.wire;
  }

  /** This machine's number of the host's first process. */
  private get running(): number {
    if (!this.init) throw new Error(`${this.name} is stopped`);
    return this.init;
  }
}
