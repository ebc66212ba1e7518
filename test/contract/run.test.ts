import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { repository, runCli, TestHome } from '../support/home.ts';

const home = new TestHome();
after(() => home.close());

test('a run from submit to outputs: log, metrics, parameters, tags, files, events, properties', async () => {
  const folder = home.folder('a "quoted" fôlder 測試', {
    'train.py': `
import os, sys, runyard
print('arguments', sys.argv[1:])
print('to stderr', file=sys.stderr)
runyard.log_params({'lr': 0.1})
runyard.set_tags({'kind': 'demo'})
for i in range(10):
    runyard.log('train/loss', 1 / (i + 1), step=i * 10)
    runyard.log_metrics({'a': i, 'b': -i})
os.makedirs('outputs/deep', exist_ok=True)
open('outputs/deep/w.bin', 'wb').write(bytes(range(256)))
runyard.log_confusion_matrix('cm', [[1, 2], [3, 4]], ['x', 'y'])
runyard.log_table('t', {'c': [1, 2]})
runyard.log_table('t', {'c': [3]})
`,
    '.gitignore': 'secret.txt\n',
    'secret.txt': 'x',
    'data/kept.txt': 'y',
  });
  execFileSync('git', ['init', '-q', '-b', 'main'], { cwd: folder });
  execFileSync(
    'git',
    ['-c', 'user.name=t', '-c', 'user.email=t@example.invalid', 'commit', '-q', '--allow-empty', '-m', 'x'],
    {
      cwd: folder,
    },
  );
  execFileSync('git', ['remote', 'add', 'origin', 'https://me:s3cret@example.invalid/a/b.git'], {
    cwd: folder,
  });
  const run = await home.submit(folder, {
    configuration: { script: 'train.py', arguments: ['--x', 'a b', '$(id)', "it's"] },
    tags: { from: 'test' },
  });
  assert.equal(run.status, 'NotStarted');
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
  const log = (await home.log(run.id)).toString();
  assert.match(log, /arguments \['--x', 'a b', '\$\(id\)', "it's"\]/);
  assert.match(log, /to stderr/);
  assert.deepEqual(ended.parameters, { lr: '0.1' });
  assert.equal(ended.tags['kind'], 'demo');
  assert.equal(ended.tags['from'], 'test');
  assert.equal(ended.exitCode, 0);
  assert.equal(ended.properties['ContentSnapshotId'], ended.snapshotId);
  assert.equal(ended.properties['azureml.git.repository_uri'], 'https://example.invalid/a/b.git');
  assert.equal(ended.properties['mlflow.source.git.branch'], 'main');
  assert.equal(ended.properties['azureml.git.dirty'], 'True');
  const statuses = ended.events.map((event) => event.status);
  assert.deepEqual(statuses, [
    'NotStarted',
    'Queued',
    'Preparing',
    'Starting',
    'Running',
    'Finalizing',
    'Completed',
  ]);
  assert.ok(ended.startedAt! >= ended.createdAt && ended.endedAt! >= ended.startedAt!);

  const loss = await home.points(run.id, 'train/loss');
  assert.deepEqual(
    loss.steps,
    Array.from({ length: 10 }, (_, i) => i * 10),
  );
  assert.deepEqual(
    loss.values,
    Array.from({ length: 10 }, (_, i) => 1 / (i + 1)),
  );
  const without = await home.points(run.id, 'a');
  assert.deepEqual(without.steps, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);

  const params = { workspace: 'default', run: run.id };
  const { artifacts } = await home.client.call('listArtifacts', { params });
  assert.deepEqual(
    artifacts.map((one) => one.path),
    ['environment/environment.json', 'git/untracked.json', 'outputs/deep/w.bin', 'user_logs/std_log.txt'],
  );
  assert.ok(artifacts.every((one) => one.stored));
  const { data } = await home.client.bytes('readArtifact', {
    params,
    query: { path: 'outputs/deep/w.bin', offset: 5, length: 3 },
  });
  assert.deepEqual([...data], [5, 6, 7]);
  const { documents } = await home.client.call('listDocuments', { params });
  assert.deepEqual(documents.find((one) => one.name === 't')?.value, { c: [1, 2, 3] });
  assert.equal(documents.find((one) => one.name === 'cm')?.type, 'confusion_matrix');

  const zip = path.join(home.folders, 'run.zip');
  const { code, stderr } = await runCli(home.dir, ['run', 'download', run.id, '--output', zip]);
  assert.equal(code, 0, stderr);
  const names = execFileSync('python3', ['-m', 'zipfile', '-l', zip]).toString();
  for (const name of ['code/train.py', 'code/data/kept.txt', 'outputs/deep/w.bin', 'user_logs/std_log.txt']) {
    assert.ok(names.includes(name), name);
  }
  assert.ok(!names.includes('secret.txt'));
});

