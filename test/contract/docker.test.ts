import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { RunDetail } from '../../src/api/entities.ts';
import type { RunConfiguration } from '../../src/api/run-configuration.ts';
import type { SubmitRequest } from '../../src/api/requests.ts';
import { DockerEngine, skipWithoutDocker, testImage } from '../rig/docker/engine.ts';
import { SshHosts, skipWithoutSshHosts, type SshHost } from '../rig/ssh-hosts.ts';
import { repository, runCli, TestHome } from '../support/home.ts';
import { addCompute } from '../support/person.ts';
import { makeWheel } from '../support/wheels.ts';

const skip = skipWithoutDocker();
const skipHosts = skip || skipWithoutSshHosts();
const home = new TestHome();
const params = { workspace: 'default' };
let engine: DockerEngine;

before(async () => {
  if (skip) return;
  engine = await DockerEngine.start();
});
after(async () => {
  await home.close();
  await engine?.close();
});

const environment = () => ({
  PATH: process.env['PATH']!,
  DOCKER_HOST: engine.address,
  SECRET: 'of the person',
});
const docker = (more: Partial<RunConfiguration> = {}, image = testImage): Partial<RunConfiguration> => ({
  script: 'train.py',
  docker: { useDocker: true, baseImage: image },
  ...more,
});
const script = (source: string, more: Partial<SubmitRequest> = {}) =>
  home.script(source, { configuration: docker(), environment: environment(), ...more });
async function run(source: string, more: Partial<SubmitRequest> = {}): Promise<RunDetail> {
  return home.ended((await script(source, more)).id);
}
const seriesOf = ({ series }: RunDetail) =>
  JSON.stringify(
    series
      .filter(({ name }) => !/second|time/i.test(name))
      .map(({ name, count, last, min, max }) => ({ name, count, last, min, max })),
  );
const completed = (ended: RunDetail) => assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
const failed = (ended: RunDetail, code: string, message: RegExp) => {
  assert.deepEqual([ended.status, ended.error?.code], ['Failed', code], JSON.stringify(ended.error));
  assert.match(ended.error!.message, message);
};
const logOf = async (id: string) => (await home.log(id)).toString();
/** Nothing of a run is left in the engine. */
const noContainers = async () => assert.deepEqual(await engine.containers(), []);

test(
  'examples/digits gives the same metrics on the host, in an image, with packages on top, of a Dockerfile',
  { skip },
  async () => {
    const wheels = home.folder('packages', {
      'requirements.txt': '--no-index\n--find-links ./wheels\ntiny\n',
    });
    makeWheel(path.join(wheels, 'wheels'), 'tiny', '1.0');
    const dockerfile = home.folder('dockerfile', {
      Dockerfile: `FROM ${testImage}\nCOPY note.txt /note.txt\nRUN test -e /note.txt\nENTRYPOINT ["/bin/false"]\nENV FROM_IMAGE=yes\n`,
      'note.txt': 'x',
    });
    const create = (body: object) => home.client.call('createEnvironment', { params, body: body as never });
    const packages = path.join(wheels, 'requirements.txt');
    await create({ name: 'with-tiny', file: packages, image: testImage });
    await create({ name: 'of-dockerfile', file: path.join(dockerfile, 'Dockerfile') });
    const folder = path.join(repository, 'examples/digits');
    const configuration = { script: 'train.py', arguments: ['--epochs', '3'] };
    const submits: Partial<SubmitRequest>[] = [
      { configuration },
      { configuration: docker(configuration) },
      { configuration, useEnvironment: 'with-tiny' },
      { configuration, useEnvironment: 'of-dockerfile' },
      { configuration, useEnvironment: packages, useImage: testImage },
    ];
    const results = new Set<string>();
    for (const more of submits) {
      const submitted = await home.submit(folder, { ...more, environment: environment() });
      const ended = await home.ended(submitted.id);
      completed(ended);
      const { artifacts } = await home.client.call('listArtifacts', { params: { ...params, run: ended.id } });
      assert.ok(artifacts.some((one) => one.path.startsWith('outputs/') && one.stored));
      results.add(seriesOf(ended));
    }
    assert.equal(results.size, 1, [...results].join('\n'));
    await noContainers();
    const both = { configuration, useEnvironment: 'with-tiny', useImage: testImage };
    await assert.rejects(
      home.submit(folder, { ...both, environment: environment() }),
      /says itself which image/,
    );
    const found = await run('import tiny, os; print(tiny.VERSION)', {
      useEnvironment: 'with-tiny',
      configuration: { script: 'train.py' },
    });
    completed(found);
    const { facts } = await home.client.call('getRunEnvironment', { params: { ...params, run: found.id } });
    assert.equal(facts!.cached, true);
    assert.ok(facts!.packages!.some(({ name, version }) => name === 'tiny' && version === '1.0'));
    const image = await run('import os; print(os.environ["FROM_IMAGE"])', {
      useEnvironment: 'of-dockerfile',
      configuration: { script: 'train.py' },
    });
    assert.equal(await logOf(image.id), 'yes\n');
  },
);

