import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunDetail } from '../../src/api/entities.ts';
import { isTerminal } from '../../src/api/run-status.ts';
import type { SubmitRequest } from '../../src/api/requests.ts';
import { DockerEngine, skipWithoutDocker, testImage } from '../rig/docker/engine.ts';
import { TestHome } from '../support/home.ts';

/** How often each thing breaks: few in the suite, many by hand. */
const tries = Number(process.env['RUNYARD_FAULT_TRIES'] ?? 2);
const skip = skipWithoutDocker();
const home = new TestHome();
const params = { workspace: 'default' };
const tally = new Map<string, { tries: number; runs: number }>();
let plain: DockerEngine;
let restoring: DockerEngine;
let registryImage: string;

before(async () => {
  if (skip) return;
  [plain, restoring] = await Promise.all([DockerEngine.start(), DockerEngine.start({ liveRestore: true })]);
  registryImage = await plain.registry();
});
after(async () => {
  await home.close();
  await Promise.all([plain?.close(), restoring?.close()]);
  for (const [fault, { tries, runs }] of tally) console.log(`${fault}: ${tries} tries, ${runs} runs`);
});

const random = (from: number, to: number) => from + Math.random() * (to - from);
const points = 150;
/** Metrics, numbered lines on both outputs, and an output whose content is known. */
const logger = `
import os, sys, time, runyard
for i in range(${points}):
    runyard.log('m', i, step=i)
    print('line', i, file=sys.stderr if i % 3 == 0 else sys.stdout)
    time.sleep(0.02)
os.makedirs('outputs')
open('outputs/x', 'wb').write(bytes(range(256)) * 1000)
`;

function submit(engine: DockerEngine, source = logger, more: Partial<SubmitRequest> = {}) {
  return home.script(source, {
    configuration: {
      script: 'train.py',
      docker: { useDocker: true, baseImage: testImage },
      resources: { slots: 1 },
    },
    environment: { PATH: process.env['PATH']!, DOCKER_HOST: engine.address },
    ...more,
  });
}

/** Nothing lost, nothing twice. */
async function assertWhole(run: RunDetail): Promise<void> {
  assert.equal(run.status, 'Completed', JSON.stringify(run.error));
  const expected = Array.from({ length: points }, (_, i) => i);
  assert.deepEqual((await home.points(run.id, 'm')).values, expected);
  const lines = (await home.log(run.id)).toString().split('\n').filter(Boolean);
  assert.deepEqual(
    lines,
    expected.map((i) => `line ${i}`),
  );
  const { artifacts } = await home.client.call('listArtifacts', { params: { ...params, run: run.id } });
  assert.equal(artifacts.find((one) => one.path === 'outputs/x')?.size, 256_000);
}

/** Of a run that was cut off: what it had written, and the reason. */
async function assertCut(run: RunDetail, code: string): Promise<void> {
  assert.deepEqual([run.status, run.error?.code], ['Failed', code], JSON.stringify(run.error));
  const { values } = await home.points(run.id, 'm');
  assert.deepEqual(
    values,
    values.map((_, i) => i),
  );
  // What the script had not written when it was killed is nobody's to keep.
  assert.equal(home.journalLines(run.id).filter((line) => line['m']).length, values.length);
  const log = path.join(home.attemptDir(run.id), 'user_logs/std_log.txt');
  assert.deepEqual(await home.log(run.id), readFileSync(log));
}

async function assertNothingLeft(engine: DockerEngine, images: string[]): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const containers = await engine.containers();
    const now = await engine.images();
    const temporary = path.join(home.dir, 'host/environments/tmp');
    const folders = existsSync(temporary) ? readdirSync(temporary) : [];
    const more = now.filter((one) => !images.includes(one));
    const left = [...containers, ...more, ...folders];
    if (left.length === 0) return;
    assert.ok(Date.now() < deadline, `left over: ${left.join(', ')}`);
    await sleep(100);
  }
}

/** One kind of fault, tried again and again. */
async function again(fault: string, engine: DockerEngine, once: () => Promise<number>): Promise<void> {
  const images = await engine.images();
  const count = { tries: 0, runs: 0 };
  tally.set(fault, count);
  for (let n = 0; n < tries; n++) {
    count.runs += await once();
    count.tries++;
    await assertNothingLeft(engine, images);
  }
}

