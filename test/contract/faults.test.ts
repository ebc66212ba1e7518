import assert from 'node:assert/strict';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerEvent } from '../../src/api/events.ts';
import type { Run, RunDetail } from '../../src/api/entities.ts';
import { dist, isAlive, runCli, TestHome } from '../support/home.ts';

const home = new TestHome();
after(() => home.close());

/** A script that logs `count` points in about `seconds`, and prints a line each. */
const logger = (count: number, seconds: number) => `
import runyard, time
for i in range(${count}):
    runyard.log('m', i, step=i)
    print('line', i)
    time.sleep(${seconds / count})
`;

/** Metrics and log are exactly what the script wrote: nothing lost, nothing twice. */
async function assertExact(run: RunDetail, count: number): Promise<void> {
  assert.equal(run.status, 'Completed', JSON.stringify(run.error));
  const { steps, values } = await home.points(run.id, 'm');
  const expected = Array.from({ length: count }, (_, i) => i);
  assert.deepEqual(steps, expected);
  assert.deepEqual(values, expected);
  assert.equal(home.journalLines(run.id).filter((line) => line['m']).length, count);
  assert.equal((await home.log(run.id)).toString(), expected.map((i) => `line ${i}\n`).join(''));
}

test('the server killed in mid-run, many times: metrics equal the journal, the log is whole', async () => {
  const count = 400;
  const run = await home.script(logger(count, 5));
  await home.reaches(run.id, 'Running');
  let kills = 0;
  for (let i = 0; i < 8; i++) {
    await sleep(50 + Math.random() * 500);
    if ((await home.detail(run.id)).status !== 'Running') break;
    await home.killServer();
    kills++;
  }
  assert.ok(kills >= 3, `${kills} kills`);
  await assertExact(await home.ended(run.id), count);
});

test('the server killed during collection', async () => {
  const count = 20_000;
  for (let round = 0; round < 4; round++) {
    const run = await home.script(
      `import runyard\nfor i in range(${count}):\n    runyard.log('m', i, step=i)\n    print('line', i)\n` +
        `import os\nos.makedirs('outputs')\nopen('outputs/big', 'wb').write(b'x' * 30_000_000)\n`,
    );
    await home.reaches(run.id, 'Running');
    await sleep(Math.random() * 300);
    await home.killServer();
    const ended = await home.ended(run.id);
    await assertExact(ended, count);
    const { artifacts } = await home.client.call('listArtifacts', {
      params: { workspace: 'default', run: run.id },
    });
    const big = artifacts.find((one) => one.path === 'outputs/big');
    assert.equal(big?.size, 30_000_000);
    assert.equal(big?.stored, true);
  }
});

test('twenty runs on two slots and the server killed: all twenty finish, in order, two at a time', async () => {
  const runs: Run[] = [];
  const folder = home.folder('twenty', {
    'train.py': `import runyard, time\nrunyard.log('m', 1)\ntime.sleep(0.2)\nrunyard.log('m', 2)\n`,
  });
  for (let i = 0; i < 20; i++)
    runs.push(await home.submit(folder, { configuration: { script: 'train.py' } }));
  await home.killServer();
  const ended: RunDetail[] = [];
  for (const run of runs) ended.push(await home.ended(run.id));
  for (const run of ended) {
    assert.equal(run.status, 'Completed', JSON.stringify(run.error));
    assert.equal(run.series[0]?.count, 2);
  }
  // Never more than two at once: at every start at most one other run has started and not ended.
  for (const run of ended) {
    const others = ended.filter(
      (other) => other.startedAt! < run.startedAt! && other.endedAt! > run.startedAt!,
    );
    assert.ok(others.length <= 1, `${others.length + 1} at once`);
  }
});

test('the host goes on with nobody there: the server stays away until all have ended', async () => {
  const folder = home.folder('away', { 'train.py': `import runyard\nrunyard.log('m', 1)\n` });
  const runs: Run[] = [];
  for (let i = 0; i < 6; i++) runs.push(await home.submit(folder, { configuration: { script: 'train.py' } }));
  for (const run of runs) await home.reaches(run.id, 'Queued');
  await home.until(runs[5]!.id, 'on its host', ({ events }) =>
    events.some((event) => event.status === 'Queued'),
  );
  await home.killServer();
  const finished = () =>
    runs.every((run) => {
      const file = path.join(home.attemptDir(run.id), 'status.json');
      return existsSync(file) && /"state": ?"Completed"/.test(readFile(file));
    });
  while (!finished()) await sleep(50);
  for (const run of runs) assert.equal((await home.ended(run.id)).status, 'Completed');
});

