import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCli, TestHome } from '../support/home.ts';

// Several things at the same moment, and kills in between: no run is lost, stuck or taken for another.
const home = new TestHome();
after(() => home.close());

const P = { workspace: 'default' };
const environment = { PATH: process.env['PATH'] ?? '' };
const script = { script: 'train.py' };

function pendingFiles(): string[] {
  const dir = path.join(home.dir, 'workspaces/default/pending');
  return existsSync(dir) ? readdirSync(dir) : [];
}

test('several submits at once that send the same large files', async () => {
  const folder = home.folder('large', { 'train.py': 'print(1)', 'a.bin': randomBytes(9_000_000) });
  const runs = await Promise.all(
    Array.from({ length: 5 }, (_, i) => {
      const own = home.folder(`large-${i}`, {
        'train.py': 'print(1)',
        'a.bin': readFileSync(path.join(folder, 'a.bin')),
        'b.bin': randomBytes(3_000_000),
      });
      return home.submit(own, { configuration: script });
    }),
  );
  for (const { id } of runs) assert.equal((await home.ended(id)).status, 'Completed');
});

test('a rerun does not need the run that it was made from, and tags do not say what is run', async () => {
  for (let i = 0; i < 3; i++) {
    const first = await home.script('print("first", flush=True)');
    await home.ended(first.id);
    const again = await home.client.call('rerun', {
      params: { ...P, run: first.id },
      body: { environment },
    });
    await home.client.call('deleteRun', { params: { ...P, run: first.id } });
    assert.equal((await home.ended(again.id)).status, 'Completed');
    assert.equal((await home.log(again.id)).toString(), 'first\n');
  }
  const one = await home.script('print("one", flush=True)');
  await home.ended(one.id);
  const two = await home.script('print("two", flush=True)', { tags: { 'runyard.rerun_of': one.id } });
  await home.ended(two.id);
  assert.equal((await home.log(two.id)).toString(), 'two\n');
});

test('the agent killed while runs are handed to it: none fails for that', async () => {
  const agents = () =>
    home.processes().filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('\0serve\0');
      } catch {
        return false;
      }
    });
  const runs: string[] = [];
  for (let i = 0; i < 12; i++) {
    runs.push((await home.script('print(1)')).id);
    await sleep(i * 12);
    for (const pid of agents()) process.kill(pid, 'SIGKILL');
  }
  for (const id of runs) {
    const { status, statusReason } = await home.ended(id);
    assert.equal(status, 'Completed', statusReason);
  }
});

test('the server killed within the first moments of a submit: the run is there once and ends', async () => {
  const runs = new Set<string>();
  const tries = 10;
  for (let i = 0; i < tries; i++) {
    const submitted = home.script('print(1)', { requestId: randomUUID() });
    await sleep(i * 10);
    await home.killServer().catch(() => undefined);
    runs.add((await submitted).id);
  }
  assert.equal(runs.size, tries);
  for (const id of runs) assert.equal((await home.ended(id)).status, 'Completed');
  assert.deepEqual(pendingFiles(), []);
});

test('canceled before the host had it, and the server killed: Canceled, and no secret stays', async () => {
  const files: Record<string, string> = { 'train.py': 'print(1)' };
  for (let i = 0; i < 1500; i++) files[`d${i % 30}/f${i}`] = `${i} ${randomUUID()}`;
  const folder = home.folder('many', files);
  const runs: string[] = [];
  for (let i = 0; i < 5; i++) {
    const run = await home.submit(folder, {
      configuration: script,
      environment: { ...environment, SECRET: 'x' },
      requestId: randomUUID(),
    });
    runs.push(run.id);
    await sleep(i * 60);
    await home.cancel(run.id).catch(() => undefined);
    await home.killServer().catch(() => undefined);
  }
  for (const id of runs) {
    const { status, error } = await home.ended(id);
    assert.ok(status === 'Canceled' || status === 'Completed', `${status}: ${JSON.stringify(error)}`);
  }
  assert.deepEqual(pendingFiles(), []);
});

test('killed between clearing a canceled submit away and saying so: Canceled all the same', async () => {
  const folder = home.folder('between', { 'train.py': 'print(1)' });
  const run = await home.submit(folder, { configuration: script, environment, requestId: randomUUID() });
  await home.killServer();
  const db = new DatabaseSync(path.join(home.dir, 'workspaces/default/workspace.db'));
  db.prepare("UPDATE runs SET status = 'CancelRequested', ended_at = NULL WHERE id = ?").run(run.id);
  db.prepare('DELETE FROM attempts WHERE run_seq = (SELECT seq FROM runs WHERE id = ?)').run(run.id);
  db.close();
  for (const file of pendingFiles()) rmSync(path.join(home.dir, 'workspaces/default/pending', file));
  assert.equal((await home.ended(run.id)).status, 'Canceled');
});

