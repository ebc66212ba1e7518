import net from 'node:net';
import type { Duplex } from 'node:stream';
import ssh2, { type ClientChannel, type Client as Ssh2Client } from 'ssh2';
import { HostProblem } from '../problem.ts';
import type { Steps } from '../steps.ts';
import type { Asker } from './asker.ts';
import { checkHostKey, knownHostsOf } from './host-key.ts';
import { needsSystem } from './needs-system.ts';
import { parseHop, sshOptions, type SshOptions } from './options.ts';
import type { RemoteShell } from './remote-shell.ts';
import { addressOf, SignIn } from './sign-in.ts';

export interface ConnectContext {
  asker: Asker;
  steps: Steps;
  signal: AbortSignal;
  configFile: string | null;
  agentSocket: string | undefined;
}

/** Where OpenSSL does the work: many times as fast as what is done in JavaScript. */
const ciphers = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
];
const hostKeyTypes = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
];
const keepAliveCount = 3;
/** Longer than sshd waits for a sign-in by default, in which a person may have to look for a phone; tests wait less. */
const signInMs = Number(process.env['RUNYARD_SERVER_SIGN_IN_SECONDS'] ?? 150) * 1000;
/** Within this time it is known whether a refusal was the end of the connection. */
const closingMs = 500;

/** The host may be reached by the system's `ssh` though not by us. */
export class NeedsSystemSsh extends Error {}

