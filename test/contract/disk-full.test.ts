import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, utimesSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestHome } from '../support/home.ts';

const mayMount = process.platform === 'linux' && process.getuid?.() === 0;
const skip = mayMount ? false : 'needs root to mount a small file system';

/** A file system of its own of so many megabytes. */
function smallDisk(megabytes: number): { dir: string; fill(): void; free(): void; remove(): void } {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'ry-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir]);
  const filler = path.join(dir, 'filler');
  return {
    dir,
    fill() {
      // Down to the last block: what is left is taken again until nothing fits.
      for (let n = 0; ; n++) {
        const { bavail, bsize } = statfsSync(dir);
        if (bavail === 0) return;
        mkdirSync(filler, { recursive: true });
        try {
          writeFileSync(
            path.join(filler, String(n)),
            Buffer.alloc(Math.min(bavail * bsize, 64 * 1024 * 1024)),
          );
        } catch {
          // Somebody was quicker.
        }
      }
    },
    free: () => rmSync(filler, { recursive: true, force: true }),
    remove() {
      execFileSync('umount', ['-l', dir]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

test(
  'the disk full under the server and the run: said, nothing corrupt, and it goes on',
  { skip },
  async () => {
    const disk = smallDisk(96);
    const home = new TestHome({ parent: disk.dir });
    try {
      const count = 600;
      const run = await home.script(
        `import runyard, time\nfor i in range(${count}):\n    runyard.log('m', i, step=i)\n    time.sleep(0.01)\n`,
      );
      await home.reaches(run.id, 'Running');
      await home.until(run.id, 'logging', ({ series }) => series.length > 0);
      disk.fill();
      const folder = home.folder; // Nothing can be written: a submit of a folder that exists elsewhere.
      assert.ok(folder);
      const elsewhere = mkdtempSync(path.join(os.tmpdir(), 'ry-elsewhere-'));
      writeFileSync(path.join(elsewhere, 'train.py'), `print('x')\n` + '#'.repeat(100_000));
      const refused = await home.submit(elsewhere, { configuration: { script: 'train.py' } }).then(
        async (other) => {
          const ended = await home.ended(other.id);
          return { code: ended.error?.code ?? ended.status, message: ended.error?.message ?? '' };
        },
        (error: { code: string; message: string }) => error,
      );
      rmSync(elsewhere, { recursive: true });
      assert.equal(refused.code, 'no_space', JSON.stringify(refused));
      assert.match(refused.message, /disk is full/i);
      await sleep(2500);
      disk.free();
      const ended = await home.ended(run.id);
      assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
      const { steps } = await home.points(run.id, 'm');
      assert.deepEqual(
        steps,
        Array.from({ length: count }, (_, i) => i),
      );
      assert.equal(ended.badJournalLines, 0);
      assert.equal((await home.ended((await home.script('print(1)')).id)).status, 'Completed');
      const db = new DatabaseSync(path.join(home.dir, 'workspaces/default/workspace.db'), { readOnly: true });
      assert.deepEqual({ ...db.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
      db.close();
    } finally {
      disk.free();
      await home.close();
      disk.remove();
    }
  },
);

test('a run that fills its own disk fails with a clear error, and the next one runs', { skip }, async () => {
  const disk = smallDisk(96);
  const home = new TestHome({ parent: disk.dir });
  try {
    const run = await home.script(`
import os, runyard
runyard.log('before', 1)
runyard.flush()
os.makedirs('outputs', exist_ok=True)
with open('outputs/huge', 'wb') as f:
    while True:
        f.write(b'x' * 1000000)
`);
    // The run stays where it is until there is room for its end to be written.
    await home.until(
      run.id,
      'at its end',
      ({ status }) => !['NotStarted', 'Queued', 'Preparing', 'Starting'].includes(status),
    );
    const huge = path.join(home.attemptDir(run.id), 'code/outputs/huge');
    for (let i = 0; i < 600 && statfsSync(disk.dir).bavail > 0; i++) await sleep(50);
    await sleep(1500);
    rmSync(huge);
    const ended = await home.ended(run.id);
    assert.equal(ended.status, 'Failed');
    assert.match(ended.error!.message, /no space left|disk .*is full/i);
    assert.deepEqual((await home.points(run.id, 'before')).values, [1]);
    assert.equal((await home.ended((await home.script('print(1)')).id)).status, 'Completed');
  } finally {
    await home.close();
    disk.remove();
  }
});

test('garbage is collected on a full disk, and later snapshots are whole', { skip }, async () => {
  const disk = smallDisk(64);
  const home = new TestHome({ parent: disk.dir });
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ry-elsewhere-'));
  try {
    const params = { workspace: 'default' };
    const take = () => home.client.call('createSnapshot', { params, body: { folder } });
    const old = new Date(Date.now() - 60_000);
    for (const name of ['a', 'b', 'c']) {
      writeFileSync(path.join(folder, name), name.repeat(1_000_000));
      utimesSync(path.join(folder, name), old, old);
    }
    // Not racy any more: the next snapshot would take the hashes over.
    await sleep(2100);
    const { id } = await take();
    await home.client.call('deleteSnapshot', { params: { ...params, snapshot: id } });
    disk.fill();
    const { blobs } = await home.client.call('collectGarbage', { params });
    assert.equal(blobs, 4);
    disk.free();
    const again = await take();
    assert.equal(again.id, id);
    const to = path.join(home.folders, 'restored');
    const body = { folder: to, as: 'folder' as const };
    await home.client.call('restoreSnapshot', { params: { ...params, snapshot: id }, body });
    assert.equal(readFileSync(path.join(to, 'b'), 'utf8'), 'b'.repeat(1_000_000));
  } finally {
    await home.close();
    disk.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});
