import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BuildLine, HostEnvironment } from '../../src/api/environment.ts';
import type { RunDetail } from '../../src/api/entities.ts';
import { jsonLines } from '../../src/cli/json-lines.ts';
import { repository, runCli, TestHome } from '../support/home.ts';
import { makeWheel, systemPython } from '../support/wheels.ts';

const home = new TestHome();
after(() => home.close());

const params = { workspace: 'default' };
const wheels = path.join(home.folders, 'wheels');
makeWheel(wheels, 'tiny', '1.0');
makeWheel(wheels, 'needs', '2.0', ['tiny']);

/** Requirements that come from the folder of wheels only. */
const requirements = (...lines: string[]) =>
  ['--no-index', `--find-links ${wheels}`, ...lines, ''].join('\n');
let count = 0;
const file = (name: string, text: string) =>
  path.join(home.folder(`definition-${++count}`, { [name]: text }), name);
const create = (name: string, text: string, more: { interpreter?: string } = {}) =>
  home.client.call('createEnvironment', {
    params,
    body: { name, file: file('requirements.txt', text), interpreter: systemPython, ...more },
  });
const built = async (): Promise<HostEnvironment[]> =>
  (await home.client.call('listHostEnvironments', { params: { compute: 'local' } })).environments;
const buildsOf = async (hash: string) => (await built()).filter((one) => one.hash === hash);
const environmentOf = (run: string) => home.client.call('getRunEnvironment', { params: { ...params, run } });
async function text(run: string, name: string): Promise<string> {
  const { data } = await home.client.bytes('readArtifact', {
    params: { ...params, run },
    query: { path: name },
  });
  return Buffer.from(data).toString();
}
const completed = (run: RunDetail) => assert.equal(run.status, 'Completed', JSON.stringify(run.error));
const usesTiny = 'import tiny, sys\nprint("tiny", tiny.VERSION, sys.prefix != sys.base_prefix)';

/** An interpreter that makes no venv before a file is there: a build that goes on for as long as a test likes. */
function gated(name: string): { interpreter: string; open: () => void } {
  const gate = path.join(home.folders, `${name}-gate`);
  const interpreter = path.join(home.folders, `${name}-python`);
  writeFileSync(
    interpreter,
    `#!/bin/sh\ncase "$*" in *venv*) while [ ! -e '${gate}' ]; do sleep 0.05; done;; esac\nexec ${systemPython} "$@"\n`,
  );
  chmodSync(interpreter, 0o755);
  return { interpreter, open: () => writeFileSync(gate, '') };
}

test('examples/digits gives the same metrics on the host, with an interpreter, in a venv', async () => {
  const environment = await create('for-digits', requirements('needs'));
  assert.deepEqual([environment.version, environment.kind, environment.created], [1, 'venv', true]);
  const folder = path.join(repository, 'examples/digits');
  const configuration = { script: 'train.py', arguments: ['--epochs', '3'] };
  const runs = [
    await home.submit(folder, { configuration }),
    await home.submit(folder, {
      configuration: { ...configuration, environment: { python: { interpreterPath: systemPython } } },
    }),
    await home.submit(folder, { configuration, useEnvironment: 'for-digits' }),
    await home.submit(folder, {
      configuration: { ...configuration, environment: { name: 'for-digits', version: '1' } },
    }),
  ];
  const results = new Set<string>();
  for (const run of runs) {
    const ended = await home.ended(run.id);
    completed(ended);
    results.add(
      JSON.stringify(
        ended.series
          .filter(({ name }) => !/second|time/i.test(name))
          .map(({ name, count, last, min, max }) => ({ name, count, last, min, max })),
      ),
    );
  }
  assert.equal(results.size, 1, [...results].join('\n'));
  const { usedBy } = await home.client.call('getEnvironment', {
    params: { ...params, environment: 'for-digits' },
  });
  assert.deepEqual(usedBy, [runs[3]!.id, runs[2]!.id]);
});

