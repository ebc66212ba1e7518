import { HostProblem } from '../problem.ts';
import type { Asker } from './asker.ts';
import { fingerprint, keyType, KnownHosts, knownHostsName, recordHostKey } from './known-hosts.ts';
import type { SshOptions } from './options.ts';

/** What a person sees a key called: `ED25519`. */
function shortType(type: string): string {
  const name = type.replace(/^(ssh-|ecdsa-sha2-)/, '').replace(/^nistp(\d+)$/, 'ECDSA');
  return name.toUpperCase();
}

export function knownHostsOf(options: SshOptions): Promise<KnownHosts> {
  const files = [...options.userKnownHosts, ...options.globalKnownHosts];
  return KnownHosts.read(
    files,
    options.hostKeyAlias ?? options.hostName,
    options.hostKeyAlias ? 22 : options.port,
  );
}

/**
 * Looks a host's key up. An unknown one is asked about with its fingerprint and then recorded; a changed or
 * revoked one is refused. Resolves with what was found, for the person; throws HostProblem.
 */
export async function checkHostKey(
  options: SshOptions,
  known: KnownHosts,
  key: Buffer,
  asker: Asker,
): Promise<string> {
  const verdict = known.check(key);
  const type = shortType(keyType(key));
  const print = fingerprint(key);
  const hostName = options.hostKeyAlias ?? options.hostName;
  const port = options.hostKeyAlias ? 22 : options.port;
  const name = knownHostsName(hostName, port);
  switch (verdict.state) {
    case 'known':
      return `The ${type} key of ${name} is known (${print}).`;
    case 'revoked':
      throw new HostProblem(
        'attention',
        `The host key of ${name} is revoked (${verdict.file}, line ${verdict.line}).`,
        {
          action: 'Do not connect. Ask who runs the host.',
        },
      );
    case 'changed':
      throw new HostProblem(
        'attention',
        `The ${type} host key of ${name} is not the one that was recorded (${verdict.file}, line ${verdict.line}); it is ${print} now. ` +
          'The host was set up anew, or somebody stands between you and it.',
        {
          action: `Ask who runs the host. If the change is right, remove the old key: ssh-keygen -R "${name}" -f "${verdict.file}".`,
        },
      );
    case 'unknown':
      break;
  }
  if (options.strictHostKeyChecking === 'yes') {
    throw new HostProblem('attention', `The host key of ${name} is not known (${type}, ${print}).`, {
      action: 'The ssh configuration says StrictHostKeyChecking yes: record the key yourself.',
    });
  }
  const others =
    verdict.others.length > 0
      ? ` The host is known by ${verdict.others.map(shortType).join(' and ')}, which it does not show now.`
      : '';
  const answers = await asker.ask({
    kind: 'host-key',
    title: `Trust the host key of ${name}?`,
    message: `${name} shows a key that is not known: ${type}, ${print}.${others} Accept it only if it is the host's.`,
    fields: [],
    secretKey: null,
    refused: false,
  });
  if (!answers) {
    throw new HostProblem(
      'attention',
      `The host key of ${name} is not known, and was not accepted (${type}, ${print}).`,
      {
        action: `Compare the fingerprint with the host's, and connect again to accept it.`,
      },
    );
  }
  const file = options.userKnownHosts[0];
  if (!file)
    return `The ${type} key ${print} was accepted; the ssh configuration names no file to record it in.`;
  try {
    await recordHostKey(file, key, { hostName, port, hashed: options.hashKnownHosts });
  } catch (cause) {
    throw new HostProblem(
      'attention',
      `The host key of ${name} cannot be recorded in ${file}: ${(cause as Error).message}.`,
      {
        action: 'Make that file writable, or name another one in the ssh configuration (UserKnownHostsFile).',
        cause,
      },
    );
  }
  return `The ${type} key ${print} was accepted and recorded in ${file}.`;
}
