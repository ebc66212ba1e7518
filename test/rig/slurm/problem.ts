import { spawnSync } from 'node:child_process';
import { component } from '../../../scripts/system-packages.mjs';
import { memoryLimitsProblem } from './memory-limits.ts';

let known: { problem: string | undefined } | undefined;

function find(): string | undefined {
  if (process.platform !== 'linux') return 'no Slurm cluster: the tests start their own, on Linux';
  if (process.getuid?.() !== 0) return 'no Slurm cluster: the tests start their own, as root';
  const missing = ['slurm', 'munge', 'iproute2'].map(component).find(({ available }) => !available);
  if (missing) return `no Slurm cluster: ${missing.reason}`;
  const script =
    'ip link add rig type bridge && ip link add rig0 type veth peer name rig1 && ip link set rig0 master rig';
  const flags = ['--mount', '--net', '--pid', '--uts', '--ipc', '--fork'];
  const result = spawnSync('unshare', [...flags, 'sh', '-c', script], { encoding: 'utf8', timeout: 30_000 });
  if (result.status === 0) return undefined;
  return `no Slurm cluster: no networks of their own here (${(result.error?.message ?? result.stderr).trim()})`;
}

/** Why there can be no Slurm cluster of the tests' own; undefined where there can. */
export function slurmRigProblem(): string | undefined {
  known ??= { problem: find() };
  return known.problem;
}

/**
 * The `skip` of a test that needs a cluster, and these components with it (`torch`, `mpi`). With CI=true nothing is
 * skipped: it fails with the reason.
 */
export function skipWithoutSlurm(...more: string[]): string | false {
  if (/^(1|true)$/i.test(process.env['CI'] ?? '')) return false;
  const missing = more.map(component).find(({ available }) => !available);
  return slurmRigProblem() ?? missing?.reason ?? false;
}

/** Likewise of a test that needs a cluster with `memoryLimits`. */
export function skipWithoutMemoryLimits(): string | false {
  if (/^(1|true)$/i.test(process.env['CI'] ?? '')) return false;
  return skipWithoutSlurm() || (memoryLimitsProblem() ?? false);
}
