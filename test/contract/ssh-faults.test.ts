import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SshHosts, skipWithoutSshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { TestHome } from '../support/home.ts';
import { addCompute } from '../support/person.ts';
import { Fleet, serves, Tallies, until, type FleetOptions, type Tally } from '../support/ssh-fleet.ts';

/**
 * The promise: a dropped line costs nothing. While twenty runs are live on two hosts one thing after the other
 * breaks, at random moments; afterwards everything is counted.
 *
 *     RUNYARD_FAULT_TRIES=20     how often each thing breaks
 *     RUNYARD_FAULT_MINUTES=10   how long the network is away in the long case
 */
const skip = skipWithoutSshHosts({ tun: true });
const tries = Number(process.env['RUNYARD_FAULT_TRIES'] ?? 2);
const longMs = Number(process.env['RUNYARD_FAULT_MINUTES'] ?? 0.15) * 60_000;
const each = 10;
/** Seconds; a dead line is noticed after the fourth. */
const keepAlive = 1;

const home = new TestHome();
const tallies = new Tallies();
let rig: SshHosts;
let near: SshHost;
let far: SshHost;
let hosts: SshHost[];
let config: SshConfig;

before(async () => {
  if (skip) return;
  rig = await SshHosts.open();
  near = await rig.start({ name: 'near' });
  far = await rig.start({ name: 'far', link: 'tun', weather: { delay: 0.003 } });
  hosts = [near, far];
  config = rig.sshConfig({ lines: [`ServerAliveInterval ${keepAlive}`, 'ConnectTimeout 5'] });
  for (const host of hosts) await addCompute(home.client, host, config, { slots: 16 });
});
after(async () => {
  for (const host of hosts ?? []) await host.mend().catch(() => undefined);
  await home.close();
  await rig?.close();
  tallies.print();
});

/** Milliseconds, so that nothing hits the same moment twice. */
const random = (from: number, to: number) => from + Math.random() * (to - from);

const everywhere = (work: (host: SshHost) => unknown) => Promise.all(hosts.map(work));

async function state(host: SshHost): Promise<string> {
  return (await home.client.call('getCompute', { params: { compute: host.name } })).state;
}

async function connected(): Promise<void> {
  for (const host of hosts)
    await until(`${host.name} is connected`, async () => (await state(host)) === 'connected');
}

function assertWhole(tally: Tally): void {
  const { lost, duplicated, orphaned, wrong } = tally;
  assert.deepEqual({ lost, duplicated, orphaned, wrong }, { lost: 0, duplicated: 0, orphaned: 0, wrong: [] });
}

interface Fault {
  name: string;
  /** Breaks one thing, and mends it again where it does not mend itself. */
  strike(fleet: Fleet, failed: Set<string>): Promise<unknown>;
  times?: number;
  /** Only while every run is live; otherwise it also strikes once while results are collected. */
  liveOnly?: boolean;
  options?: FleetOptions;
}

const faults: Fault[] = [
  {
    name: 'packets dropped both ways for a while',
    async strike() {
      await everywhere((host) => host.cut());
      await sleep(random(100, 3000));
      await everywhere((host) => host.mend());
    },
  },
  {
    name: 'a fifth of the packets lost',
    async strike() {
      await far.weather({ loss: 0.2 });
      await sleep(random(1000, 3000));
      await far.weather({ loss: 0 });
    },
  },
  {
    name: 'the line comes and goes, also while it is made again',
    async strike() {
      for (let i = 0; i < 4; i++) {
        await everywhere((host) => host.cut());
        await sleep(random(20, 500));
        if (Math.random() < 0.7) await everywhere((host) => host.reset());
        await everywhere((host) => host.mend());
        await sleep(random(20, 600));
      }
    },
  },
  {
    name: 'connections reset',
    strike: () => everywhere((host) => host.reset()),
  },
  {
    name: 'sshd restarted, its sessions killed',
    strike: () =>
      everywhere(async (host) => {
        await host.stopSshd();
        host.killSessions();
        await sleep(random(0, 700));
        await host.startSshd();
      }),
  },
  {
    name: "the host's serve killed",
    strike: () =>
      everywhere((host) => {
        const pids = serves(host);
        assert.ok(pids.length > 0, `there is an agent on ${host.name}`);
        for (const pid of pids) process.kill(pid, 'SIGKILL');
      }),
  },
  {
    name: 'one supervisor killed',
    liveOnly: true,
    async strike(fleet, failed) {
      const alive = fleet.members.filter(({ run }) => !failed.has(run.id));
      const victim = alive[Math.floor(Math.random() * alive.length)]!;
      const file = path.join(Fleet.attemptDir(victim), 'status.json');
      const { supervisor } = JSON.parse(readFileSync(file, 'utf8')) as { supervisor: { pid: number } };
      failed.add(victim.run.id);
      process.kill(victim.host.outer(supervisor.pid)!, 'SIGKILL');
      // Its script waits for nobody: only the agent can have ended it.
      await until('nothing of the run is left', () => victim.host.processes(victim.run.id).length === 0);
    },
  },
  {
    name: 'our server killed',
    strike: () => home.killServer(),
  },
  {
    name: `the network away for ${Math.round(longMs / 1000)} s`,
    times: 1,
    liveOnly: true,
    async strike() {
      await everywhere((host) => host.cut());
      for (const host of hosts)
        await until(`${host.name} is missed`, async () => (await state(host)) !== 'connected');
      await sleep(longMs);
      await everywhere((host) => host.mend());
    },
  },
];

for (const { name, strike, times = tries, liveOnly = false, options } of faults) {
  test(`${name}: nothing lost, nothing twice, nothing left`, { skip }, async () => {
    const tally = tallies.begin(name);
    const failed = new Set<string>();
    const fleet = await Fleet.start(home, hosts, each, options);
    for (let n = 0; n < times; n++) {
      await connected();
      await sleep(random(0, 600));
      await strike(fleet, failed);
      tally.tries++;
    }
    if (!liveOnly) await connected();
    await fleet.go();
    if (!liveOnly) {
      await sleep(random(0, 1500));
      await strike(fleet, failed);
      tally.tries++;
    }
    await fleet.verify(tally, failed);
    assertWhole(tally);
  });
}