test('examples/digits gives the same metrics twice, and a rerun is the same snapshot', async () => {
  const digits = path.join(repository, 'examples/digits');
  const quick = { configurationName: 'digits', configuration: { arguments: ['--epochs', '2'] } };
  const first = await home.ended((await home.submit(digits, quick)).id);
  assert.equal(first.status, 'Completed', JSON.stringify(first.error));
  const again = await home.client.call('rerun', {
    params: { workspace: 'default', run: first.id },
    body: { environment: { PATH: process.env['PATH'] ?? '' } },
  });
  const second = await home.ended(again.id);
  assert.equal(second.status, 'Completed', JSON.stringify(second.error));
  assert.equal(second.snapshotId, first.snapshotId);
  assert.equal(second.tags['runyard.rerun_of'], first.id);
  assert.ok(first.series.length >= 3);
  for (const { name } of first.series) {
    assert.deepEqual(await home.points(second.id, name), await home.points(first.id, name), name);
  }
});

test('a failed script: the error says what failed, with the end of the log', async () => {
  const run = await home.script(`print('before')\nraise ValueError('bad lr')\n`);
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Failed');
  assert.equal(ended.exitCode, 1);
  assert.equal(ended.error?.code, 'exit');
  assert.match(ended.error!.message, /ValueError: bad lr/);
  assert.match(ended.error!.tail, /before[\s\S]*Traceback/);
});

test('deleting is real: the run, its files and its copy on the host are gone', async () => {
  const run = await home.script(`import runyard\nrunyard.log('x', 1)\n`);
  await home.ended(run.id);
  const params = { workspace: 'default', run: run.id };
  await home.client.call('deleteRun', { params });
  await assert.rejects(home.detail(run.id), { code: 'not_found' });
  const { existsSync } = await import('node:fs');
  assert.ok(!existsSync(path.join(home.dir, 'host/runs', run.id)));
  assert.ok(!existsSync(path.join(home.dir, 'workspaces/default/runs', run.id)));
});

test('an active run is not deleted, nor its experiment, nor its workspace', async () => {
  const run = await home.script(`import time\ntime.sleep(600)\n`, { experiment: 'busy one' });
  await home.reaches(run.id, 'Running');
  const params = { workspace: 'default', run: run.id, experiment: 'busy one' };
  await assert.rejects(home.client.call('deleteRun', { params }), { code: 'conflict' });
  await assert.rejects(home.client.call('deleteExperiment', { params }), { code: 'conflict' });
  await assert.rejects(home.client.call('deleteWorkspace', { params }), { code: 'conflict' });
  await home.cancel(run.id);
  assert.equal((await home.ended(run.id)).status, 'Canceled');
  await home.client.call('deleteExperiment', { params });
  const { experiments } = await home.client.call('listExperiments', { params });
  assert.ok(!experiments.some((one) => one.name === 'busy one'));
});

test('workspaces are apart, and can be made, used and deleted', async () => {
  await home.client.call('createWorkspace', { body: { name: 'other' } });
  await assert.rejects(home.client.call('createWorkspace', { body: { name: 'OTHER' } }), {
    code: 'conflict',
  });
  await assert.rejects(home.client.call('createWorkspace', { body: { name: '../x' } }), {
    code: 'bad_request',
  });
  const { runs } = await home.client.call('listRuns', { params: { workspace: 'other' } });
  assert.deepEqual(runs, []);
  await home.client.call('useWorkspace', { params: { workspace: 'other' } });
  const { workspaces } = await home.client.call('listWorkspaces');
  assert.equal(workspaces.find((one) => one.current)?.name, 'other');
  await home.client.call('deleteWorkspace', { params: { workspace: 'other' } });
  await assert.rejects(home.client.call('listRuns', { params: { workspace: 'other' } }), {
    code: 'not_found',
  });
});

test('secrets of the submitter reach the command and no file', async () => {
  const secret = `hidden-${Math.random()}`;
  const run = await home.script(
    `import os\nassert os.environ['MY_SECRET']\nprint(len(os.environ['MY_SECRET']))\n`,
    {
      environment: { PATH: process.env['PATH'] ?? '', MY_SECRET: secret },
    },
  );
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
  const found = execFileSync('sh', ['-c', `grep -rl -- "$0" "$1" || true`, secret, home.dir]).toString();
  assert.equal(found, '');
});