test('two submits of a new environment at once make one build, which both show from its first line', async () => {
  const { interpreter, open } = gated('twice');
  const { hash } = await create('twice', requirements('needs'), { interpreter });
  const runs = await Promise.all([1, 2].map(() => home.script(usesTiny, { useEnvironment: 'twice' })));
  const states = await Promise.all(
    runs.map(({ id }) => home.until(id, 'waiting', (run) => /environment twice:1/.test(run.statusReason))),
  );
  assert.deepEqual(
    states.map((run) => [run.status, /^Building/.test(run.statusReason)]).sort(),
    [
      ['Preparing', false],
      ['Preparing', true],
    ],
    states.map((run) => run.statusReason).join(),
  );
  open();
  const logs = new Set<string>();
  for (const { id } of runs) {
    completed(await home.ended(id));
    assert.match((await home.log(id)).toString(), /^tiny 1\.0 True$/m);
    logs.add(await text(id, 'user_logs/build_log.txt'));
  }
  assert.equal(logs.size, 1);
  assert.match([...logs][0]!, /^Building the venv .*\n[^]*Successfully installed needs-2\.0 tiny-1\.0/);
  const builds = await buildsOf(hash);
  assert.deepEqual(
    builds.map(({ state, name, version, packages }) => [state, name, version, packages! >= 3]),
    [['ready', 'twice', 1, true]],
  );

  const again = await home.ended((await home.script(usesTiny, { useEnvironment: 'twice' })).id);
  completed(again);
  const { facts, unpinned } = await environmentOf(again.id);
  assert.equal(facts!.cached, true);
  assert.equal(facts!.key, builds[0]!.key);
  assert.deepEqual(unpinned, ['needs']);
  assert.match(again.warnings.join(), /A package has no exact version \(needs\)/);
  const names = facts!.packages!.map(({ name, version }) => `${name} ${version}`);
  assert.ok(names.includes('tiny 1.0') && names.includes('needs 2.0'), names.join());
  assert.deepEqual(
    (await buildsOf(hash)).map(({ builtAt }) => builtAt),
    builds.map(({ builtAt }) => builtAt),
  );
});

test('what cannot be installed: the run says which package, with the end of the build', async () => {
  await create('broken', requirements('nosuchpackage==9'));
  const ended = await home.ended((await home.script(usesTiny, { useEnvironment: 'broken' })).id);
  assert.equal(ended.status, 'Failed');
  assert.equal(ended.error!.code, 'environment');
  assert.match(ended.error!.message, /nosuchpackage==9/);
  assert.match(ended.error!.tail, /No matching distribution/);
  assert.match(await text(ended.id, 'user_logs/build_log.txt'), /No matching distribution/);
  assert.equal((await home.log(ended.id)).length, 0);
  // A failure is no answer for ever: once the package is there, the next run builds.
  makeWheel(wheels, 'nosuchpackage', '9');
  completed(await home.ended((await home.script('import nosuchpackage', { useEnvironment: 'broken' })).id));
});

test('a cancel of one of two that wait leaves the build to the other; a cancel of the last one ends it', async () => {
  const { interpreter, open } = gated('left');
  await create('left', requirements('tiny'), { interpreter });
  const submit = () => home.script(usesTiny, { useEnvironment: 'left' });
  const first = await submit();
  await home.until(first.id, 'building', (run) => /^Building/.test(run.statusReason));
  const second = await submit();
  await home.until(second.id, 'waiting', (run) => /^Waiting for the environment/.test(run.statusReason));
  await home.cancel(first.id);
  assert.equal((await home.ended(first.id)).status, 'Canceled');
  open();
  completed(await home.ended(second.id));

  const other = gated('alone');
  const { hash } = await create('alone', requirements('tiny'), { interpreter: other.interpreter });
  const alone = await home.script(usesTiny, { useEnvironment: 'alone' });
  await home.until(alone.id, 'building', (run) => /^Building/.test(run.statusReason));
  await home.cancel(alone.id);
  assert.equal((await home.ended(alone.id)).status, 'Canceled');
  await untilGone(other.interpreter, hash);
});

