import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { SshSettings } from '../../api/compute.ts';
import { HostProblem } from '../problem.ts';

/** How to reach one host: what `ssh -G` says of it (ssh_config(5)), where there is an `ssh`. */
export interface SshOptions {
  /** As it was asked for: an alias or a name. */
  alias: string;
  hostName: string;
  user: string;
  port: number;
  identityFiles: string[];
  certificateFiles: string[];
  identitiesOnly: boolean;
  /** Socket of the ssh agent, or null. */
  agent: string | null;
  /** `[user@]host[:port]`, the first hop first. */
  proxyJump: string[];
  proxyCommand: string | null;
  userKnownHosts: string[];
  globalKnownHosts: string[];
  hashKnownHosts: boolean;
  strictHostKeyChecking: 'ask' | 'yes';
  hostKeyAlias: string | null;
  /** Methods in order of preference, without those that are switched off. */
  methods: string[];
  gssapi: boolean;
  /** Options that only the system's client obeys, among those that are set. */
  systemOnly: string[];
  controlPath: string | null;
  /** Seconds. */
  keepAlive: number;
  connectTimeout: number;
  family: 4 | 6 | undefined;
}

export type HostAddress = Pick<SshSettings, 'host' | 'user' | 'port' | 'configFile'>;

const timeoutMs = 20_000;
const mostOutputBytes = 1024 * 1024;
const defaultKeepAlive = 15;
const defaultConnectTimeout = 20;
/** Where the agent of Windows' OpenSSH listens. */
const windowsAgent = '\\\\.\\pipe\\openssh-ssh-agent';
const methodOrder = ['publickey', 'keyboard-interactive', 'password'];
/** They decide whom to trust, or how to get there, and ssh2 knows nothing of them. */
const systemOnly = [
  'PKCS11Provider',
  'RevokedHostKeys',
  'KnownHostsCommand',
  'HostbasedAuthentication',
  'BindAddress',
  'BindInterface',
];
const defaultIdentities = ['id_rsa', 'id_ecdsa', 'id_ecdsa_sk', 'id_ed25519', 'id_ed25519_sk'];

/** Effective options of a host. Throws HostProblem when the ssh configuration is not well-formed. */
export async function sshOptions(address: HostAddress, socket: string | undefined): Promise<SshOptions> {
  const agentSocket = socket ?? (process.platform === 'win32' ? windowsAgent : undefined);
  const said = await askSsh(address);
  return said === undefined ? plainOptions(address, agentSocket) : parseOptions(address, said, agentSocket);
}

/** Arguments that select a host, for `ssh` and `ssh -G`: the name can never be taken for an option. */
export function hostArguments({ host, user, port, configFile }: HostAddress): string[] {
  return [
    ...(configFile ? ['-F', expandHome(configFile)] : []),
    ...(user ? ['-l', user] : []),
    ...(port ? ['-p', String(port)] : []),
    '--',
    host,
  ];
}

/** What `ssh -G` says; undefined where there is no `ssh`. */
function askSsh(address: HostAddress): Promise<string | undefined> {
  const { configFile } = address;
  if (configFile && !existsSync(expandHome(configFile))) {
    throw new HostProblem('attention', `The ssh configuration ${configFile} is not there.`, {
      code: 'not_found',
      action: 'Name another one: Edit Compute..., or runyard compute edit NAME --ssh-config FILE.',
    });
  }
  return new Promise((resolve, reject) => {
    execFile(
      'ssh',
      ['-G', ...hostArguments(address)],
      { timeout: timeoutMs, maxBuffer: mostOutputBytes },
      (error, stdout, stderr) => {
        if (!error) return resolve(stdout);
        if (error.code === 'ENOENT') return resolve(undefined);
        reject(
          new HostProblem(
            'attention',
            `The ssh configuration cannot be used: ${stderr.trim() || error.message}`,
            {
              code: 'bad_request',
              action: `Mend ${configFile ?? '~/.ssh/config'}.`,
              cause: error,
            },
          ),
        );
      },
    );
  });
}

function plainOptions({ host, user, port }: HostAddress, agentSocket: string | undefined): SshOptions {
  const dir = path.join(os.homedir(), '.ssh');
  return {
    alias: host,
    hostName: host,
    user: user ?? os.userInfo().username,
    port: port ?? 22,
    identityFiles: defaultIdentities.map((name) => path.join(dir, name)),
    certificateFiles: [],
    identitiesOnly: false,
    agent: agentSocket ?? null,
    proxyJump: [],
    proxyCommand: null,
    userKnownHosts: [path.join(dir, 'known_hosts')],
    globalKnownHosts: ['/etc/ssh/ssh_known_hosts'],
    hashKnownHosts: false,
    strictHostKeyChecking: 'ask',
    hostKeyAlias: null,
    methods: methodOrder,
    gssapi: false,
    systemOnly: [],
    controlPath: null,
    keepAlive: defaultKeepAlive,
    connectTimeout: defaultConnectTimeout,
    family: undefined,
  };
}

