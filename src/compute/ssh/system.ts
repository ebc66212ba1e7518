import { spawn } from 'node:child_process';
import { HostProblem } from '../problem.ts';
import type { Asker } from './asker.ts';
import { Askpass } from './askpass.ts';
import { hostArguments, type HostAddress, type SshOptions } from './options.ts';
import type { RemoteCommand, RemoteShell } from './remote-shell.ts';
import { addressOf, passwordKey } from './sign-in.ts';

/**
 * The system's `ssh` as transport: for FIDO keys, certificates, GSSAPI, ProxyCommand, a shared connection
 * (ControlMaster). It connects when the command starts; its questions come through its askpass program.
 */
export function connectSystem(
  address: HostAddress,
  options: SshOptions,
  asker: Asker,
  agentSocket: string | undefined,
): RemoteShell {
  const running = new Set<() => void>();
  const askpasses = new Set<Askpass>();
  return {
    transport: 'system',
    address: addressOf(options),
    exec: (command) =>
      Promise.resolve(start(address, options, asker, agentSocket, command, running, askpasses)),
    signedIn: () => {
      for (const askpass of askpasses) askpass.close();
    },
    close: () => {
      for (const end of running) end();
    },
  };
}

function start(
  address: HostAddress,
  options: SshOptions,
  asker: Asker,
  agentSocket: string | undefined,
  command: string,
  running: Set<() => void>,
  askpasses: Set<Askpass>,
): RemoteCommand {
  const askpass: Askpass = new Askpass((prompt, hint, pid) =>
    answer(prompt, hint, options, asker, pid === child.pid),
  );
  askpasses.add(askpass);
  const child = spawn(
    'ssh',
    [
      ...['-T', '-x', '-a'],
      ...[
        'RequestTTY=no',
        'RemoteCommand=none',
        'ClearAllForwardings=yes',
        'PermitLocalCommand=no',
        'EscapeChar=none',
        'BatchMode=no',
        `StrictHostKeyChecking=${options.strictHostKeyChecking}`,
        `ServerAliveInterval=${options.keepAlive}`,
        'ServerAliveCountMax=3',
        `ConnectTimeout=${options.connectTimeout}`,
        'LogLevel=ERROR',
      ].flatMap((option) => ['-o', option]),
      ...hostArguments(address),
      command,
    ],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
      // Without a terminal of its own it cannot ask there.
      detached: process.platform !== 'win32',
      env: {
        ...process.env,
        ...(agentSocket ? { SSH_AUTH_SOCK: agentSocket } : {}),
        ...askpass.environment,
      },
      windowsHide: true,
    },
  );
  let said = '';
  let failure: Error | undefined;
  let ended = false;
  child.stderr.on('data', (part: Buffer) => (said = (said + part.toString()).slice(-4000)));
  child.on('error', (error: NodeJS.ErrnoException) => {
    failure =
      error.code === 'ENOENT'
        ? new HostProblem('attention', 'There is no "ssh" on this machine.', {
            action: 'Install the OpenSSH client.',
            cause: error,
          })
        : error;
    child.stdout.destroy();
  });
  const end = () => child.kill();
  running.add(end);
  child.on('close', (code) => {
    running.delete(end);
    askpass.close();
    ended = code !== null && code !== 255;
    // 255 is ssh's own failure; anything else is the command's.
    if (code === 255) failure ??= explain(said, options, asker);
    else if (code === 0 || code === null) asker.succeeded();
  });
  child.stdin.on('error', () => undefined);
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    close: () => {
      child.stdin.end();
      setTimeout(end, 2000).unref();
    },
    ended: () => ended,
    failure: () => failure,
  };
}

/**
 * A question of ssh as one of ours; what it is about is said by its words only. One that is not its `own` is a jump
 * host's: that never gets what is the host's.
 */
async function answer(
  prompt: string,
  hint: string,
  options: SshOptions,
  asker: Asker,
  own: boolean,
): Promise<string | undefined> {
  // "mia@gpu's password: " or "(mia@gpu) Password: "
  const named = /^\(?([^\s()@]+@[^\s()']+)(?:'s |\) )/.exec(prompt)?.[1];
  const address = own ? addressOf(options) : (named ?? 'a jump host');
  if (hint === 'none') {
    await asker.ask({
      kind: 'notice',
      title: `Sign in to ${address}`,
      message: prompt,
      fields: [],
      secretKey: null,
      refused: false,
    });
    return '';
  }
  if (/\(yes\/no/.test(prompt) || hint === 'confirm') {
    const accepted = await asker.ask({
      kind: 'host-key',
      title: `Trust the host key of ${/host '([^\s']+)/.exec(prompt)?.[1] ?? options.hostName}?`,
      message: prompt.replace(/\s*Are you sure you want to continue connecting.*$/s, '').trim(),
      fields: [],
      secretKey: null,
      refused: false,
    });
    return accepted ? 'yes' : 'no';
  }
  const file = /passphrase for (?:key )?'?([^':]+)'?/i.exec(prompt)?.[1];
  if (file) {
    return once(asker, `passphrase:${file}`, (refused) =>
      asker.secret(`passphrase:${file}`, 'passphrase', `Passphrase of ${file}`, refused),
    );
  }
  if ((own || named) && /password[^a-z]*$/i.test(prompt)) {
    const key = own ? passwordKey(options) : `password:${address}`;
    return once(asker, key, (refused) => asker.secret(key, 'password', `Password of ${address}`, refused));
  }
  const answers = await asker.ask({
    kind: 'keyboard-interactive',
    title: `Sign in to ${address}`,
    message: '',
    fields: [{ label: prompt.trim().replace(/:$/, ''), secret: true }],
    secretKey: null,
    refused: false,
  });
  return answers?.[0];
}

const asked = new WeakMap<Asker, Set<string>>();

/** ssh asks again only when the answer was refused. */
function once<T>(asker: Asker, key: string, ask: (refused: boolean) => T): T {
  let keys = asked.get(asker);
  if (!keys) asked.set(asker, (keys = new Set()));
  const refused = keys.has(key);
  keys.add(key);
  return ask(refused);
}

function explain(said: string, options: SshOptions, asker: Asker): HostProblem {
  const address = addressOf(options);
  const text = said.trim().split('\n').slice(-6).join(' ').slice(-600);
  if (/REMOTE HOST IDENTIFICATION HAS CHANGED|Host key verification failed|revoked/i.test(said)) {
    return new HostProblem('attention', `The host key of ${address} was refused: ${text}`, {
      action: 'Ask who runs the host; if the change is right, remove the old key from the known hosts.',
    });
  }
  if (/Permission denied|Too many authentication failures/i.test(said)) {
    return asker.unanswered
      ? new HostProblem('attention', `${address} waits for you: ${asker.unanswered.title}.`, {
          action: 'Sign in: Connect / Sign In in the Compute view, or runyard compute connect NAME.',
          secretKey: asker.unanswered.secretKey,
        })
      : new HostProblem('attention', `${address} refused the sign-in: ${text}`, {
          action: 'Look at the user name and the keys of this host in the ssh configuration.',
        });
  }
  return new HostProblem('unreachable', `ssh could not connect to ${address}: ${text || 'no word why'}`, {
    action: 'Look at your network (a VPN?) and whether the host is up.',
  });
}