/** Nothing of a build is left: no process, no folder. */
async function untilGone(mark: string, hash: string): Promise<void> {
  for (const deadline = Date.now() + 60_000; ;) {
    const left = [home.processes(mark).length, (await buildsOf(hash)).length];
    if (left.every((n) => n === 0)) break;
    assert.ok(Date.now() < deadline, `${left[0]} processes and ${left[1]} builds are left`);
    await sleep(50);
  }
}

async function build(environment: string, rebuild = false): Promise<BuildLine[]> {
  const stream = await home.client.stream('buildEnvironment', {
    params: { ...params, environment },
    body: { compute: 'local', rebuild, environment: { PATH: process.env['PATH']! } },
  });
  const lines: BuildLine[] = [];
  for await (const line of jsonLines<BuildLine>(stream)) lines.push(line);
  return lines;
}

test('built ahead, rebuilt, frozen: what is not pinned stays until somebody asks', async () => {
  const { hash } = await create('moving', requirements('tiny'));
  const lines = await build('moving');
  assert.ok('result' in lines.at(-1)!, JSON.stringify(lines.at(-1)));
  assert.match(lines.map((line) => ('log' in line ? line.log : '')).join(''), /^Building the venv/);
  const version = async () => {
    const run = await home.ended((await home.script(usesTiny, { useEnvironment: 'moving' })).id);
    completed(run);
    return { run: run.id, said: (await home.log(run.id)).toString().trim() };
  };
  const before = await version();
  assert.equal((await environmentOf(before.run)).facts!.cached, true, 'built ahead');
  makeWheel(wheels, 'tiny', '1.5');
  assert.equal((await version()).said, 'tiny 1.0 True');
  const frozen = await home.client.call('freezeEnvironment', {
    params: { ...params, environment: 'moving' },
    body: {},
  });
  assert.equal(frozen.name, 'moving-frozen');
  assert.match(frozen.definition.requirements!, /^tiny==1\.0$/m);
  assert.deepEqual(frozen.unpinned, []);
  await build('moving', true);
  const later = await version();
  assert.equal(later.said, 'tiny 1.5 True');
  assert.equal((await buildsOf(hash)).filter(({ state }) => state === 'ready').length, 1);
  const inFrozen = await home.ended((await home.script(usesTiny, { useEnvironment: 'moving-frozen' })).id);
  assert.equal((await home.log(inFrozen.id)).toString().trim(), 'tiny 1.0 True');
  const difference = await home.client.call('compareRunEnvironments', {
    params: { ...params, run: before.run },
    query: { with: later.run },
  });
  assert.deepEqual(difference.packages, [{ name: 'tiny', left: '1.0', right: '1.5' }]);
  assert.equal(difference.problem, null);
});

test('what is built can be removed, but not under a run', async () => {
  const { hash } = await create('removed', requirements('tiny==1.0'));
  const run = await home.script('import time; print("on", flush=True); time.sleep(600)', {
    useEnvironment: 'removed',
  });
  await home.reaches(run.id, 'Running');
  const [{ key, inUse } = { key: '', inUse: 0 }] = await buildsOf(hash);
  assert.equal(inUse, 1);
  const remove = () => home.client.call('removeHostEnvironment', { params: { compute: 'local', key } });
  await assert.rejects(remove(), (error: { code?: string }) => error.code === 'conflict');
  await assert.rejects(
    home.client.call('deleteEnvironment', { params: { ...params, environment: 'removed' } }),
    /1 active run uses "removed"/,
  );
  await home.cancel(run.id);
  await home.ended(run.id);
  for (const deadline = Date.now() + 30_000; ;) {
    const failed = await remove().then(
      () => undefined,
      (error: Error) => error,
    );
    if (!failed) break;
    assert.ok(Date.now() < deadline, failed.message);
    await sleep(50);
  }
  assert.deepEqual(await buildsOf(hash), []);
  await home.client.call('deleteEnvironment', { params: { ...params, environment: 'removed' } });
  // A run keeps what it used.
  assert.equal((await environmentOf(run.id)).definition!.requirements, requirements('tiny==1.0'));
  completed(
    await home.ended(
      (
        await home.client.call('rerun', {
          params: { ...params, run: run.id },
          body: {
            configuration: { script: null, command: 'python -c "import tiny"' },
            environment: { PATH: process.env['PATH']! },
          },
        })
      ).id,
    ),
  );
});