/** Connects with ssh2, hop by hop. Throws HostProblem, or NeedsSystemSsh where ssh2 has no answer. */
export async function connectBuiltin(options: SshOptions, context: ConnectContext): Promise<RemoteShell> {
  const clients: Ssh2Client[] = [];
  const close = () => {
    for (const client of clients.reverse()) client.end();
  };
  try {
    let through: Ssh2Client | undefined;
    for (const hop of options.proxyJump) {
      through = await connectOne(await hopOptions(hop, clients.length > 0, context), through, context);
      clients.push(through);
    }
    const client = await connectOne({ ...options, proxyJump: [] }, through, context);
    clients.push(client);
    return {
      transport: 'builtin',
      address: addressOf(options),
      exec: (command) => exec(client, command, close),
      signedIn: () => {},
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

async function hopOptions(hop: string, behindAnother: boolean, context: ConnectContext): Promise<SshOptions> {
  const options = await sshOptions({ ...parseHop(hop), configFile: context.configFile }, context.agentSocket);
  if (options.proxyJump.length > 0 && !behindAnother)
    throw new NeedsSystemSsh(`${hop} is behind a proxy itself`);
  const reason = await needsSystem(options);
  if (reason) throw new NeedsSystemSsh(`${reason}, for ${hop}`);
  return options;
}

async function connectOne(
  options: SshOptions,
  through: Ssh2Client | undefined,
  { asker, steps, signal }: ConnectContext,
): Promise<Ssh2Client> {
  if (signal.aborted) throw new HostProblem('unreachable', 'The connection was given up.');
  const address = addressOf(options);
  const sock = await steps.run(
    'connect',
    `Connect to ${options.hostName}`,
    () => (through ? forward(through, options) : open(options, signal)),
    () => ({
      detail: `Connected to ${options.hostName}, port ${options.port}${through ? ', through the jump host' : ''}.`,
    }),
  );
  const known = await knownHostsOf(options);
  if (known.hasAuthority) {
    sock.destroy();
    throw new NeedsSystemSsh('the known hosts name a certificate authority');
  }
  const client = new ssh2.Client();
  const signIn = new SignIn(options, asker);
  let hostKeyProblem: unknown;
  let said = '';
  await new Promise<void>((resolve, reject) => {
    const aborted = () => client.destroy();
    signal.addEventListener('abort', aborted);
    // ssh's own keep-alive begins after the sign-in. Until then a host that was forgotten by a router, or has lost
    // its power, would be waited for for ever: by the time the key exchange may take, and then the sign-in.
    let deadline = performance.now() + options.connectTimeout * 1000;
    const hostSpoke = () => (deadline = performance.now() + signInMs);
    const guard = setInterval(() => {
      if (asker.isAsking) hostSpoke();
      if (performance.now() < deadline) return;
      settle(new HostProblem('unreachable', `${address} stopped answering while signing in.`));
      client.destroy();
    }, 250);
    const settle = (error?: unknown) => {
      clearInterval(guard);
      signal.removeEventListener('abort', aborted);
      if (error === undefined) return resolve();
      client.end();
      reject(error as Error);
    };
    client.on('ready', () => settle());
    client.on('close', () =>
      settle(new HostProblem('unreachable', `${address} closed the connection while signing in.`)),
    );
    client.on('error', (error: Error & { level?: string }) => {
      // One key that could not be used; the next one is tried.
      if (error.level === 'agent') return;
      settle(hostKeyProblem ?? explain(error, options, signIn, asker, said));
    });
    client.on('banner', (text) => (said = text));
    client.connect({
      sock,
      username: options.user,
      readyTimeout: 0,
      keepaliveInterval: options.keepAlive * 1000,
      keepaliveCountMax: keepAliveCount,
      algorithms: {
        cipher: { prepend: ciphers as never, append: [], remove: [] },
        serverHostKey: serverHostKeys(known.types) as never,
      },
      hostVerifier: (key: Buffer, verify: (ok: boolean) => void) => {
        hostSpoke();
        checkHostKey(options, known, key, asker).then(
          (detail) => {
            steps.done('host-key', `Host key of ${options.hostName}`, { detail });
            verify(true);
          },
          (error: unknown) => {
            hostKeyProblem = error;
            steps.failed('host-key', `Host key of ${options.hostName}`, error);
            verify(false);
          },
        );
      },
      authHandler: ((...step: Parameters<typeof signIn.next>) => {
        hostSpoke();
        return signIn.next(...step);
      }) as never,
    });
    signIn.listenTo(client);
  }).catch((error: unknown) => {
    if (!hostKeyProblem) steps.failed('sign-in', `Sign in as ${options.user}`, error);
    throw error;
  });
  // What comes later is told to each command.
  client.removeAllListeners('error').removeAllListeners('close');
  client.on('error', () => undefined);
  asker.succeeded();
  steps.done('sign-in', `Sign in as ${options.user}`, {
    detail: `Signed in to ${address} (${signIn.latest}).`,
  });
  return client;
}

/** Types that were recorded come first, so that the host shows a key that can be compared. */
function serverHostKeys(known: string[]): string[] {
  const first = known.flatMap((type) => (type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256'] : [type]));
  return [...new Set([...first.filter((type) => hostKeyTypes.includes(type)), ...hostKeyTypes])];
}

function open(options: SshOptions, signal: AbortSignal): Promise<net.Socket> {
  const { hostName, port, family, connectTimeout } = options;
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: hostName, port, ...(family ? { family } : {}) });
    socket.setNoDelay(true);
    const timer = setTimeout(
      () =>
        fail(
          new HostProblem('unreachable', `${hostName} does not answer (port ${port}, ${connectTimeout} s).`),
        ),
      connectTimeout * 1000,
    );
    const fail = (error: unknown) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', aborted);
      socket.destroy();
      reject(error as Error);
    };
    const aborted = () => fail(new HostProblem('unreachable', 'The connection was given up.'));
    signal.addEventListener('abort', aborted);
    socket.once('error', (error) => fail(unreachable(error, options)));
    socket.once('connect', () => {
      clearTimeout(timer);
      // While nothing is under way the system asks whether the host still knows the connection.
      socket.setKeepAlive(true, options.keepAlive * 1000);
      signal.removeEventListener('abort', aborted);
      socket.removeAllListeners('error');
      resolve(socket);
    });
  });
}

function forward(through: Ssh2Client, { hostName, port }: SshOptions): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    through.forwardOut('127.0.0.1', 0, hostName, port, (error, stream) => {
      if (!error) return resolve(stream);
      reject(
        new HostProblem(
          'unreachable',
          `The jump host cannot reach ${hostName}, port ${port}: ${error.message}`,
          {
            cause: error,
          },
        ),
      );
    });
  });
}