/** Resolves somewhere in the middle of a run. */
async function inTheMiddle(id: string): Promise<void> {
  await home.reaches(id, 'Running');
  await sleep(random(0, 1500));
}

/** Processes of this home that are the engine's client. */
function clients(): number[] {
  return home.processes().filter((pid) => {
    try {
      return /(^|\/)docker\0/.test(readFileSync(`/proc/${pid}/cmdline`, 'latin1'));
    } catch {
      return false;
    }
  });
}

test("the engine's client killed: the run goes on, nothing is lost", { skip }, () =>
  again('client killed', plain, async () => {
    const run = await submit(plain);
    await home.reaches(run.id, 'Running');
    for (let kills = 0; kills < 4; kills++) {
      await sleep(random(50, 500));
      for (const pid of clients()) process.kill(pid, 'SIGKILL');
    }
    await assertWhole(await home.ended(run.id));
    return 1;
  }),
);

test('the container killed from outside', { skip }, () =>
  again('container killed', plain, async () => {
    const run = await submit(plain);
    await inTheMiddle(run.id);
    await plain.try(['kill', run.id]);
    const ended = await home.ended(run.id);
    if (ended.status === 'Completed') await assertWhole(ended);
    else await assertCut(ended, 'container');
    return 1;
  }),
);

test('the engine stopped and started with live-restore: the run goes on, nothing is lost', { skip }, () =>
  again('engine restarted, live-restore', restoring, async () => {
    const run = await submit(restoring);
    await inTheMiddle(run.id);
    await (Math.random() < 0.5 ? restoring.stop() : restoring.kill());
    await sleep(random(0, 5000));
    await restoring.begin();
    await assertWhole(await home.ended(run.id));
    return 1;
  }),
);

test('the engine stopped without live-restore: the run is Failed and says so', { skip }, () =>
  again('engine stopped', plain, async () => {
    const run = await submit(plain, logger.replace('0.02', '0.2'));
    await inTheMiddle(run.id);
    await plain.stop();
    await sleep(random(0, 3000));
    await plain.begin();
    const ended = await home.ended(run.id);
    await assertCut(ended, 'container');
    assert.match(ended.error!.message, /engine was stopped/);
    return 1;
  }),
);

test('the supervisor killed: its container is ended and removed', { skip }, () =>
  again('supervisor killed', plain, async () => {
    const run = await submit(plain, logger.replace('0.02', '0.2'));
    await inTheMiddle(run.id);
    const status = JSON.parse(readFileSync(path.join(home.attemptDir(run.id), 'status.json'), 'utf8')) as {
      supervisor: { pid: number };
    };
    process.kill(status.supervisor.pid, 'SIGKILL');
    await assertCut(await home.ended(run.id), 'supervisor_lost');
    return 1;
  }),
);

test('the server killed: the run goes on, nothing is lost', { skip }, () =>
  again('server killed', plain, async () => {
    const runs = [await submit(plain), await submit(plain)];
    await sleep(random(0, 1500));
    await home.killServer();
    await inTheMiddle(runs[0]!.id);
    await home.killServer();
    for (const run of runs) await assertWhole(await home.ended(run.id));
    return 2;
  }),
);

const dockerfile = (n: number) =>
  path.join(
    home.folder(`build-${n}-${Math.random().toString(36).slice(2)}`, {
      Dockerfile: `FROM ${testImage}\nRUN echo ${Math.random()} > /first\nRUN echo building; sleep 600\n`,
    }),
    'Dockerfile',
  );

test('cancel at any moment of a run', { skip }, () =>
  again('cancel of a run', plain, async () => {
    const run = await submit(plain);
    await sleep(random(0, 1500));
    await home.cancel(run.id).catch(() => undefined);
    assert.ok(['Canceled', 'Completed'].includes((await home.ended(run.id)).status));
    return 1;
  }),
);

test('cancel of a build: no container, no layer', { skip }, () =>
  again('cancel of a build', plain, async () => {
    const run = await submit(plain, 'print(1)', {
      useEnvironment: dockerfile(tries),
      configuration: { script: 'train.py' },
    });
    await home.until(
      run.id,
      'building',
      ({ status, statusReason }) => isTerminal(status) || /^Building/.test(statusReason),
    );
    if (Math.random() < 0.7) await untilBuildSays(run.id, 'building');
    await home.cancel(run.id);
    assert.equal((await home.ended(run.id)).status, 'Canceled');
    return 1;
  }),
);

