import assert from 'node:assert/strict';
import { transports } from '../../src/api/compute.ts';
import { SshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { TestHome } from './home.ts';
import { addCompute } from './person.ts';
import { Tallies, until, type Tally } from './ssh-fleet.ts';

/** How often each thing breaks: few in the suite, many by hand. */
export const tries = Number(process.env['RUNYARD_FAULT_TRIES'] ?? 1);

/** `system`: everything over the system's ssh. */
const transport = transports.find((one) => one === process.env['RUNYARD_FAULT_TRANSPORT']) ?? 'auto';

/** Milliseconds, so that nothing hits the same moment twice. */
export const random = (from: number, to: number) => from + Math.random() * (to - from);

/** A home with two hosts: one near, one behind a link that can be slow and lossy. */
export class SshScene {
  readonly home = new TestHome();
  readonly tallies = new Tallies();
  rig!: SshHosts;
  near!: SshHost;
  far!: SshHost;
  hosts: SshHost[] = [];
  /** What the last look at a host has shown. */
  said = '';

  async open(): Promise<this> {
    this.rig = await SshHosts.open();
    this.near = await this.rig.start({ name: 'near' });
    this.far = await this.rig.start({ name: 'far', link: 'tun', weather: { delay: 0.003 } });
    this.hosts = [this.near, this.far];
    for (const host of this.hosts) await this.add(host);
    return this;
  }

  /** Makes a host a target. A dead line is noticed after four seconds. */
  async add(host: SshHost): Promise<void> {
    const config: SshConfig = this.rig.sshConfig({ lines: ['ServerAliveInterval 1', 'ConnectTimeout 5'] });
    await addCompute(this.home.client, host, config, { slots: 16, transport });
  }

  async mend(): Promise<void> {
    await this.everywhere((host) => host.mend());
  }

  async close(): Promise<void> {
    await this.home.close();
    await this.rig?.close();
    this.tallies.print();
  }

  readonly everywhere = (work: (host: SshHost) => unknown) => Promise.all(this.hosts.map(work));

  readonly state = async (host: SshHost): Promise<string> => {
    const { state, problem } = await this.home.client.call('getCompute', { params: { compute: host.name } });
    this.said = `${host.name} is ${state}: ${problem}`;
    return state;
  };

  /** Waits until the server has made the connections by itself. */
  readonly connected = async (): Promise<void> => {
    for (const host of this.hosts) {
      await until(
        `${host.name} is connected`,
        async () => (await this.state(host)) === 'connected',
        () => this.said,
      );
    }
  };

  /** Waits until the server knows that the lines are dead. */
  readonly missed = async (hosts: readonly SshHost[] = this.hosts): Promise<void> => {
    for (const host of hosts)
      await until(`${host.name} is missed`, async () => (await this.state(host)) !== 'connected');
  };

  /** As a person does it; without a live run nobody else wants the connection. */
  readonly connect = async (): Promise<void> => {
    for (const host of this.hosts)
      await until(`${host.name} lets us in`, () =>
        this.home.client.call('connectCompute', { params: { compute: host.name }, body: {} }).then(
          () => true,
          () => false,
        ),
      );
  };

  readonly configure = async (changes: { slots: number }): Promise<void> => {
    await this.everywhere((host) =>
      this.home.client.call('updateCompute', { params: { compute: host.name }, body: changes }),
    );
  };
}

export function assertWhole(tally: Tally): void {
  const { lost, duplicated, orphaned, wrong } = tally;
  assert.deepEqual({ lost, duplicated, orphaned, wrong }, { lost: 0, duplicated: 0, orphaned: 0, wrong: [] });
}
