import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { finish, SshHost, type Finished, type SshHostOptions } from './ssh-host.ts';
import { Keeper } from './ssh-keeper.ts';
import { SshKeys } from './ssh-keys.ts';
import { sshRigProblem } from './ssh-problem.ts';

export { defaultPassword, SshHost, type SshHostOptions, type SignIn } from './ssh-host.ts';
export { passphrase } from './ssh-keys.ts';
export type { LinkKind, LinkWeather } from './ssh-link.ts';
export { skipWithoutSshHosts, sshRigProblem } from './ssh-problem.ts';

export interface SshConfigOptions {
  /** Host keys are in `known_hosts` already (the default); else the first connection is asked about. */
  known?: boolean;
  /** Private key files, by default `keys.ed25519`; a certificate beside one is used. Empty: no key at all. */
  identities?: string[];
  /** The socket of an agent; none by default. */
  agent?: string;
  /** More lines, for every host, where they win. */
  lines?: string[];
}

export interface SshConfig {
  /** For `ssh -F` and `configFile` of a target. */
  file: string;
  knownHosts: string;
}

/**
 * Real ssh hosts for one test file, with addresses of their own. Whatever becomes of the test's process, hosts,
 * links and folders go with it.
 *
 *     const hosts = await SshHosts.open();
 *     const host = await hosts.start({ name: 'gpu', python: 'setup' });
 *     const { file } = hosts.sshConfig();          // has the alias gpu
 *     await host.cut();
 *     await hosts.close();
 */
export class SshHosts {
  readonly base: string;
  readonly keys: SshKeys;
  readonly hosts: SshHost[] = [];
  private readonly keeper: Keeper;
  private readonly network: { number: number; prefix: string };
  private count = 0;

  private constructor(base: string, keeper: Keeper, network: { number: number; prefix: string }) {
    this.base = base;
    this.keeper = keeper;
    this.network = network;
    this.keys = new SshKeys(path.join(base, 'keys'));
  }

  static async open(): Promise<SshHosts> {
    const problem = sshRigProblem();
    if (problem) throw new Error(problem);
    const base = mkdtempSync(path.join(os.tmpdir(), 'ry-ssh-'));
    const keeper = new Keeper(base);
    return new SshHosts(base, keeper, await keeper.network());
  }

  /** Makes a host; resolves when its server listens. */
  async start(options: SshHostOptions = {}): Promise<SshHost> {
    const index = ++this.count;
    // The last /30 of a /24 is the 63rd.
    if (index > 63) throw new Error('a rig has 63 hosts at most');
    const { base, keeper, keys, network } = this;
    const host = await SshHost.start(options, { base, keeper, keys, network, index });
    this.hosts.push(host);
    return host;
  }

  /** Writes a configuration with an alias for each host that is there. */
  sshConfig(options: SshConfigOptions = {}): SshConfig {
    const dir = mkdtempSync(path.join(this.base, 'config-'));
    const file = path.join(dir, 'config');
    const knownHosts = path.join(dir, 'known_hosts');
    const known = options.known ?? true;
    writeFileSync(knownHosts, known ? this.hosts.flatMap((host) => host.knownHosts).join('\n') + '\n' : '');
    const identities = options.identities ?? [this.keys.ed25519];
    const common = [
      ...(options.lines ?? []),
      `UserKnownHostsFile ${knownHosts}`,
      'GlobalKnownHostsFile /dev/null',
      `IdentityAgent ${options.agent ?? 'none'}`,
      ...(identities.length === 0 ? ['IdentityFile none'] : identities.map((key) => `IdentityFile ${key}`)),
      ...(options.agent ? [] : ['IdentitiesOnly yes']),
    ];
    const hosts = this.hosts.flatMap((host) => [
      `Host ${host.name}`,
      `  HostName ${host.address}`,
      `  User ${host.user}`,
      `  Port ${host.port}`,
      ...(host.options.behind ? [`  ProxyJump ${host.options.behind.name}`] : []),
    ]);
    writeFileSync(file, [...hosts, 'Host *', ...common.map((line) => `  ${line}`), ''].join('\n'));
    return { file, knownHosts };
  }

  /** Starts the system's `ssh`; it asks nobody but `answer`, which is given to every question. */
  spawnSsh(config: SshConfig, host: SshHost, args: string[], answer?: string): ChildProcess {
    const ask = answer === undefined ? [] : ['-o', 'NumberOfPasswordPrompts=1'];
    const asking =
      answer === undefined
        ? {}
        : { SSH_ASKPASS: this.keys.askpass(answer), SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':none' };
    const batch = answer === undefined ? ['-o', 'BatchMode=yes'] : [];
    return spawn('ssh', ['-F', config.file, ...batch, ...ask, host.name, ...args], {
      stdio: 'pipe',
      env: { PATH: process.env['PATH'], HOME: this.base, ...asking },
    });
  }

  /** Runs a command on a host by the system's `ssh`. */
  ssh(
    config: SshConfig,
    host: SshHost,
    command: string,
    more: { input?: string | Uint8Array; answer?: string } = {},
  ): Promise<Finished> {
    return finish(this.spawnSsh(config, host, [command], more.answer), more.input);
  }

  /** An `ssh-agent` with keys (unlocked ones); the socket for `SSH_AUTH_SOCK` or `sshConfig`. */
  async agent(keys: string[]): Promise<string> {
    const name = `agent-${++this.agents}`;
    const socket = path.join(this.base, `${name}.sock`);
    await this.keeper.start(name, ['ssh-agent', '-D', '-a', socket]);
    for (const key of keys) {
      const env = { PATH: process.env['PATH'], SSH_AUTH_SOCK: socket };
      const { code, stderr } = await finish(spawn('ssh-add', ['-q', key], { stdio: 'pipe', env }));
      if (code !== 0) throw new Error(`ssh-add ${key}: ${stderr}`);
    }
    return socket;
  }
  private agents = 0;

  /** Ends everything; resolves when nothing of it is left. */
  async close(): Promise<void> {
    try {
      await this.keeper.close();
    } finally {
      rmSync(this.base, { recursive: true, force: true });
    }
  }
}
