import { spawnSync } from 'node:child_process';
import { component } from '../../../scripts/system-packages.mjs';

let known: { problem: string | undefined } | undefined;

function find(): string | undefined {
  if (process.platform !== 'linux') return 'no container engine: the tests start their own, on Linux';
  if (process.getuid?.() !== 0) return 'no container engine: the tests start their own, as root';
  const missing = ['dockerd', 'docker', 'debootstrap'].map(component).find(({ available }) => !available);
  if (missing) return `no container engine: ${missing.reason}`;
  const mounts = spawnSync('unshare', ['--mount', 'true'], { encoding: 'utf8' });
  if (mounts.status !== 0) return `no container engine: no mounts here (${mounts.stderr.trim()})`;
  return undefined;
}

/** Why there can be no Docker engine of the tests' own; undefined where there can. */
export function dockerRigProblem(): string | undefined {
  known ??= { problem: find() };
  return known.problem;
}

/** The `skip` of a test that needs an engine. With CI=true nothing is skipped: it fails with the reason. */
export function skipWithoutDocker(): string | false {
  if (/^(1|true)$/i.test(process.env['CI'] ?? '')) return false;
  return dockerRigProblem() ?? false;
}