test('a script that ignores SIGTERM, setsid grandchildren and a double-forked daemon: all gone after cancel', async () => {
  const run = await home.script(`
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sleeper = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)'
subprocess.Popen([sys.executable, '-c', sleeper], start_new_session=True)
subprocess.Popen(['setsid', 'sh', '-c', 'setsid sleep 601 & sleep 602'])
subprocess.Popen(['env', '-i', 'setsid', '/bin/sleep', '603'])
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 10)
        time.sleep(604)
    os._exit(0)
print('ready')
time.sleep(600)
`);
  await home.reaches(run.id, 'Running');
  while (!(await home.log(run.id)).includes('ready')) await sleep(50);
  await sleep(500);
  const before = treeOf(run.id);
  assert.ok(before.length >= 5, `${before.length} processes`);
  await home.cancel(run.id);
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Canceled');
  await gone(() => [...before.filter(isAlive), ...treeOf(run.id)]);
});

test('a supervisor killed by hand: Failed with the reason, nothing it started lives on', async () => {
  const run = await home.script(`
import subprocess, time
subprocess.Popen(['setsid', 'sleep', '605'])
print('ready')
time.sleep(600)
`);
  while (!(await home.log(run.id)).includes('ready')) await sleep(50);
  const tree = treeOf(run.id);
  const status = JSON.parse(readFile(path.join(home.attemptDir(run.id), 'status.json'))) as {
    supervisor: { pid: number };
  };
  process.kill(status.supervisor.pid, 'SIGKILL');
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Failed');
  assert.equal(ended.error?.code, 'supervisor_lost');
  assert.match(ended.error!.message, /supervisor/i);
  await gone(() => tree.filter(isAlive));
});

test("the agent's serve killed in mid-run: the channel is made again, nothing is lost", async () => {
  const count = 300;
  const run = await home.script(logger(count, 3));
  await home.reaches(run.id, 'Running');
  for (let i = 0; i < 3; i++) {
    await sleep(300);
    for (const pid of servePids()) process.kill(pid, 'SIGKILL');
  }
  await assertExact(await home.ended(run.id), count);
});

test("the extension's folder deleted under a living server, which goes on and starts a next run", async () => {
  const copy = path.join(home.folders, 'extension-dist');
  cpSync(dist, copy, { recursive: true });
  const other = new TestHome({ distDir: copy });
  try {
    assert.equal((await other.ended((await other.script('print(1)')).id)).status, 'Completed');
    rmSync(copy, { recursive: true });
    for (const pid of servePids(other)) process.kill(pid, 'SIGKILL');
    const run = await other.script(`import runyard\nrunyard.log('m', 1)\n`);
    assert.equal((await other.ended(run.id)).status, 'Completed');
  } finally {
    await other.close();
  }
});

test('several clients and a command line at once: one server, every run once, events for everybody', async () => {
  const clients = [home.newClient(), home.newClient()];
  const seen = clients.map(() => new Set<string>());
  const subscriptions = clients.map((client, i) =>
    client.events('default', {
      onEvent: (event) => {
        if (event.type === 'run' && event.run.status === 'Completed') seen[i]!.add(event.run.id);
      },
    }),
  );
  const folder = home.folder('many', { 'train.py': `import runyard\nrunyard.log('m', 1)\n` });
  const environment = { PATH: process.env['PATH'] ?? '' };
  const submits = clients.flatMap((client) =>
    [1, 2, 3].map(() =>
      client.call('submitRun', {
        params: { workspace: 'default' },
        body: { folder, configuration: { script: 'train.py' }, environment },
      }),
    ),
  );
  const [fromCli, ...runs] = await Promise.all([
    runCli(home.dir, ['run', 'submit', folder, '--script', 'train.py', '--wait', '--json']),
    ...submits,
  ]);
  assert.equal(fromCli.code, 0, fromCli.stderr);
  const ids = [...runs.map((run) => run.id), (JSON.parse(fromCli.stdout) as { id: string }).id];
  for (const id of ids) assert.equal((await home.ended(id)).status, 'Completed');
  const numbers = await Promise.all(ids.map(async (id) => (await home.detail(id)).number));
  assert.equal(new Set(numbers).size, ids.length);
  while (!seen.every((set) => ids.every((id) => set.has(id)))) await sleep(50);
  subscriptions.forEach((subscription) => subscription.close());
  clients.forEach((client) => client.close());
});