test("Azure's run configuration with a conda file of pip packages works where there is no conda", async () => {
  const folder = home.folder('azure', {
    'train.py': `${usesTiny}\nimport os\nprint(repr(os.environ["ODD"]))`,
    '.azureml/conda_dependencies.yml': `name: project_environment\ndependencies:\n- python=3\n- pip:\n  - --no-index\n  - --find-links ${wheels}\n  - tiny==1.0\n`,
    '.azureml/train.runconfig': `script: train.py\nenvironment:\n  name: azure env\n  environmentVariables: {ODD: "a\\n'b' \\"c\\" $(id)"}\n  python: {userManagedDependencies: false, interpreterPath: python, condaDependenciesFile: .azureml/conda_dependencies.yml}\n  docker: {enabled: false, baseImage: "mcr.microsoft.com/azureml/base:0.2.4"}\n`,
  });
  const ended = await home.ended((await home.submit(folder, { configurationName: 'train' })).id);
  completed(ended);
  assert.equal(
    (await home.log(ended.id)).toString(),
    `tiny 1.0 True\n"a\\n'b' \\"c\\" $(id)"\n`
      .replaceAll('\\"', '"')
      .replace(`"a\\n'b'`, `'a\\n\\'b\\'`)
      .replace('$(id)"', "$(id)'"),
  );
  assert.deepEqual(
    [ended.environment.name, ended.environment.version, ended.environment.kind],
    ['azure env', 1, 'conda'],
  );
});

test('an existing conda environment is used as it is, by its folder', async () => {
  const prefix = path.join(home.folders, 'conda/envs/ml');
  // As conda makes them: a Python of its own, and a record of each package.
  execFileSync(systemPython, ['-m', 'venv', '--without-pip', prefix]);
  mkdirSync(path.join(prefix, 'conda-meta'));
  writeFileSync(
    path.join(prefix, 'conda-meta/numpy-1.24.1-py311_0.json'),
    JSON.stringify({ name: 'numpy', version: '1.24.1' }),
  );
  await home.client.call('createEnvironment', {
    params,
    body: { name: 'ml', definition: { condaEnvironment: prefix } },
  });
  const run = await home.script(
    'import os; print(os.environ["CONDA_PREFIX"], os.environ["PATH"].split(":")[0])',
    { useEnvironment: 'ml' },
  );
  completed(await home.ended(run.id));
  assert.equal((await home.log(run.id)).toString().trim(), `${prefix} ${prefix}/bin`);
  const packages = (await environmentOf(run.id)).facts!.packages!;
  assert.ok(
    packages.some((one) => one.name === 'numpy' && one.version === '1.24.1' && one.source === 'conda'),
  );
});

test('bad input is refused before anything is written', async () => {
  const before = (await home.client.call('listRuns', { params, query: {} })).runs.length;
  const refused = (more: Parameters<TestHome['script']>[1], pattern: RegExp) =>
    assert.rejects(home.script('print(1)', more), pattern);
  await refused({ useEnvironment: 'nope' }, /There is no environment "nope"/);
  await refused({ useEnvironment: 'for-digits:7' }, /has no version 7/);
  await refused({ useEnvironment: '/no/such/requirements.txt' }, /There is no \/no\/such/);
  await refused(
    { useEnvironment: file('requirements.txt', '-r requirements.txt\n') },
    /cannot include itself/,
  );
  await refused(
    { useEnvironment: file('environment.yml', 'dependencies: &a\n- pip: *a\n') },
    /refers to itself/,
  );
  await refused({ useEnvironment: file('data.csv', '') }, /nothing an environment can be made of/);
  const script = 'train.py';
  await refused(
    {
      configuration: {
        script,
        environment: { python: { userManagedDependencies: false, condaDependenciesFile: 'no.yml' } },
      },
    },
    /There is no "no\.yml"/,
  );
  await refused({ configuration: { script, docker: { useDocker: true, shmSize: 'much' } } }, /is no size/);
  const ghost = {
    name: 'ghost',
    python: { userManagedDependencies: true, interpreterPath: '/no/such/python' },
  };
  await refused({ configuration: { script, environment: ghost } }, /\/no\/such\/python is not there/);
  await assert.rejects(
    home.client.call('getEnvironment', { params: { ...params, environment: 'ghost' } }),
    /There is no environment "ghost"/,
  );
  assert.equal((await home.client.call('listRuns', { params, query: {} })).runs.length, before);
});

