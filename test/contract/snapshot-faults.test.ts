import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal } from '../../src/api/run-status.ts';
import type { Manifest } from '../../src/protocol/messages.ts';
import { TestHome } from '../support/home.ts';

// A server killed at random points of snapshots, collections and garbage collections. RUNYARD_FAULT_TRIES=300
// for a figure worth stating.
const tries = Number(process.env['RUNYARD_FAULT_TRIES'] ?? 15);
const params = { workspace: 'default' };

const home = new TestHome();
after(() => home.close());

const script = `import os, sys
os.makedirs('outputs', exist_ok=True)
for i in range(40):
    open('outputs/%d.bin' % i, 'wb').write(os.urandom(20000))
`;

function project(): string {
  const files: Record<string, string | Uint8Array> = { 'train.py': script };
  for (let i = 0; i < 300; i++) files[`data/${i % 7}/${i}.txt`] = `${i} ${'x'.repeat(i * 10)}`;
  files['large.bin'] = randomBytes(3 << 20);
  return home.folder('project', files);
}

const workspace = () => path.join(home.dir, 'workspaces/default');
const blobPath = (hash: string) => path.join(workspace(), 'blobs', hash.slice(0, 2), hash.slice(2));

/** Every blob that the database and the manifests it names say is owned; each must be there and be what it says. */
function checkOwned(): Set<string> {
  const db = new DatabaseSync(path.join(workspace(), 'workspace.db'), { readOnly: true });
  const column = (sql: string) =>
    db
      .prepare(sql)
      .all()
      .map((row) => row['hash'] as string);
  const manifests = new Set([
    ...column('SELECT snapshot_id AS hash FROM runs WHERE snapshot_id IS NOT NULL'),
    ...column('SELECT id AS hash FROM snapshots'),
    ...column(`SELECT hash FROM artifacts WHERE path = 'git/untracked.json' AND stored = 1`),
  ]);
  const owned = new Set(column('SELECT hash FROM artifacts WHERE stored = 1'));
  for (const { git } of db.prepare('SELECT git FROM snapshots WHERE git IS NOT NULL').all()) {
    const changes = (JSON.parse(git as string) as { changes: never }).changes as {
      patch: { hash: string } | null;
      untracked: { manifest: string } | null;
    } | null;
    if (changes?.patch) owned.add(changes.patch.hash);
    if (changes?.untracked) manifests.add(changes.untracked.manifest);
  }
  db.close();
  for (const id of manifests) {
    owned.add(id);
    const manifest = JSON.parse(readFileSync(blobPath(id), 'utf8')) as Manifest;
    for (const entry of manifest.entries) if ('hash' in entry) owned.add(entry.hash);
  }
  for (const hash of owned) {
    const content = readFileSync(blobPath(hash));
    assert.equal(createHash('sha256').update(content).digest('hex'), hash);
  }
  return owned;
}

/** Every blob that is there. */
function stored(): Set<string> {
  const found = new Set<string>();
  const blobs = path.join(workspace(), 'blobs');
  for (const folder of readdirSync(blobs)) {
    if (!/^[0-9a-f]{2}$/.test(folder)) continue;
    for (const name of readdirSync(path.join(blobs, folder))) found.add(folder + name);
  }
  return found;
}

test(`${tries} kills: nothing that is owned is missing, and the next collection clears what is not`, async () => {
  const folder = project();
  execFileSync('git', ['init', '-q'], { cwd: folder });
  execFileSync('git', ['add', 'train.py', 'data/0'], { cwd: folder });
  const commit = ['-c', 'user.name=a', '-c', 'user.email=a@example.com', 'commit', '-qm', 'x'];
  execFileSync('git', commit, { cwd: folder });
  await home.client.call('listSnapshots', { params });
  const ids: string[] = [];
  for (let n = 0; n < tries; n++) {
    for (let i = 0; i < 60; i++) {
      writeFileSync(path.join(folder, `data/${i % 7}/${i}.txt`), `${n} ${i} ${'y'.repeat(i * 20)}`);
    }
    const client = home.newClient();
    const pid = (await client.call('getServer')).pid;
    const work: Promise<unknown>[] = [
      client.call('createSnapshot', { params, body: { folder } }),
      home.submit(folder, { configuration: { script: 'train.py' } }).then((run) => ids.push(run.id)),
      client.call('collectGarbage', { params }),
    ];
    if (n % 3 === 1 && ids[0]) {
      const run = ids[0];
      work.push(
        client
          .call('deleteRun', { params: { ...params, run } })
          .then(() => ids.shift())
          .then(() => client.call('collectGarbage', { params })),
      );
    }
    for (const one of work) one.catch(() => undefined);
    await sleep(Math.random() ** 2 * 700);
    process.kill(pid, 'SIGKILL');
    await Promise.allSettled(work);
    client.close();
    if (n % 10 === 9) {
      const { snapshots } = await home.client.call('listSnapshots', { params });
      for (const { id } of snapshots.slice(2)) {
        await home.client.call('deleteSnapshot', { params: { ...params, snapshot: id } });
      }
    }
    checkOwned();
  }
  const { runs } = await home.client.call('listRuns', { params, query: { limit: 1000 } });
  const ended = await Promise.all(runs.map(({ id }) => home.ended(id)));
  assert.ok(ended.every(({ status }) => isTerminal(status)));
  for (const run of ended) assert.equal(run.status, 'Completed', `${run.id}: ${run.statusReason}`);
  const before = checkOwned();
  await home.client.call('collectGarbage', { params });
  const owned = checkOwned();
  assert.deepEqual(owned, before);
  assert.deepEqual(
    [...stored()].filter((hash) => !owned.has(hash)),
    [],
  );
  const temporary = path.join(workspace(), 'blobs/tmp');
  assert.deepEqual(existsSync(temporary) ? readdirSync(temporary) : [], []);
});

test('a damaged manifest ends a collection before anything is removed, naming it', async () => {
  const folder = home.folder('damaged', { 'a.txt': 'only here' });
  const { id } = await home.client.call('createSnapshot', { params, body: { folder } });
  const text = readFileSync(blobPath(id), 'utf8');
  writeFileSync(blobPath(id), text.replace('a.txt', '../../a.txt'));
  const before = stored();
  await assert.rejects(home.client.call('collectGarbage', { params }), {
    code: 'conflict',
    message: /damaged/,
  });
  assert.deepEqual(stored(), before);
  writeFileSync(blobPath(id), text);
  await home.client.call('deleteSnapshot', { params: { ...params, snapshot: id } });
  await home.client.call('collectGarbage', { params });
  assert.equal(existsSync(blobPath(id)), false);
});

test('a blob that a crash of the machine has cut is stored again', async () => {
  const folder = home.folder('cut', { 'a.txt': 'whole', 'b.txt': 'as well' });
  const { id } = await home.client.call('createSnapshot', { params, body: { folder } });
  const hash = createHash('sha256').update('whole').digest('hex');
  writeFileSync(blobPath(hash), '');
  rmSync(path.join(workspace(), 'cache'), { recursive: true });
  const again = await home.client.call('createSnapshot', { params, body: { folder } });
  assert.equal(again.id, id);
  assert.equal(statSync(blobPath(hash)).size, 5);
});
