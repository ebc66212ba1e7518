import assert from 'node:assert/strict';
import type { AddComputeRequest } from '../../src/api/compute.ts';
import type { Run, RunDetail } from '../../src/api/entities.ts';
import type { RunConfiguration } from '../../src/api/run-configuration.ts';
import { SlurmCluster, type ClusterOptions } from '../rig/slurm/cluster.ts';
import { SshHosts } from '../rig/ssh-hosts.ts';
import { TestHome } from './home.ts';
import { addCompute } from './person.ts';

/** A home with a real cluster behind ssh as its target `login`. */
export class SlurmScene {
  readonly home = new TestHome();
  hosts!: SshHosts;
  cluster!: SlurmCluster;

  async open(
    shape: Omit<ClusterOptions, 'hosts'> = {},
    settings: Partial<AddComputeRequest> = {},
  ): Promise<this> {
    this.hosts = await SshHosts.open();
    this.cluster = await SlurmCluster.start({ ...shape, hosts: this.hosts });
    const config = this.hosts.sshConfig({ lines: ['ServerAliveInterval 1', 'ConnectTimeout 5'] });
    await addCompute(this.home.client, this.cluster.login, config, { scheduler: 'slurm', ...settings });
    return this;
  }

  async close(): Promise<void> {
    await this.home.close();
    await this.hosts?.close();
  }

  /** Submits one Python script to the cluster. */
  script(source: string, configuration: Partial<RunConfiguration> = {}): Promise<Run> {
    return this.home.script(source, {
      configuration: { script: 'train.py', target: 'login', ...configuration },
    });
  }

  /** Waits until Slurm has the job of a run in one of these states; gives its number. */
  async job(run: Run, ...states: string[]): Promise<string> {
    const { scheduler } = await this.home.until(
      run.id,
      `a job that is ${states.join(' or ')}`,
      ({ scheduler, status }) =>
        ['Completed', 'Failed', 'Canceled'].includes(status) ||
        (scheduler !== null && (states.length === 0 || states.includes(scheduler.state))),
    );
    if (!scheduler)
      throw new Error(`${run.id} has no job: ${JSON.stringify(await this.home.detail(run.id))}`);
    return String(scheduler.job);
  }

  /** Waits for the end of a counting run that completes; everything is there once. */
  async complete(run: Run, steps: number): Promise<RunDetail> {
    const ended = await this.home.ended(run.id);
    assert.equal(ended.status, 'Completed', JSON.stringify(ended, null, 1));
    const expected = [...Array(steps).keys()];
    const points = await this.home.points(run.id, 'count');
    assert.deepEqual(points.steps, expected);
    assert.deepEqual(points.values, expected);
    assert.equal((await this.home.log(run.id)).toString(), expected.map((i) => `line ${i}\n`).join(''));
    return ended;
  }

  /** What a counting run has done before it was ended is there, and once. */
  async wholeSoFar(run: Run, { clean = true } = {}): Promise<void> {
    const { steps } = await this.home.points(run.id, 'count');
    assert.deepEqual(steps, [...steps.keys()]);
    const lines = (await this.home.log(run.id))
      .toString()
      .split('\n')
      .filter((line) => line.startsWith('line '));
    assert.deepEqual(
      lines,
      [...lines.keys()].map((i) => `line ${i}`),
    );
    // What a script that is killed has not written yet is lost: a moment's.
    if (clean) assert.ok(Math.abs(steps.length - lines.length) <= 1, `${steps.length} ${lines.length}`);
  }

  /** Kills who gives runs to Slurm, if somebody does now. */
  async killDispatcher(): Promise<void> {
    const kill =
      'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline 2>/dev/null | grep -q "[_]_main__.py dispatch" && kill -9 ${p#/proc/}; done; true';
    await this.cluster.run('sh', '-c', kill);
  }

  /** Processes of runs on a node. */
  async processesOn(node: string): Promise<string[]> {
    const look = `for p in /proc/[0-9]*; do grep -qsa RUNYARD_MARK= $p/environ && tr '\\0' ' ' < $p/cmdline && echo; done; true`;
    return (await this.cluster.on(node, 'sh', '-c', look)).split('\n').filter(Boolean);
  }

  /** Waits until a metric has been logged so often. */
  async points(run: Run, name: string, least: number): Promise<RunDetail> {
    return this.home.until(run.id, `${least} points of ${name}`, ({ series }) =>
      series.some((one) => one.name === name && one.count >= least),
    );
  }
}

/**
 * A script that counts: `steps` points and as many lines, twenty a second, from 0 on in every attempt. Its first attempt
 * stays at `stop` until it is ended.
 */
export function counting(steps: number, stop = -1): string {
  return `import os, time, runyard
for i in range(${steps}):
    while i == ${stop} and os.environ["RUNYARD_ATTEMPT"] == "1":
        time.sleep(1)
    runyard.log("count", i, step=i)
    print("line", i, flush=True)
    time.sleep(0.05)
`;
}