test(
  'what a command finds in its container: variables with anything in them, a home, the folder, nothing of the host',
  { skip },
  async () => {
    const odd = 'a\nb \'c\' "d" $(id) `id` \\ ü 世';
    const source = `
import json, os
print(json.dumps({
  'odd': os.environ['ODD'], 'home': os.access(os.environ['HOME'], os.W_OK), 'user': os.environ['USER'],
  'secret': os.environ.get('SECRET'), 'cwd': os.getcwd() == os.environ['RUNYARD_RUN_DIR'] + '/code',
  'host': os.path.exists(${JSON.stringify(repository)}), 'init': open('/proc/1/cmdline').read()[:20],
  'shm': os.statvfs('/dev/shm').f_blocks * os.statvfs('/dev/shm').f_frsize, 'cap': open('/proc/self/status').read().split('CapEff:')[1].split()[0],
}))
import runyard
runyard.log('m', 1.5)
open('outputs.txt', 'w').close(); os.makedirs('outputs'); open('outputs/x', 'w').write('y')
import time; time.sleep(1)
`;
    const configuration = docker({
      docker: {
        useDocker: true,
        baseImage: testImage,
        shmSize: '128m',
        arguments: ['--cap-drop', 'ALL', '--label', 'mine=yes'],
      },
      environmentVariables: { ODD: odd, KEY: 'secret-in-variable' },
    });
    const submitted = await script(source, { configuration });
    await home.reaches(submitted.id, 'Running');
    const inspected = await engine.docker('inspect', submitted.id);
    assert.ok(!inspected.includes('secret-in-variable') && !inspected.includes('of the person'));
    const [record] = JSON.parse(inspected) as {
      Name: string;
      Config: { Labels: Record<string, string> };
      HostConfig: { Init: boolean };
    }[];
    assert.equal(record!.Name, `/${submitted.id}`);
    assert.equal(record!.Config.Labels['runyard.run'], submitted.id);
    assert.equal(record!.Config.Labels['mine'], 'yes');
    assert.equal(record!.HostConfig.Init, true);
    const ended = await home.ended(submitted.id);
    completed(ended);
    const said = JSON.parse(await logOf(ended.id)) as Record<string, unknown>;
    assert.deepEqual(
      { ...said, init: /init/.test(String(said['init'])) },
      {
        odd,
        home: true,
        user: said['user'],
        secret: null,
        cwd: true,
        host: false,
        init: true,
        shm: 128 * 1024 * 1024,
        cap: '0000000000000000',
      },
    );
    assert.equal(ended.series[0]!.last, 1.5);
    for (const name of ['spec.json', 'status.json', 'events.jsonl', 'launch.json'])
      assert.ok(
        !readFileSync(path.join(home.attemptDir(ended.id), name), 'utf8').includes('of the person'),
        name,
      );
    await noContainers();
  },
);

test('the end of a command: its exit code, its signal, its traceback, its time limit', { skip }, async () => {
  failed(await run('import sys; sys.exit(3)'), 'exit', /exit code 3/);
  failed(await run('raise ValueError("bad lr")'), 'exit', /ValueError: bad lr/);
  failed(
    await run('import time; print(1, flush=True); time.sleep(600)', {
      configuration: docker({ maxRunDurationSeconds: 1 }),
    }),
    'time_limit',
    /time limit/i,
  );
  failed(
    await run('print(1)', { configuration: docker({ script: null, command: ['no-such-program'] }) }),
    'not_found',
    /no-such-program/,
  );
  const shell = await run('', {
    configuration: docker({ script: null, command: 'echo "$0" | tr a-z A-Z; exit 0' }),
  });
  completed(shell);
  await noContainers();
});