test('what a kill left of submits that have no run is cleared away', async () => {
  const dir = path.join(home.dir, 'workspaces/default');
  mkdirSync(path.join(dir, 'pending'), { recursive: true });
  mkdirSync(path.join(dir, 'blobs/tmp'), { recursive: true });
  writeFileSync(path.join(dir, 'pending/nobody_1.json'), '{"environment":{"SECRET":"x"}}');
  writeFileSync(path.join(dir, 'pending/nobody_2.json.tmp'), '{"environment":');
  writeFileSync(path.join(dir, 'blobs/tmp/1-aa'), 'half');
  await home.killServer();
  await home.client.call('listRuns', { params: P });
  assert.deepEqual(pendingFiles(), []);
  assert.equal(existsSync(path.join(dir, 'blobs/tmp/1-aa')), false);
});

test('a server that ends leaves a submit under way to the next one', async () => {
  const folder = home.folder('slow', { 'train.py': 'print(1)' });
  const part = randomBytes(32 * 1024 * 1024);
  for (let i = 0; i < 6; i++) {
    part.writeUInt32LE(i, 0);
    writeFileSync(path.join(folder, `p${i}`), part);
  }
  const run = await home.submit(folder, { configuration: script });
  await home.client.call('drainServer', { body: {} });
  assert.equal((await home.ended(run.id)).status, 'Completed');
});

test('a workspace that is deleted while others use it', async () => {
  const folder = home.folder('used', { 'train.py': 'print(1)' });
  const workspace = 'short-lived';
  const submit = () =>
    home.client.call('submitRun', {
      params: { workspace },
      body: { folder, environment, configuration: script },
    });
  const list = () => home.client.call('listRuns', { params: { workspace } });
  let over = false;
  const internal: string[] = [];
  const hammer = Array.from({ length: 3 }, async () => {
    while (!over)
      await list().catch((error: { code: string; message: string }) => {
        if (error.code !== 'not_found') internal.push(error.message);
      });
  });
  for (let i = 0; i < 5; i++) {
    await home.client.call('createWorkspace', { body: { name: workspace } });
    const run = await submit();
    for (let status = ''; !['Completed', 'Failed'].includes(status); await sleep(50))
      ({ status } = await home.client.call('getRun', { params: { workspace, run: run.id } }));
    const remove = home.client.call('deleteWorkspace', { params: { workspace } });
    const late = await Promise.allSettled([submit(), sleep(5).then(submit), sleep(15).then(submit)]);
    const removed = await remove.then(
      () => true,
      () => false,
    );
    if (!removed) {
      // A submit was quicker: the workspace and its runs are there, whole.
      for (const one of late)
        if (one.status === 'fulfilled') {
          for (let status = ''; !['Completed', 'Failed'].includes(status); await sleep(50))
            ({ status } = await home.client.call('getRun', { params: { workspace, run: one.value.id } }));
        }
      await home.client.call('deleteWorkspace', { params: { workspace } });
    }
    assert.equal(existsSync(path.join(home.dir, 'workspaces', workspace)), false);
  }
  over = true;
  await Promise.all(hammer);
  assert.deepEqual(internal, []);
});

test('--json is one document, also when the command line is wrong', async () => {
  for (const args of [['run', 'list', '--bogus'], ['run', 'show'], ['run'], ['nonsense'], []]) {
    const { code, stdout } = await runCli(home.dir, [...args, '--json']);
    assert.equal(code, 2, args.join(' '));
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    assert.equal(error.code, 'bad_request');
    assert.ok(error.message);
  }
});

test('refused before anything is written: what no process or name can hold', async () => {
  const folder = home.folder('odd', { 'train.py': 'print(1)' });
  const before = (await home.client.call('listRuns', { params: P, query: { limit: 1000 } })).runs.length;
  const refused = async (body: object) =>
    assert.rejects(
      home.client.call('submitRun', {
        params: P,
        body: { folder, environment, configuration: script, ...body },
      }),
      { code: 'bad_request' },
      JSON.stringify(body).slice(0, 200),
    );
  await refused({ folder: '.' });
  await refused({ environment: { ...environment, A: 'x\0y' } });
  await refused({ environment: { ...environment, A: '\ud800' } });
  await refused({ environment: { ...environment, 'A=B': 'x' } });
  await refused({ environment: { ...environment, '': 'x' } });
  await refused({ configuration: { ...script, arguments: ['\ud800'] } });
  await refused({ configuration: { ...script, environmentVariables: { A: 'x\0y' } } });
  await refused({ configuration: { ...script, maxRunDurationSeconds: 1e300 } });
  await refused({ configuration: { command: [''] } });
  await refused({ configuration: { ...script, experiment: '   ' } });
  await refused({ configuration: { ...script, experiment: 'x'.repeat(10_000) } });
  await refused({ configuration: { ...script, experiment: 'a\nb' } });
  await refused({ configurationName: 'a\0b' });
  await refused({ configurationName: 'a'.repeat(10_000) });
  const { runs } = await home.client.call('listRuns', { params: P, query: { limit: 1000 } });
  assert.equal(runs.length, before);
  const run = await home.submit(folder, { configuration: script, experiment: '..' });
  await home.ended(run.id);
  await home.client.call('deleteExperiment', { params: { ...P, experiment: '..' } });
});
