import { existsSync, mkdirSync, readdirSync, rmdirSync } from 'node:fs';
import path from 'node:path';

const root = '/sys/fs/cgroup/memory';
const prefix = 'ry-slurm-';
let count = 0;

/** `cgroup.conf` of a cluster that holds jobs to their memory. */
export const cgroupConf = [
  'CgroupPlugin=cgroup/v1',
  'CgroupMountpoint=/sys/fs/cgroup',
  'ConstrainCores=no',
  'ConstrainDevices=no',
  'ConstrainRAMSpace=yes',
  '',
].join('\n');

/** Why no job can be held to its memory here; undefined where it can. */
export function memoryLimitsProblem(): string | undefined {
  if (existsSync(`${root}/memory.limit_in_bytes`)) return undefined;
  return `memory limits of jobs need ${root} (control groups, version 1)`;
}

/**
 * A control group for one cluster's jobs, beside those of other clusters. It is removed when this process ends; where
 * that is killed, when another one makes one.
 */
export function makeMemoryGroup(): string {
  const problem = memoryLimitsProblem();
  if (problem) throw new Error(problem);
  for (const name of groups()) if (!existsSync(`/proc/${name.split('-')[2]}`)) remove(path.join(root, name));
  const own = `${prefix}${process.pid}-`;
  if (count === 0)
    process.once('exit', () => {
      for (const name of groups()) if (name.startsWith(own)) remove(path.join(root, name));
    });
  const group = path.join(root, `${own}${++count}`);
  mkdirSync(group);
  return group;
}

function groups(): string[] {
  return readdirSync(root).filter((name) => name.startsWith(prefix));
}

/** Only empty groups can be removed, from the inside out; their files go with them. */
function remove(group: string): void {
  try {
    for (const entry of readdirSync(group, { withFileTypes: true }))
      if (entry.isDirectory()) remove(path.join(group, entry.name));
    rmdirSync(group);
  } catch {
    // A process still ends in it, or another one has removed it.
  }
}