test('cancel ends a container, also one that does not listen; its processes are gone', { skip }, async () => {
  const source =
    'import signal, time, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsubprocess.Popen(["sleep", "6543"])\nprint("on", flush=True)\ntime.sleep(600)';
  const submitted = await script(source);
  await home.until(submitted.id, 'running', (one) => one.status === 'Running');
  await home.cancel(submitted.id);
  assert.equal((await home.ended(submitted.id)).status, 'Canceled');
  await noContainers();
});

test('killed, removed from outside, out of memory: said as what it is', { skip }, async () => {
  const endless = 'import time; print("on", flush=True); time.sleep(600)';
  const killed = await script(endless);
  await home.reaches(killed.id, 'Running');
  await engine.docker('kill', killed.id);
  failed(await home.ended(killed.id), 'container', /killed/);
  const removed = await script(endless);
  await home.reaches(removed.id, 'Running');
  await engine.docker('rm', '-f', removed.id);
  failed(await home.ended(removed.id), 'container', /removed|killed/);
  const greedy = await run('x = []\nwhile True: x.append(bytearray(1 << 20))', {
    configuration: docker({
      docker: { useDocker: true, baseImage: testImage, memory: '64m', arguments: ['--memory-swap', '64m'] },
    }),
  });
  failed(greedy, 'out_of_memory', /64m/);
  await noContainers();
});

test(
  'images that cannot be used: not there, without a Python, without a shell; a Dockerfile that fails',
  { skip },
  async () => {
    failed(
      await run('', { configuration: docker({}, '127.0.0.1:1/no/such:1') }),
      'environment',
      /127\.0\.0\.1:1\/no\/such:1/,
    );
    const build = (text: string, name: string) =>
      engine.try([
        'build',
        '-q',
        '-t',
        name,
        '-f',
        path.join(home.folder(name.replace(/\W/g, '-'), { Dockerfile: text }), 'Dockerfile'),
        home.folders,
      ]);
    await build(`FROM ${testImage}\nRUN rm -f /usr/bin/python3*\n`, 'no-python:1');
    await build(
      `FROM ${testImage}\nRUN ["/usr/bin/python3", "-c", "import os; os.unlink('/bin/sh'); os.path.exists('/usr/bin/sh') and os.unlink('/usr/bin/sh')"]\n`,
      'no-shell:1',
    );
    failed(await run('', { configuration: docker({}, 'no-python:1') }), 'environment', /no Python/);
    failed(await run('', { configuration: docker({}, 'no-shell:1') }), 'environment', /no shell/);
    const dockerfile = path.join(
      home.folder('failing', {
        Dockerfile: `FROM ${testImage}\nRUN echo one\nRUN echo "the reason" && exit 7\n`,
      }),
      'Dockerfile',
    );
    const before = (await engine.images()).sort();
    const ended = await run('', { useEnvironment: dockerfile, configuration: { script: 'train.py' } });
    failed(ended, 'environment', /3\/3.*exit 7|exit 7/);
    assert.match(ended.error!.tail, /the reason/);
    assert.deepEqual((await engine.images()).sort(), before, 'no layer is left');
    await noContainers();
    await engine.docker('rmi', 'no-python:1', 'no-shell:1');
  },
);

test('arguments that would undo what a run stands on are refused', { skip }, async () => {
  for (const argument of ['--name=x', '--rm', '--entrypoint', '-d']) {
    const configuration = docker({
      docker: { useDocker: true, baseImage: testImage, arguments: [argument] },
    });
    const submitted = await script('print(1)', { configuration }).then(
      (one) => home.ended(one.id),
      (error: Error) => error,
    );
    const said = submitted instanceof Error ? submitted.message : submitted.error!.message;
    assert.match(said, new RegExp(argument.replace(/=.*/, '')), said);
  }
  await noContainers();
});

test('an engine that does not run is said with what to do', { skip }, async () => {
  const away = { ...environment(), DOCKER_HOST: 'unix:///nowhere/docker.sock' };
  const ended = await run('print(1)', { environment: away });
  failed(ended, 'engine', /Start Docker|not running/);
  assert.match(ended.error!.message, /choose another environment/i);
});

