import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { component } from '../../scripts/system-packages.mjs';

let known: { problem: string | undefined } | undefined;

function namespaces(): string | undefined {
  const script =
    'mount -t tmpfs tmpfs /mnt && mkdir /mnt/u /mnt/w /mnt/r && mount -t overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w overlay /mnt/r && ip link add rig0 type veth peer name rig1';
  const flags = ['--mount', '--net', '--pid', '--uts', '--ipc', '--fork'];
  const result = spawnSync('unshare', [...flags, 'sh', '-c', script], { encoding: 'utf8', timeout: 30_000 });
  if (result.status === 0) return undefined;
  return `this system has no namespaces, overlays or virtual links for test hosts: ${(result.error?.message ?? result.stderr).trim()}`;
}

function find(): string | undefined {
  if (process.platform !== 'linux') return 'test hosts are namespaces of Linux';
  if (process.getuid?.() !== 0) return 'needs root to make test hosts (network and mount namespaces)';
  const missing = ['sshd', 'ssh', 'iproute2'].map(component).find(({ available }) => !available);
  if (missing) return missing.reason;
  try {
    accessSync('/usr/bin/python3', constants.X_OK);
  } catch {
    return 'the test hosts need /usr/bin/python3 (on Debian or Ubuntu: apt-get install python3)';
  }
  return namespaces();
}

/** Why there can be no test hosts here; undefined where there can. */
export function sshRigProblem(): string | undefined {
  known ??= { problem: find() };
  return known.problem;
}

/**
 * The `skip` of a test that needs hosts. With CI=true nothing is skipped: the test runs, and fails with the
 * reason as soon as it asks for a host.
 */
export function skipWithoutSshHosts(need: { tun?: boolean; shell?: string } = {}): string | false {
  if (/^(1|true)$/i.test(process.env['CI'] ?? '')) return false;
  if (need.tun && !existsSync('/dev/net/tun')) return 'a slow link needs /dev/net/tun';
  if (need.shell && !existsSync(need.shell)) return `${need.shell} is not installed`;
  return sshRigProblem() ?? false;
}