function exec(client: Ssh2Client, command: string, close: () => void): ReturnType<RemoteShell['exec']> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    let over = false;
    client.on('error', (cause) => (failure = cause));
    client.on('end', () => (over = true)).on('close', () => (over = true));
    client.exec(command, (error, stream: ClientChannel) => {
      if (error) {
        // That the line broke meanwhile is known a moment later, and needs nobody's attention.
        setTimeout(() => {
          if (over || failure) {
            const why = failure?.message ?? 'the host closed it';
            reject(new HostProblem('unreachable', `The connection broke: ${why}.`, { cause: error }));
            return;
          }
          reject(
            new HostProblem('attention', `The host does not run a command: ${error.message}`, {
              cause: error,
              action: 'Ask who runs the host whether commands over ssh are allowed.',
            }),
          );
        }, closingMs);
        return;
      }
      let ended = false;
      stream.on('exit', (code: number | null) => (ended = code !== null));
      client.on('error', () => stream.destroy()).on('close', () => stream.destroy());
      resolve({
        stdin: stream,
        stdout: stream,
        stderr: stream.stderr,
        close,
        ended: () => ended,
        failure: () => failure,
      });
    });
  });
}

function unreachable(error: NodeJS.ErrnoException, { hostName, port }: SshOptions): HostProblem {
  const at = `${hostName}, port ${port}`;
  switch (error.code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new HostProblem('unreachable', `The name ${hostName} is not known here.`, {
        action: 'Look at the host name and at your network (a VPN?).',
        cause: error,
      });
    case 'ECONNREFUSED':
      return new HostProblem('unreachable', `Nothing listens at ${at}.`, {
        action: 'Look at the port, and whether sshd runs there.',
        cause: error,
      });
    case 'ETIMEDOUT':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return new HostProblem('unreachable', `There is no way to ${at} now.`, {
        action: 'Look at your network (a VPN?) and whether the host is up.',
        cause: error,
      });
    default:
      return new HostProblem('unreachable', `${at} cannot be reached: ${error.message}.`, { cause: error });
  }
}

function explain(
  error: Error & { level?: string },
  options: SshOptions,
  signIn: SignIn,
  asker: Asker,
  banner: string,
): Error {
  const address = addressOf(options);
  if (error.level === 'client-authentication') {
    if (signIn.offers.includes('gssapi-with-mic') && options.gssapi)
      return new NeedsSystemSsh('the host takes GSSAPI');
    if (asker.unanswered) {
      return new HostProblem('attention', `${address} waits for you: ${asker.unanswered.title}.`, {
        action: 'Sign in: Connect / Sign In in the Compute view, or runyard compute connect NAME.',
        secretKey: asker.unanswered.secretKey,
        cause: error,
      });
    }
    const tried = signIn.tried.length > 0 ? `tried: ${signIn.tried.join(', ')}` : 'there was nothing to try';
    const takes = signIn.offers.length > 0 ? `; it takes ${signIn.offers.join(', ')}` : '';
    const more = banner.trim() ? ` It says: ${banner.trim().slice(0, 300)}` : '';
    return new HostProblem('attention', `${address} refused the sign-in (${tried}${takes}).${more}`, {
      action: 'Look at the user name and the keys of this host in the ssh configuration.',
      cause: error,
    });
  }
  if (/too many authentication failures/i.test(error.message)) {
    const tried = signIn.tried.length > 0 ? ` (tried: ${signIn.tried.join(', ')})` : '';
    return new HostProblem('attention', `${address} refused the sign-in${tried}: ${error.message}.`, {
      action:
        'It lets one try a few keys only: name the right one in the ssh configuration (IdentityFile, with IdentitiesOnly yes).',
      cause: error,
    });
  }
  if (error.level === 'handshake') {
    return new HostProblem('attention', `${address} and Runyard share no way to encrypt: ${error.message}.`, {
      action: 'Set the transport of this compute target to "system".',
      cause: error,
    });
  }
  return new HostProblem('unreachable', `The connection to ${address} broke: ${error.message}.`, {
    cause: error,
  });
}