test(
  'an engine that does not see this machine is found out by the run and by the canary',
  { skip },
  async () => {
    // Its mounts are elsewhere: as docker-outside-of-docker, or a remote DOCKER_HOST.
    const elsewhere = await DockerEngine.start({ blind: home.dir });
    try {
      const ended = await run('print(1)', {
        environment: { ...environment(), DOCKER_HOST: elsewhere.address },
      });
      failed(ended, 'engine', /does not see|other file system|another machine/i);
      const { steps } = await home.client.call('testCompute', {
        params: { compute: 'local' },
        body: { environment: { ...environment(), DOCKER_HOST: elsewhere.address } },
      });
      const step = steps.find(({ id }) => id === 'engine');
      assert.deepEqual(
        [step?.state, /does not see/.test(step?.detail ?? '')],
        ['warning', true],
        JSON.stringify(step),
      );
      assert.deepEqual(await elsewhere.containers(), []);
    } finally {
      await elsewhere.close();
    }
  },
);

test(
  'on a host over SSH: outputs belong to the person, metrics are the same, Test Connection looks at the engine',
  { skip: skipHosts },
  async () => {
    const hosts = await SshHosts.open();
    try {
      const host: SshHost = await hosts.start({ name: 'gpu' });
      const there = await DockerEngine.start({ host });
      await addCompute(home.client, host, hosts.sshConfig());
      const report = await home.client.call('testCompute', { params: { compute: 'gpu' }, body: {} });
      const step = report.steps.find(({ id }) => id === 'engine');
      assert.deepEqual([step?.state, report.ok], ['ok', true], JSON.stringify(report.steps));
      const engineThere = await home.client.call('getEngine', { params: { compute: 'gpu' }, body: {} });
      assert.ok(
        engineThere.running && engineThere.images.some(({ name }) => name === testImage),
        JSON.stringify(engineThere),
      );
      const source =
        'import os, runyard\nos.makedirs("outputs/deep")\nopen("outputs/deep/x", "w").write("y")\nprint(os.getuid(), os.environ["USER"], os.path.expanduser("~") == os.environ["HOME"])\nrunyard.log("m", 2)';
      const ended = await run(source, { configuration: docker({ target: 'gpu' }) });
      completed(ended);
      const uid = Number(await host.output(['id', '-u', 'mia']));
      assert.equal(await logOf(ended.id), `${uid} mia True\n`);
      assert.equal(
        statSync(host.path(`/home/mia/.runyard/host/runs/${ended.id}/attempts/1/code/outputs/deep/x`)).uid,
        uid,
      );
      assert.equal(ended.series[0]!.last, 2);
      assert.deepEqual(await there.containers(), []);
      const packages = path.join(home.folders, 'packages/requirements.txt');
      const folder = path.join(repository, 'examples/digits');
      const configuration = { script: 'train.py', arguments: ['--epochs', '3'], target: 'gpu' };
      const submits: Partial<SubmitRequest>[] = [
        { configuration: { ...configuration, target: 'local' } },
        { configuration },
        { configuration: docker(configuration) },
        { configuration, useEnvironment: 'with-tiny' },
        { configuration, useEnvironment: packages },
      ];
      const results = new Set<string>();
      for (const more of submits) {
        const submitted = await home.submit(folder, { ...more, environment: environment() });
        const one = await home.ended(submitted.id);
        completed(one);
        results.add(seriesOf(one));
      }
      assert.equal(results.size, 1, [...results].join('\n'));
      const { environments } = await home.client.call('listHostEnvironments', { params: { compute: 'gpu' } });
      assert.deepEqual(environments.map(({ kind, state }) => [kind, state]).sort(), [
        ['image', 'ready'],
        ['venv', 'ready'],
      ]);
      assert.deepEqual(await there.containers(), []);
      await there.close();
    } finally {
      await hosts.close();
    }
  },
);

test('the command line: run submit --image', { skip }, async () => {
  const folder = home.folder('by-image', {
    'train.py': 'print("in", open("/etc/debian_version").read().strip())',
  });
  const { code, stdout, stderr } = await runCli(
    home.dir,
    ['run', 'submit', folder, '--script', 'train.py', '--image', testImage, '--follow'],
    { DOCKER_HOST: engine.address },
  );
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^in 12/);
  const engineSaid = await runCli(home.dir, ['compute', 'engine', 'local'], { DOCKER_HOST: engine.address });
  assert.match(engineSaid.stdout, new RegExp(`${testImage}`), engineSaid.stderr);
});
