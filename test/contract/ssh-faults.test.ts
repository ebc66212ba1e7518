import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { which } from '../../scripts/system-packages.mjs';
import { SshHosts, skipWithoutSshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { repository, TestHome } from '../support/home.ts';
import { addCompute } from '../support/person.ts';
import {
  countLeft,
  Fleet,
  hostRoot,
  serves,
  Tallies,
  until,
  type End,
  type FleetOptions,
  type Tally,
} from '../support/ssh-fleet.ts';

/**
 * The promise: a dropped line costs nothing. While twenty runs are live on two hosts one thing after the other
 * breaks, at random moments; afterwards everything is counted.
 *
 *     RUNYARD_FAULT_TRIES=20     how often each thing breaks
 *     RUNYARD_FAULT_MINUTES=10   how long the network is away in the long case
 */
const skip = skipWithoutSshHosts({ tun: true });
const tries = Number(process.env['RUNYARD_FAULT_TRIES'] ?? 1);
const longMs = Number(process.env['RUNYARD_FAULT_MINUTES'] ?? 0.05) * 60_000;
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
afterEach(async () => {
  for (const host of hosts ?? []) await host.mend();
});
after(async () => {
  await home.close();
  await rig?.close();
  tallies.print();
});

/** Milliseconds, so that nothing hits the same moment twice. */
const random = (from: number, to: number) => from + Math.random() * (to - from);

const everywhere = (work: (host: SshHost) => unknown) => Promise.all(hosts.map(work));

let said = '';

async function state(host: SshHost): Promise<string> {
  const { state, problem } = await home.client.call('getCompute', { params: { compute: host.name } });
  said = `${host.name} is ${state}: ${problem}`;
  return state;
}

async function connected(): Promise<void> {
  for (const host of hosts) {
    await until(
      `${host.name} is connected`,
      async () => (await state(host)) === 'connected',
      () => said,
    );
  }
}

/** For tests without a live run: nobody else wants the connection then. */
async function connect(): Promise<void> {
  for (const host of hosts)
    await until(`${host.name} lets us in`, () =>
      home.client.call('connectCompute', { params: { compute: host.name }, body: {} }).then(
        () => true,
        () => false,
      ),
    );
}

function assertWhole(tally: Tally): void {
  const { lost, duplicated, orphaned, wrong } = tally;
  assert.deepEqual({ lost, duplicated, orphaned, wrong }, { lost: 0, duplicated: 0, orphaned: 0, wrong: [] });
}

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
    const broken = new Map<string, End>();
    const fleet = await Fleet.start(home, hosts, each, options);
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
  const file = path.join(rig.base, 'clock.so');
  const source = path.join(repository, 'test/support/clock.c');
  execFileSync(which('cc')!, ['-shared', '-fPIC', '-O1', '-o', file, source, '-ldl']);
  await setClock(0);
  await everywhere((host) => host.exec(['sh', '-c', `cat > ${clockLibrary}`], readFileSync(file)));
  await everywhere((host) => host.output(['sh', '-c', `echo ${clockLibrary} > ${preload}`]));
}

