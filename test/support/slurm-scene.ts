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

  /** Waits until a metric has been logged so often. */
  async points(run: Run, name: string, least: number): Promise<RunDetail> {
    return this.home.until(run.id, `${least} points of ${name}`, ({ series }) =>
      series.some((one) => one.name === name && one.count >= least),
    );
  }
}