/** Reads the output of `ssh -G`: a line an option, its name in lower case. */
export function parseOptions(
  address: HostAddress,
  text: string,
  agentSocket: string | undefined,
): SshOptions {
  const values = new Map<string, string[]>();
  for (const line of text.split('\n')) {
    const at = line.indexOf(' ');
    if (at < 0) continue;
    const name = line.slice(0, at).toLowerCase();
    values.set(name, [...(values.get(name) ?? []), line.slice(at + 1).trim()]);
  }
  const one = (name: string): string | null => {
    const value = values.get(name)?.[0];
    return value === undefined || value === 'none' || value === '' ? null : value;
  };
  const isOn = (name: string) => /^(yes|true)$/i.test(one(name) ?? '');
  const hostName = one('hostname') ?? address.host;
  const user = one('user') ?? os.userInfo().username;
  const port = Number(one('port') ?? 22);
  const tokens: Record<string, string> = {
    '%': '%',
    d: os.homedir(),
    h: hostName,
    i: String(process.getuid?.() ?? 0),
    L: os.hostname().split('.')[0]!,
    l: os.hostname(),
    n: address.host,
    p: String(port),
    r: user,
    u: os.userInfo().username,
  };
  const file = (value: string) =>
    expandHome(
      value
        .replace(/%([%dhiLlnpru])/g, (_, letter: string) => tokens[letter]!)
        .replace(/\$\{(\w+)\}/g, (all, name: string) => process.env[name] ?? all),
    );
  const files = (name: string) => (values.get(name) ?? []).filter((value) => value !== 'none').map(file);
  // Names with spaces stand there without quotes: each begins as a path does.
  const list = (name: string) =>
    (one(name) ?? '')
      .split(/\s+(?=[/~%$]|[A-Za-z]:[\\/])/)
      .filter(Boolean)
      .map(file);
  const off = new Set<string>();
  if (one('pubkeyauthentication') === 'no') off.add('publickey');
  if (!isOn('passwordauthentication')) off.add('password');
  if (!isOn('kbdinteractiveauthentication')) off.add('keyboard-interactive');
  const preferred = (one('preferredauthentications') ?? methodOrder.join(',')).split(',');
  const strict = one('stricthostkeychecking');
  const interval = Number(one('serveraliveinterval') ?? 0);
  const family = one('addressfamily');
  return {
    alias: address.host,
    hostName,
    user,
    port,
    identityFiles: files('identityfile'),
    certificateFiles: files('certificatefile'),
    identitiesOnly: isOn('identitiesonly'),
    agent: agentOf(values.get('identityagent')?.[0], agentSocket, file),
    proxyJump: (one('proxyjump') ?? '').split(',').filter(Boolean),
    proxyCommand: one('proxycommand'),
    userKnownHosts: list('userknownhostsfile'),
    globalKnownHosts: list('globalknownhostsfile'),
    hashKnownHosts: isOn('hashknownhosts'),
    strictHostKeyChecking: strict === 'yes' || strict === 'true' ? 'yes' : 'ask',
    hostKeyAlias: one('hostkeyalias'),
    methods: preferred.filter((method) => methodOrder.includes(method) && !off.has(method)),
    gssapi: isOn('gssapiauthentication'),
    systemOnly: systemOnly.filter((name) => !['no', 'false', null].includes(one(name.toLowerCase()))),
    controlPath: one('controlpath') === null ? null : file(one('controlpath')!),
    keepAlive: interval > 0 ? Math.min(interval, 60) : defaultKeepAlive,
    connectTimeout: Number(one('connecttimeout') ?? 0) || defaultConnectTimeout,
    family: family === 'inet' ? 4 : family === 'inet6' ? 6 : undefined,
  };
}

function agentOf(
  said: string | undefined,
  socket: string | undefined,
  file: (value: string) => string,
): string | null {
  if (said === 'none') return null;
  if (said === undefined || said === 'SSH_AUTH_SOCK') return socket ?? null;
  if (said.startsWith('$')) return process.env[said.replace(/^\$\{?|\}$/g, '')] ?? null;
  return file(said);
}

/** `~` and `~/x` as a path of this machine. */
export function expandHome(value: string): string {
  return value === '~' || value.startsWith('~/') ? path.join(os.homedir(), value.slice(1)) : value;
}

/** One hop of a ProxyJump: `[user@]host[:port]` or an ssh:// address. Throws HostProblem. */
export function parseHop(text: string): { host: string; user: string | null; port: number | null } {
  const plain = text.replace(/^ssh:\/\//, '');
  const at = plain.lastIndexOf('@');
  const user = at < 0 ? null : plain.slice(0, at);
  const rest = plain.slice(at + 1);
  const found =
    /^\[([^\]]+)\](?::(\d+))?$/.exec(rest) ??
    /^([^:]+)(?::(\d+))?$/.exec(rest) ??
    /^(.*[^:].*)()$/.exec(rest);
  const host = found?.[1];
  if (!host || host.startsWith('-') || user?.startsWith('-')) {
    throw new HostProblem('attention', `"${text}" in ProxyJump is no host.`, {
      code: 'bad_request',
      action: 'Mend the ssh configuration.',
    });
  }
  return { host, user, port: found[2] ? Number(found[2]) : null };
}