async function configure(changes: { slots: number }): Promise<void> {
  await everywhere((host) =>
    home.client.call('updateCompute', { params: { compute: host.name }, body: changes }),
  );
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
      const fleet = await Fleet.start(home, hosts, each);
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

test('canceled while the line is cut: ended as soon as it is back', { skip }, async () => {
  const tally = tallies.begin('cancel while the line is cut');
  const fleet = await Fleet.start(home, hosts, each);
  const broken = new Map<string, End>();
  await connected();
  await everywhere((host) => host.cut());
  const victims = [...fleet.members].sort(() => Math.random() - 0.5).slice(0, 6);
  const asked: Promise<PromiseSettledResult<unknown>[]>[] = [];
  const cancel = ({ run }: (typeof victims)[number]) => {
    broken.set(run.id, { status: 'Canceled' });
    asked.push(Promise.allSettled([home.cancel(run.id)]));
    tally.tries++;
  };
  // Nobody has noticed yet.
  victims.slice(0, 3).forEach(cancel);
  for (const host of hosts)
    await until(`${host.name} is missed`, async () => (await state(host)) !== 'connected');
  victims.slice(3).forEach(cancel);
  for (const [answer] of await Promise.all(asked))
    assert.equal(answer!.status, 'fulfilled', JSON.stringify(answer));
  for (const { run } of victims) assert.equal((await home.detail(run.id)).status, 'CancelRequested');
  await everywhere((host) => host.mend());
  for (const { run } of victims) await home.ended(run.id);
  await fleet.go();
  await fleet.verify(tally, broken);
  assertWhole(tally);
});

test('submitted while the line is cut: it waits, says why, and runs', { skip }, async () => {
  const tally = tallies.begin('submit while the line is cut');
  await connect();
  const submit = (host: SshHost) =>
    home.script('import runyard\nrunyard.log("m", 7)\n', {
      configuration: { script: 'train.py', target: host.name },
    });
  for (let n = 0; n < tries; n++) {
    await everywhere((host) => host.cut());
    const runs = [await submit(near), await submit(far)];
    for (const host of hosts)
      await until(`${host.name} is missed`, async () => (await state(host)) !== 'connected');
    runs.push(await submit(near), await submit(far));
    for (const { id, compute } of runs) {
      const { status, statusReason } = await home.until(id, 'waiting', (run) =>
        run.statusReason.startsWith(`Waiting for ${compute}: `),
      );
      assert.equal(status, 'NotStarted', statusReason);
    }
    await everywhere((host) => host.mend());
    for (const { id } of runs) {
      const ended = await home.ended(id);
      tally.runs++;
      if (ended.status !== 'Completed') tally.wrong.push(`${id}: ${JSON.stringify(ended.error)}`);
      const { values } = await home.points(id, 'm');
      if (values.length !== 1) tally.wrong.push(`${id} has the points ${values.join()}`);
    }
    tally.tries++;
    await countLeft(
      hosts,
      runs.map(({ id }) => id),
      tally,
    );
  }
  assertWhole(tally);
});

test(
  'the line breaks before the host can say that it has the run, which is then canceled',
  { skip },
  async () => {
    const tally = tallies.begin('cancel of a run whose hand-over got no answer');
    for (let n = 0; n < tries; n++) {
      await connect();
      await far.weather({ delay: 0.5 });
      const run = await home.script('import time\ntime.sleep(600)\n', {
        configuration: { script: 'train.py', target: far.name },
      });
      await until('the host has it', () => existsSync(Fleet.attemptDir({ run, host: far })));
      await far.cut();
      await far.weather({ delay: 0.003 });
      const canceled = home.cancel(run.id);
      await until('the host is missed', async () => (await state(far)) !== 'connected');
      await canceled;
      await far.mend();
      const ended = await home.ended(run.id);
      tally.runs++;
      tally.tries++;
      if (ended.status !== 'Canceled') tally.wrong.push(`${run.id} is ${ended.status}`);
      await countLeft([far], [run.id], tally);
    }
    assertWhole(tally);
  },
);

test('the host forgets a connection that is being made: another one is made', { skip }, async () => {
  const tally = tallies.begin('connection forgotten in the middle of the sign-in');
  // Its collector wants the connection.
  const fleet = await Fleet.start(home, hosts, 1);
  for (let n = 0; n < tries * 3; n++) {
    await connected();
    await far.weather({ delay: 0.1 });
    await far.reset();
    await sleep(random(100, 2500));
    await far.cut();
    // What would tell our side is dropped as well.
    await far.reset();
    await far.mend();
    await far.weather({ delay: 0.003 });
    await until(
      'the try is given up or goes well',
      async () => (await state(far)) !== 'connecting',
      () => said,
    );
    assert.notEqual(await state(far), 'attention', said);
    // A person does not wait for the pause before the next try.
    await connect();
    tally.tries++;
  }
  await fleet.go();
  await fleet.verify(tally);
  assertWhole(tally);
});

test('an ssh server that accepts and says nothing is given up, and tried again', { skip }, async () => {
  const tally = tallies.begin('sshd accepts and says nothing');
  const fleet = await Fleet.start(home, hosts, 1);
  for (let n = 0; n < tries; n++) {
    await connected();
    const server = far.outer(Number(readFileSync(far.path('/run/sshd.pid'), 'utf8')))!;
    process.kill(server, 'SIGSTOP');
    try {
      await far.reset();
      await until('it is given up', async () => (await state(far)) === 'unreachable');
    } finally {
      process.kill(server, 'SIGCONT');
    }
    await connected();
    tally.tries++;
  }
  await fleet.go();
  await fleet.verify(tally);
  assertWhole(tally);
});

test('the queue of a host goes on with nobody there, in order', { skip }, async () => {
  const tally = tallies.begin('the queue with nobody there (6 runs, 2 slots)');
  await configure({ slots: 2 });
  try {
    for (let n = 0; n < tries; n++) {
      await connect();
      const ids: string[] = [];
      for (let i = 0; i < 6; i++) {
        const { id } = await home.script('import runyard, time\nrunyard.log("m", 7)\ntime.sleep(0.3)\n', {
          configuration: { script: 'train.py', target: near.name },
        });
        ids.push(id);
        await home.until(id, 'on its host', ({ events }) => events.some(({ status }) => status === 'Queued'));
      }
      await home.killServer();
      await until('nobody is connected', () => serves(near).length === 0);
      const completed = (id: string) => {
        const file = path.join(hostRoot(near), 'runs', id, 'attempts/1/status.json');
        return /"state": ?"Completed"/.test(readFileSync(file, 'utf8'));
      };
      await until('all have ended', () => ids.every(completed));
      const times: { start: number; end: number }[] = [];
      for (const id of ids) {
        const { status, events } = await home.ended(id);
        tally.runs++;
        if (status !== 'Completed') tally.wrong.push(`${id} is ${status}`);
        const at = (wanted: string) => events.find((event) => event.status === wanted)!.time;
        times.push({ start: at('Preparing'), end: at('Completed') });
        const { values } = await home.points(id, 'm');
        if (values.length !== 1) tally.wrong.push(`${id} has the points ${values.join()}`);
      }
      for (const [i, { start }] of times.entries()) {
        if (i > 0 && start < times[i - 1]!.start) tally.wrong.push(`${ids[i]} was overtaken`);
        const others = times.filter((other) => other.start < start && other.end > start);
        if (others.length > 1) tally.wrong.push(`${others.length + 1} at once`);
      }
      tally.tries++;
      await countLeft([near], ids, tally);
    }
    assertWhole(tally);
  } finally {
    await configure({ slots: 16 });
  }
});

/** Takes the last byte of a host's folder; what is freed meanwhile too. */
function fill(host: SshHost): void {
  const dir = path.join(hostRoot(host), 'filler');
  mkdirSync(dir, { recursive: true });
  for (let n = 0; ; n++) {
    const { bavail, bsize } = statfsSync(dir);
    if (bavail === 0) return;
    try {
      writeFileSync(path.join(dir, String(n)), Buffer.alloc(Math.min(bavail * bsize, 16 * 1024 * 1024)), {
        flag: 'a',
      });
    } catch {
      // Somebody was quicker.
    }
  }
}

test('the disk of a host is full: said, and all goes on when there is room', { skip }, async () => {
  const tally = tallies.begin("the host's disk full");
  const small = await rig.start({ name: 'small' });
  const root = path.join(small.homePath, '.runyard/host');
  await small.output([
    'sh',
    '-c',
    `mkdir -p ${root} && mount -t tmpfs -o size=160m,mode=700 tmpfs ${root} && chown -R mia: ${small.homePath}/.runyard`,
  ]);
  const known = rig.sshConfig({ lines: [`ServerAliveInterval ${keepAlive}`, 'ConnectTimeout 5'] });
  await addCompute(home.client, small, known, { slots: 16 });
  for (let n = 0; n < tries; n++) {
    const fleet = await Fleet.start(home, [small], each, { quiet: true, count: 1000, pause: 0.01 });
    const loud = await Fleet.start(home, [small], 1, { count: 100_000, pause: 0.01 });
    const [talker] = loud.members;
    await sleep(random(0, 500));
    fill(small);
    const stop = setInterval(() => fill(small), 20);
    try {
      const refused = await home.script(`print('x')\n${'#'.repeat(100_000)}${Math.random()}`, {
        configuration: { script: 'train.py', target: small.name },
      });
      const { error, statusReason } = await home.ended(refused.id);
      assert.equal(error?.code, 'no_space', `${statusReason} ${JSON.stringify(error)}`);
      assert.match(error.message, /full|space/i);
      if (Math.random() < 0.5) await small.reset();
      await until('the talker is gone', () => small.processes(talker!.who).length === 0);
      await sleep(random(500, 2000));
    } finally {
      clearInterval(stop);
      rmSync(path.join(hostRoot(small), 'filler'), { recursive: true });
    }
    tally.tries++;
    await fleet.go();
    await fleet.verify(tally);
    await loud.verify(tally, new Map([[talker!.run.id, { status: 'Failed', code: 'no_space' }]]));
  }
  const after = await home.script('print(1)', { configuration: { script: 'train.py', target: small.name } });
  assert.equal((await home.ended(after.id)).status, 'Completed');
  assertWhole(tally);
});