test('ten clients with no server start one, and a submit sent twice makes one run', async () => {
  const other = new TestHome();
  try {
    const clients = Array.from({ length: 10 }, () => other.newClient());
    await Promise.all(clients.map((client) => client.ready()));
    const pids = await Promise.all(clients.map(async (client) => (await client.call('getServer')).pid));
    assert.equal(new Set(pids).size, 1);
    const folder = other.folder('once', { 'train.py': 'print(1)' });
    const body = { folder, configuration: { script: 'train.py' }, requestId: 'same' };
    const runs = await Promise.all(
      clients.map((client) => client.call('submitRun', { params: { workspace: 'default' }, body })),
    );
    assert.equal(new Set(runs.map((run) => run.id)).size, 1);
    await other.ended(runs[0]!.id);
    clients.forEach((client) => client.close());
  } finally {
    await other.close();
  }
});

test('a client that comes back misses no event, also over a killed server', async () => {
  const client = home.newClient();
  const statuses: string[] = [];
  let hellos = 0;
  const subscription = client.events('default', {
    onEvent: (event: ServerEvent) => {
      if (event.type === 'run') statuses.push(`${event.run.id} ${event.run.status}`);
      if (event.type === 'hello') {
        hellos++;
        assert.equal(event.reset, false);
      }
    },
  });
  while (hellos === 0) await sleep(10);
  const run = await home.script(logger(40, 2));
  await home.reaches(run.id, 'Running');
  await home.killServer();
  const ended = await home.ended(run.id);
  const wanted = ended.events.map((event) => `${run.id} ${event.status}`);
  while (!statuses.includes(wanted.at(-1)!)) await sleep(20);
  assert.deepEqual([...new Set(statuses.filter((text) => text.startsWith(run.id)))], wanted);
  assert.ok(hellos >= 2);
  subscription.close();
  client.close();
});

test('a newer client drains an older server; runs go on and nothing is lost', async () => {
  const count = 200;
  const run = await home.script(logger(count, 3));
  await home.reaches(run.id, 'Running');
  const before = await home.serverPid();
  const newer = path.join(home.folders, 'newer-dist');
  cpSync(dist, newer, { recursive: true });
  const { writeFileSync } = await import('node:fs');
  const build = JSON.parse(readFile(path.join(newer, 'build.json'))) as { version: string; builtAt: number };
  writeFileSync(
    path.join(newer, 'build.json'),
    JSON.stringify({ ...build, hash: 'feedfacefeedface', builtAt: build.builtAt + 1 }),
  );
  const { Client } = await import('../../src/client/client.ts');
  const client = new Client({ home: home.dir, distDir: newer });
  await client.ready();
  const info = await client.call('getServer');
  assert.notEqual(info.pid, before);
  assert.equal(info.build, 'feedfacefeedface');
  assert.ok(!isAlive(before));
  client.close();
  await assertExact(await home.ended(run.id), count);
});

test('an idle server ends by itself and comes back when it is needed', async () => {
  process.env['RUNYARD_SERVER_IDLE_SECONDS'] = '1';
  const other = new TestHome();
  try {
    const pid = await other.serverPid();
    other.client.close();
    while (isAlive(pid)) await sleep(100);
    const { code, stdout } = await runCli(other.dir, ['run', 'list', '--json']);
    assert.equal(code, 0);
    assert.deepEqual(JSON.parse(stdout), []);
  } finally {
    delete process.env['RUNYARD_SERVER_IDLE_SECONDS'];
    await other.close();
  }
});

/** Processes of a run, the supervisor and its tools included, found by the run's name in environment or command line. */
function treeOf(run: string): number[] {
  const marked = home.processes(run);
  const children = new Map<number, number[]>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const parent = Number(/\) \S+ (\d+)/.exec(tryRead(`/proc/${pid}/stat`))?.[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), Number(pid)]);
  }
  const all = new Set<number>();
  const visit = (pid: number) => {
    if (all.has(pid)) return;
    all.add(pid);
    (children.get(pid) ?? []).forEach(visit);
  };
  marked.forEach(visit);
  return [...all].filter(isAlive);
}

/** A supervisor says that the run has ended a moment before it ends itself. */
async function gone(processes: () => number[]): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (processes().length > 0 && Date.now() < deadline) await sleep(50);
  const left = processes().map((pid) => `${pid}: ${tryRead(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`);
  assert.deepEqual(left, []);
}

function servePids(of: TestHome = home): number[] {
  return of.processes(of.dir).filter((pid) => tryRead(`/proc/${pid}/cmdline`).split('\0').includes('serve'));
}

function readFile(file: string): string {
  return tryRead(file);
}

function tryRead(file: string): string {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
