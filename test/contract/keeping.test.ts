import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { DatabaseSync } from 'node:sqlite';
import { openForWriting } from '../../src/store/database.ts';
import { storeMigrations } from '../../src/store/writer-loop.ts';
import { TestHome } from '../support/home.ts';

test('a damaged workspace is explained; the others go on', async () => {
  const home = new TestHome();
  try {
    const dir = path.join(home.dir, 'workspaces/broken');
    mkdirSync(dir, { recursive: true });
    writeFileSync(path.join(dir, 'workspace.db'), Buffer.alloc(50_000, 'not a database '));
    const { workspaces } = await home.client.call('listWorkspaces');
    assert.match(workspaces.find((one) => one.name === 'broken')?.problem ?? '', /workspace\.db is damaged/);
    assert.equal(workspaces.find((one) => one.name === 'default')?.problem, null);
    await assert.rejects(home.client.call('listRuns', { params: { workspace: 'broken' } }), {
      code: 'unavailable',
    });
    assert.equal((await home.ended((await home.script('print(1)')).id)).status, 'Completed');
  } finally {
    await home.close();
  }
});

test('a database of an older Runyard is backed up before it is brought up to date', async () => {
  const home = new TestHome();
  try {
    const dir = path.join(home.dir, 'workspaces/default');
    mkdirSync(dir, { recursive: true });
    const db = openForWriting(path.join(dir, 'workspace.db'), [storeMigrations]);
    db.exec(`INSERT INTO facts VALUES ('kept', 'yes')`);
    db.close();
    assert.equal((await home.ended((await home.script('print(1)')).id)).status, 'Completed');
    const copy = new DatabaseSync(path.join(dir, 'workspace.before-store1.db'), { readOnly: true });
    assert.deepEqual({ ...copy.prepare('SELECT * FROM facts').get() }, { name: 'kept', value: 'yes' });
    assert.equal(copy.prepare(`SELECT count(*) AS n FROM sqlite_master WHERE name = 'runs'`).get()?.['n'], 0);
    copy.close();
  } finally {
    await home.close();
  }
});

test('a database of a newer Runyard is refused, and not touched', async () => {
  const home = new TestHome();
  try {
    const file = path.join(home.dir, 'workspaces/default/workspace.db');
    mkdirSync(path.dirname(file), { recursive: true });
    const db = openForWriting(file, [storeMigrations]);
    db.exec(`INSERT INTO schema_migrations VALUES ('runs', 99, 0)`);
    db.close();
    await assert.rejects(home.client.call('listRuns', { params: { workspace: 'default' } }), {
      code: 'conflict',
      message: /written by a newer Runyard/,
    });
  } finally {
    await home.close();
  }
});

test('what is kept belongs to the person alone', async () => {
  const home = new TestHome();
  try {
    await home.ended((await home.script('print(1)')).id);
    for (const name of ['', 'server', 'workspaces', 'workspaces/default', 'host']) {
      assert.equal(statSync(path.join(home.dir, name)).mode & 0o077, 0, name);
    }
    assert.equal(statSync(path.join(home.dir, 'server/token')).mode & 0o077, 0);
    assert.deepEqual(readdirSync(path.join(home.dir, 'workspaces/default/pending')), []);
    assert.ok(!readFileSync(path.join(home.dir, 'server/server.log'), 'utf8').includes('PATH='));
  } finally {
    await home.close();
  }
});

test('a supervisor that falls silent: NotResponding, and back to where it was when it is heard again', async () => {
  process.env['RUNYARD_SERVER_SILENCE_SECONDS'] = '6';
  const home = new TestHome();
  try {
    const run = await home.script(`import time\ntime.sleep(20)\nprint('over')\n`);
    await home.reaches(run.id, 'Running');
    const status = JSON.parse(readFileSync(path.join(home.attemptDir(run.id), 'status.json'), 'utf8')) as {
      supervisor: { pid: number };
    };
    process.kill(status.supervisor.pid, 'SIGSTOP');
    await home.reaches(run.id, 'NotResponding');
    process.kill(status.supervisor.pid, 'SIGCONT');
    await home.until(run.id, 'heard again', (now) => now.status !== 'NotResponding');
    const ended = await home.ended(run.id);
    assert.equal(ended.status, 'Completed');
    const statuses = ended.events.map((event) => event.status);
    assert.ok(statuses.includes('NotResponding'));
    assert.equal(statuses[statuses.indexOf('NotResponding') + 1], 'Running');
  } finally {
    delete process.env['RUNYARD_SERVER_SILENCE_SECONDS'];
    await home.close();
  }
});
