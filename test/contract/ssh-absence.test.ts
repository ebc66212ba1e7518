import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { skipWithoutSshHosts, type SshHost } from '../rig/ssh-hosts.ts';
import { countLeft, Fleet, hostRoot, serves, until, type End } from '../support/ssh-fleet.ts';
import { assertWhole, random, SshScene, tries } from '../support/ssh-scene.ts';

/** What a person wants while a host is away, and what a host does that is left alone; see `ssh-faults.test.ts`. */
const skip = skipWithoutSshHosts({ tun: true });
const each = 10;

const scene = new SshScene();
const { home, tallies, everywhere, state, connected, connect, missed, configure } = scene;
let near: SshHost;
let far: SshHost;

before(async () => {
  if (!skip) ({ near, far } = await scene.open());
});
afterEach(() => scene.mend());
after(() => scene.close());

test('canceled while the line is cut: ended as soon as it is back', { skip }, async () => {
  const tally = tallies.begin('cancel while the line is cut');
  const fleet = await Fleet.start(home, scene.hosts, each);
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
  await missed();
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
    await missed();
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
      scene.hosts,
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
      await missed([far]);
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
  const fleet = await Fleet.start(home, scene.hosts, 1);
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
      () => scene.said,
    );
    assert.notEqual(await state(far), 'attention', scene.said);
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
  const fleet = await Fleet.start(home, scene.hosts, 1);
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
  const small = await scene.rig.start({ name: 'small' });
  const root = path.join(small.homePath, '.runyard/host');
  await small.output([
    'sh',
    '-c',
    `mkdir -p ${root} && mount -t tmpfs -o size=160m,mode=700 tmpfs ${root} && chown -R mia: ${small.homePath}/.runyard`,
  ]);
  await scene.add(small);
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