test('files that a build needs stay as long as anybody may need them, and go afterwards', async () => {
  const folder = home.folder('with-files', { 'requirements.txt': '--no-index\n--find-links ./own\nalone\n' });
  makeWheel(path.join(folder, 'own'), 'alone', '1.0');
  const body = { name: 'files', file: path.join(folder, 'requirements.txt'), interpreter: systemPython };
  const { definition, hash } = await home.client.call('createEnvironment', { params, body });
  const isThere = () => existsSync(blobOf(definition.context!));
  const collect = () => home.client.call('collectGarbage', { params });
  await collect();
  const run = await home.script('import alone', { useEnvironment: 'files' });
  completed(await home.ended(run.id));
  await home.client.call('deleteEnvironment', { params: { ...params, environment: 'files' } });
  await home.killServer();
  // As if it had been registered long ago.
  const db = new DatabaseSync(path.join(home.dir, 'workspaces/default/workspace.db'));
  db.prepare('UPDATE environment_definitions SET created_at = 1 WHERE hash = ?').run(hash);
  db.close();
  await home.client.call('listRuns', { params, query: {} });
  await collect();
  assert.equal(isThere(), true, 'a run still has it');
  await home.client.call('deleteRun', { params: { ...params, run: run.id } });
  await collect();
  assert.equal(isThere(), false);
});

const blobOf = (hash: string) =>
  path.join(home.dir, 'workspaces/default/blobs', hash.slice(0, 2), hash.slice(2));

test('a build whose server is killed goes on for its run', async () => {
  const { interpreter, open } = gated('killed');
  await create('killed', requirements('tiny'), { interpreter });
  const run = await home.script(usesTiny, { useEnvironment: 'killed' });
  await home.until(run.id, 'building', ({ statusReason }) => /^Building/.test(statusReason));
  await home.killServer();
  open();
  completed(await home.ended(run.id));
});

test('the command line: create, list, show, packages, diff, export', async () => {
  const cli = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli(home.dir, ['environment', ...args]);
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const source = file('requirements.txt', requirements('tiny==1.0', 'needs==2.0'));
  assert.match(
    await cli('create', 'by-hand', source, '--python', systemPython),
    /by-hand:1 {2}venv with 2 packages/,
  );
  assert.match(await cli('create', 'by-hand', source, '--python', systemPython), /has this content already/);
  const script = home.folder('by-hand', { 'train.py': usesTiny });
  const submitted = await runCli(home.dir, [
    'run',
    'submit',
    script,
    '--script',
    'train.py',
    '--environment',
    'by-hand',
    '--follow',
  ]);
  assert.equal(submitted.code, 0, submitted.stderr);
  assert.equal(submitted.stdout, 'tiny 1.0 True\n');
  assert.match(submitted.stderr, /Successfully installed .*tiny-1\.0/);
  const [run] = (await home.client.call('listRuns', { params, query: { limit: 1 } })).runs;
  assert.match(await cli('packages', run!.id), /^tiny==1\.0$/m);
  assert.match(await cli('diff', run!.id, run!.id), /packages the same/);
  assert.match(await cli('list'), /by-hand +1 +venv/);
  assert.match(await cli('show', 'by-hand'), new RegExp(run!.id));
  const folder = path.join(home.folders, 'exported');
  await cli('export', 'by-hand', folder);
  assert.deepEqual(readdirSync(folder).sort(), ['azureml_environment.json', 'conda_dependencies.yml']);
  assert.match(await cli('built'), /by-hand:1 +venv +ready/);
  assert.ok(existsSync(source));
});
