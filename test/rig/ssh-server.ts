import type { SshHostOptions } from './ssh-host.ts';

/** The configuration of a host's server; all it names is under /etc/ssh/rig there. */
export function sshdConfig(options: SshHostOptions): string {
  const signIn = options.signIn ?? ['key'];
  const yes = (condition: boolean): string => (condition ? 'yes' : 'no');
  const keys = options.hostKeys ?? ['ed25519'];
  return [
    ...(options.sshd ?? []),
    'Port 22',
    'ListenAddress 0.0.0.0',
    ...keys.map((type) => `HostKey /etc/ssh/rig/host_${type}`),
    ...(options.hostCertificate
      ? keys.map((type) => `HostCertificate /etc/ssh/rig/host_${type}-cert.pub`)
      : []),
    'PidFile /run/sshd.pid',
    'LogLevel VERBOSE',
    'UseDNS no',
    'PrintMotd no',
    'PermitRootLogin yes',
    // Without PAM sshd has no device for keyboard-interactive; the host has a PAM service of its own for it.
    `UsePAM ${yes(signIn.includes('keyboard-interactive'))}`,
    `PubkeyAuthentication ${yes(signIn.includes('key') || signIn.includes('certificate'))}`,
    `PasswordAuthentication ${yes(signIn.includes('password'))}`,
    `KbdInteractiveAuthentication ${yes(signIn.includes('keyboard-interactive'))}`,
    `AuthorizedKeysFile ${signIn.includes('key') ? '/etc/ssh/rig/authorized_keys' : 'none'}`,
    ...(signIn.includes('certificate') ? ['TrustedUserCAKeys /etc/ssh/rig/user-ca.pub'] : []),
    ...(options.noisy ? ['Banner /etc/ssh/rig/banner'] : []),
    'AcceptEnv LANG LC_*',
    'Subsystem sftp internal-sftp',
    '',
  ].join('\n');
}

/** /etc/pam.d/sshd of a host: the password and nothing else. */
export const pamService = [
  'auth required pam_unix.so',
  'account required pam_unix.so',
  'session required pam_unix.so',
  '',
].join('\n');