async function untilBuildSays(run: string, word: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; ;) {
    const { data } = await home.client.bytes('readArtifact', {
      params: { ...params, run },
      query: { path: 'user_logs/build_log.txt' },
    });
    if (Buffer.from(data).toString().split('\n').includes(word)) return;
    assert.ok(Date.now() < deadline, Buffer.from(data).toString());
    await sleep(30);
  }
}

test('cancel of a pull', { skip }, () =>
  again('cancel of a pull', plain, async () => {
    await plain.try(['rmi', registryImage]);
    const run = await submit(plain, 'print(1)', {
      configuration: { script: 'train.py', docker: { useDocker: true, baseImage: registryImage } },
    });
    await home.until(
      run.id,
      'pulling',
      ({ status, statusReason }) => isTerminal(status) || /^Pulling/.test(statusReason),
    );
    await sleep(random(0, 500));
    await home.cancel(run.id).catch(() => undefined);
    assert.ok(['Canceled', 'Completed'].includes((await home.ended(run.id)).status));
    await plain.try(['rmi', registryImage]);
    return 1;
  }),
);

test('an image that is only in a registry is pulled, and said', { skip }, async () => {
  await plain.try(['rmi', registryImage]);
  const run = await submit(plain, logger, {
    configuration: { script: 'train.py', docker: { useDocker: true, baseImage: registryImage } },
  });
  await home.until(
    run.id,
    'pulling',
    ({ status, statusReason }) => isTerminal(status) || /^Pulling the image/.test(statusReason),
  );
  await assertWhole(await home.ended(run.id));
  const { facts } = await home.client.call('getRunEnvironment', { params: { ...params, run: run.id } });
  assert.match(facts!.image_digest ?? '', /@sha256:/);
});

test('the disk full during a build of an image: said, nothing left', { skip }, async () => {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'ry-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=700m', 'tmpfs', dir]);
  const small = await DockerEngine.start({ data: dir });
  try {
    await again('disk full during a build', small, async () => {
      const file = path.join(
        home.folder(`full-${Math.random().toString(36).slice(2)}`, {
          Dockerfile: `FROM ${testImage}\nRUN echo ${Math.random()} > /first\nRUN dd if=/dev/zero of=/big bs=1M count=1000\n`,
        }),
        'Dockerfile',
      );
      const ended = await home.ended(
        (await submit(small, 'print(1)', { useEnvironment: file, configuration: { script: 'train.py' } })).id,
      );
      assert.deepEqual(
        [ended.status, ended.error?.code],
        ['Failed', 'no_space'],
        JSON.stringify(ended.error),
      );
      return 1;
    });
  } finally {
    await small.close();
    execFileSync('umount', ['-l', dir]);
    rmSync(dir, { recursive: true });
  }
});

test('two submits of one new environment at once: one build of one image', { skip }, () =>
  again('two submits at once', plain, async () => {
    const folder = home.folder(`both-${Math.random().toString(36).slice(2)}`, {
      Dockerfile: `FROM ${testImage}\nRUN echo ${Math.random()} > /first\nRUN sleep 1\n`,
    });
    const useEnvironment = path.join(folder, 'Dockerfile');
    const before = await plain.images();
    const runs = await Promise.all(
      [1, 2].map(() => submit(plain, logger, { useEnvironment, configuration: { script: 'train.py' } })),
    );
    for (const run of runs) await assertWhole(await home.ended(run.id));
    const made = (await plain.images()).filter((one) => !before.includes(one));
    assert.equal(made.filter((one) => one.startsWith('runyard/')).length, 1, made.join());
    const { environments } = await home.client.call('listHostEnvironments', { params: { compute: 'local' } });
    const { facts } = await home.client.call('getRunEnvironment', {
      params: { ...params, run: runs[0]!.id },
    });
    assert.equal(environments.filter(({ key }) => key === facts!.key).length, 1);
    for (const deadline = Date.now() + 30_000; ;) {
      const gone = await home.client
        .call('removeHostEnvironment', { params: { compute: 'local', key: facts!.key! } })
        .then(
          () => true,
          () => false,
        );
      if (gone) break;
      assert.ok(Date.now() < deadline, 'what nobody uses cannot be removed');
      await sleep(50);
    }
    return 2;
  }),
);
