import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { which } from '../../scripts/system-packages.mjs';
import { skipWithoutSshHosts, type SshHost } from '../rig/ssh-hosts.ts';
import { repository } from '../support/home.ts';
import { Fleet, serves, until, type End, type FleetOptions } from '../support/ssh-fleet.ts';
import { assertWhole, random, SshScene, tries } from '../support/ssh-scene.ts';

/**
 * The promise: a dropped line costs nothing. While twenty runs are live on two hosts one thing after the other
 * breaks, at random moments; afterwards everything is counted.
 *
 *     RUNYARD_FAULT_TRIES=20           how often each thing breaks
 *     RUNYARD_FAULT_MINUTES=10         how long the network is away in the long case
 *     RUNYARD_FAULT_TRANSPORT=system   over the system's ssh
 */
const skip = skipWithoutSshHosts({ tun: true });
const longMs = Number(process.env['RUNYARD_FAULT_MINUTES'] ?? 0.05) * 60_000;
const each = 10;
/** Seconds between two points, such that runs write something all the while. */
const pause = Math.max(0.008, tries * 0.006);

const scene = new SshScene();
const { home, tallies, everywhere, connected, connect, missed } = scene;
let far: SshHost;

before(async () => {
  if (!skip) ({ far } = await scene.open());
});
afterEach(() => scene.mend());
after(() => scene.close());

interface Fault {
  name: string;
  /** Breaks one thing, and mends it again where it does not mend itself. */
  strike(fleet: Fleet, broken: Map<string, End>): Promise<unknown>;
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
    async strike(fleet, broken) {
      const alive = fleet.members.filter(({ run }) => !broken.has(run.id));
      const victim = alive[Math.floor(Math.random() * alive.length)]!;
      const file = path.join(Fleet.attemptDir(victim), 'status.json');
      const { supervisor } = JSON.parse(readFileSync(file, 'utf8')) as { supervisor: { pid: number } };
      broken.set(victim.run.id, { status: 'Failed', code: 'supervisor_lost' });
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
    // Points are written all the while.
    options: { pause: Math.max(pause, longMs / 1000 / 180) },
    async strike() {
      await everywhere((host) => host.cut());
      await missed();
      await sleep(longMs);
      await everywhere((host) => host.mend());
    },
  },
];

for (const { name, strike, times = tries, liveOnly = false, options } of faults) {
  test(`${name}: nothing lost, nothing twice, nothing left`, { skip }, async () => {
    const tally = tallies.begin(name);
    const broken = new Map<string, End>();
    const fleet = await Fleet.start(home, scene.hosts, each, { pause, ...options });
    for (let n = 0; n < times; n++) {
      await connected();
      await sleep(random(0, 600));
      await strike(fleet, broken);
      tally.tries++;
    }
    if (!liveOnly) await connected();
    await fleet.go();
    if (!liveOnly) {
      await sleep(random(0, 1500));
      await strike(fleet, broken);
      tally.tries++;
    }
    await fleet.verify(tally, broken);
    assertWhole(tally);
  });
}

/** What the time of day is on a host stands in this file, as seconds beside the real one. */
const clockFile = '/tmp/clock';
const clockLibrary = '/tmp/clock.so';
const preload = '/etc/ld.so.preload';
const setClock = (seconds: number) =>
  everywhere((host) =>
    host.output(['sh', '-c', `echo ${seconds} > ${clockFile}.new && mv ${clockFile}.new ${clockFile}`]),
  );

/**
 * From here on everything that is started on the hosts has a clock that can be set. libfaketime would break the sleep
 * of Python 3.11 and later; a time of day alone is some lines of C.
 */
async function giveClock(): Promise<void> {
  const file = path.join(scene.rig.base, 'clock.so');
  const source = path.join(repository, 'test/support/clock.c');
  execFileSync(which('cc')!, ['-shared', '-fPIC', '-O1', '-o', file, source, '-ldl']);
  await setClock(0);
  await everywhere((host) => host.exec(['sh', '-c', `cat > ${clockLibrary}`], readFileSync(file)));
  await everywhere((host) => host.output(['sh', '-c', `echo ${clockLibrary} > ${preload}`]));
}

test(
  'a clock that jumps: nothing lost, nothing twice, nothing stuck',
  { skip: skip || (!which('cc') && 'needs a C compiler to make another clock') },
  async () => {
    const tally = tallies.begin('a clock that jumps (agent, supervisors, scripts)');
    await giveClock();
    try {
      // The agents too are started anew.
      await everywhere((host) => host.reset());
      await connect();
      const fleet = await Fleet.start(home, scene.hosts, each, { pause });
      for (let n = 0; n < tries; n++) {
        await sleep(random(0, 600));
        // Hours forward, and then back behind the beginning.
        await setClock(n % 2 === 0 ? 7200 : -7200);
        await sleep(random(200, 1200));
        if (Math.random() < 0.5) await everywhere((host) => host.reset());
        tally.tries++;
      }
      await fleet.go();
      await sleep(random(0, 1500));
      await setClock(-86_400);
      tally.tries++;
      await fleet.verify(tally);
      const [first] = fleet.members;
      const { steps } = await home.points(first!.run.id, 'loss');
      assert.equal(steps.length, fleet.count);
      const jumped = fleet.members.filter((member) => jumps(member));
      assert.ok(jumped.length > 0, 'the clock did jump for the scripts');
      assertWhole(tally);
    } finally {
      await everywhere((host) => host.output(['rm', preload]));
      await everywhere((host) => host.reset());
    }
  },
);

/** Whether the times in a run's events lie hours apart. */
function jumps(member: Fleet['members'][number]): boolean {
  const times = readFileSync(path.join(Fleet.attemptDir(member), 'events.jsonl'), 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => (JSON.parse(line) as { t: number }).t);
  return Math.max(...times) - Math.min(...times) > 3_000_000;
}
