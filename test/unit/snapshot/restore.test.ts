import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { after, test } from 'node:test';
import * as fc from 'fast-check';
import type { ManifestEntry } from '../../../src/protocol/messages.ts';
import { restore } from '../../../src/snapshot/jobs/restore.ts';
import { binaryOf } from '../../../src/snapshot/path-text.ts';
import { likeNames } from '../../../src/snapshot/restore-check.ts';
import { treeOf, trees } from '../../support/tree.ts';
import { BlobStore, contextOf } from './blob-store.ts';

const store = new BlobStore();
after(() => store.close());
let count = 0;

async function restored(id: string, folder = `${store.base}/out${count++}`, cancelAt = Infinity) {
  const args = { id, folder, as: 'folder' as const, git: null, sourceDirectory: '', blobs: store.dir };
  return { folder, result: await restore(store)(args, contextOf(cancelAt)) };
}

const sort = (entries: ManifestEntry[]) =>
  [...entries].sort((a, b) => (binaryOf(a.path) < binaryOf(b.path) ? -1 : 1));

test('whatever a file system holds comes back', async () => {
  await fc.assert(
    fc.asyncProperty(trees(), async (leaves) => {
      const entries = leaves.map((leaf) =>
        'content' in leaf ? store.file(leaf.path, leaf.content, leaf.mode) : leaf,
      );
      const { folder, result } = await restored(store.manifest(entries));
      assert.deepEqual(treeOf(folder), sort(entries));
      assert.equal(result.files, entries.filter((one) => !('dir' in one)).length);
      rmSync(folder, { recursive: true });
    }),
    { numRuns: 150 },
  );
});

test('modes do not depend on the umask, and holes stay holes', async () => {
  const sparse = Buffer.alloc(8_000_000);
  sparse.write('begin');
  sparse.write('end', sparse.length - 3);
  const entries = [
    store.file('sparse', sparse),
    store.file('zeros', Buffer.alloc(3_000_000)),
    store.file('tail', Buffer.concat([randomBytes(5000), Buffer.alloc(5000)])),
    store.file('open', 'x', 0o777),
    store.file('closed', 'x', 0o000),
  ];
  const before = process.umask(0o077);
  try {
    const { folder } = await restored(store.manifest(entries));
    assert.equal(lstatSync(`${folder}/open`).mode & 0o777, 0o777);
    assert.equal(lstatSync(`${folder}/closed`).mode & 0o777, 0);
    assert.ok(readFileSync(`${folder}/sparse`).equals(sparse));
    assert.ok(readFileSync(`${folder}/tail`).subarray(5000).equals(Buffer.alloc(5000)));
    assert.equal(lstatSync(`${folder}/zeros`).size, 3_000_000);
    for (const name of ['sparse', 'zeros']) {
      assert.ok(lstatSync(`${folder}/${name}`).blocks * 512 < 100_000, name);
    }
  } finally {
    process.umask(before);
  }
});

test('where it may go: a folder that is not there, or an empty one', async () => {
  const id = store.manifest([store.file('a/b', 'x')]);
  const empty = `${store.base}/empty`;
  mkdirSync(empty);
  await restored(id, empty);
  assert.deepEqual(readdirSync(empty), ['a']);
  await assert.rejects(restored(id, empty), { code: 'conflict', message: /empty is not empty \(it has a\)/ });
  writeFileSync(`${store.base}/file`, 'mine');
  await assert.rejects(restored(id, `${store.base}/file`), { code: 'conflict', message: /is no folder/ });
  await assert.rejects(restored(id, `${store.base}/file/below`), {
    code: 'conflict',
    message: /below something/,
  });
  assert.equal(readFileSync(`${store.base}/file`, 'utf8'), 'mine');
  assert.equal((await restored(id, `${store.base}/new/and/deep`)).result.files, 1);
  const { result } = await restored(store.manifest([]), `${store.base}/nothing`);
  assert.equal(result.files, 0);
  assert.deepEqual(readdirSync(`${store.base}/nothing`), []);
});

test('a cancel or a failure takes back what was made, and only that', async () => {
  const entries = Array.from({ length: 20 }, (_, i) => store.file(`d${i % 3}/f${i}`, `content ${i}`));
  const id = store.manifest([...entries, { path: 'l', link: 'd0' }]);
  for (const cancelAt of [1, 2, 5, 12, 30]) {
    await assert.rejects(restored(id, `${store.base}/up/canceled`, cancelAt), { code: 'canceled' });
    assert.ok(!readdirSync(store.base).includes('up'));
  }
  const mine = `${store.base}/mine`;
  mkdirSync(mine);
  await assert.rejects(restored(id, mine, 9), { code: 'canceled' });
  assert.deepEqual(readdirSync(mine), []);
  const last = entries.at(-1) as { hash: string };
  writeFileSync(store.folder.pathOf(last.hash), 'content xx');
  await assert.rejects(restored(id, `${store.base}/changed`), {
    code: 'conflict',
    message: /d1\/f19 was changed/,
  });
  assert.ok(!readdirSync(store.base).includes('changed'));
  rmSync(store.folder.pathOf(last.hash));
  await assert.rejects(restored(id, `${store.base}/gone`), {
    code: 'conflict',
    message: /d1\/f19 is not there/,
  });
  store.put('content 19');
});

/** A manifest edited by hand: bytes that no encoder would write, by their own hash. */
function edited(entries: object[]): string {
  return store.put(`{"version":1,"entries":[${entries.map((one) => JSON.stringify(one)).join(',')}]}`).hash;
}

test('a manifest edited by hand is refused before anything is written', async () => {
  const x = store.file('x', 'x') as { mode: number; size: number; hash: string };
  const at = (path: string) => ({ path, mode: x.mode, size: x.size, hash: x.hash });
  const hostile: [string, object[]][] = [
    ['a step up', [at('../x')]],
    ['a step up inside', [at('a/../../x')]],
    ['an absolute path', [at('/etc/x')]],
    ['a path that is the folder', [at('.')]],
    ['an empty name', [at('a//x')]],
    ['a NUL', [at('a\0x')]],
    ['a link out', [{ path: 'l', link: '../x' }]],
    ['an absolute link', [{ path: 'l', link: '/etc' }]],
    [
      'a link out by way of a link',
      [
        { path: 'm', link: 'x/y/l/..' },
        { path: 'x/y/l', link: '../..' },
      ],
    ],
    ['a file below a link', [{ path: 'l', link: 'd' }, at('l/x')]],
    ['a file below a link, written otherwise', [{ path: 'é', link: 'd' }, at('\uF7C3\uF7A9/x')]],
    ['a file below a file', [at('x'), at('x/y')]],
    ['a name written as if it were no UTF-8', [at('\uF7C3\uF7A9')]],
    ['twice the same', [at('x'), at('x')]],
    ['a repository', [at('.git/config')]],
    ['a repository inside', [at('a/.git/hooks/post-checkout')]],
    ['a mode with more bits', [{ ...at('x'), mode: 0o4755 }]],
    ['another size', [{ ...at('x'), size: 2 }]],
    ['another content', [{ ...at('x'), hash: 'f'.repeat(64) }]],
  ];
  for (const [what, entries] of hostile) {
    const before = readdirSync(store.base).sort();
    await assert.rejects(restored(edited(entries), `${store.base}/hostile`), { code: 'conflict' }, what);
    assert.deepEqual(readdirSync(store.base).sort(), before, what);
  }
  const { hash } = store.put('{"version":1,"entries":[{"path":"x","dir":true}]} ');
  await assert.rejects(restored(hash), { code: 'conflict', message: /is damaged/ });
  await assert.rejects(restored('f'.repeat(64)), { code: 'not_found' });
});

test('a link in the folder that appears meanwhile is not followed', async () => {
  const outside = `${store.base}/outside`;
  const target = `${store.base}/raced`;
  mkdirSync(outside);
  mkdirSync(target);
  const args = {
    id: store.manifest([store.file('a', 'a'), store.file('d/x', 'x')]),
    folder: target,
    as: 'folder' as const,
    git: null,
    sourceDirectory: '',
    blobs: store.dir,
  };
  const context = contextOf();
  const progress = () => {
    if (!readdirSync(target).includes('d')) symlinkSync(outside, `${target}/d`);
  };
  await assert.rejects(async () => restore(store)(args, { ...context, progress }), {
    code: 'conflict',
    message: /in the way/,
  });
  assert.deepEqual(readdirSync(outside), []);
  assert.deepEqual(readdirSync(target), ['d']);
});

test('names that some file systems take for one are known', () => {
  const pairs = (...paths: string[]) => [...likeNames(paths.map((path) => ({ path, dir: true as const })))];
  assert.deepEqual(pairs('a', 'b', 'A/x', 'A/y'), [['a', 'A']]);
  assert.deepEqual(pairs('d/Read', 'd/read', 'e/read'), [['d/Read', 'd/read']]);
  assert.deepEqual(pairs('\u00e9', 'e\u0301'), [['\u00e9', 'e\u0301']]);
  assert.deepEqual(pairs('a/b', 'a/c', 'a'), []);
});

/** A file system that does not tell case apart, where this machine can make one. */
function caseless(): { folder: string; close(): void } | undefined {
  const image = `${store.base}/vfat.img`;
  const folder = `${store.base}/vfat`;
  try {
    writeFileSync(image, Buffer.alloc(4_000_000));
    execFileSync('mkfs.vfat', [image], { stdio: 'ignore' });
    mkdirSync(folder);
    execFileSync('mount', ['-o', 'loop', image, folder], { stdio: 'ignore' });
    return { folder, close: () => void execFileSync('umount', [folder]) };
  } catch {
    return undefined;
  }
}

test('on a file system that does not tell case apart', async (t) => {
  const disk = caseless();
  if (!disk) return t.skip('no file system of that kind can be made here');
  try {
    const id = store.manifest([store.file('d/read', '1'), store.file('d/READ', '2')]);
    await assert.rejects(restored(id, `${disk.folder}/out`), { code: 'conflict', message: /for one/ });
    assert.deepEqual(readdirSync(disk.folder), []);
  } finally {
    disk.close();
  }
});

test('a folder that cannot be written is said', { skip: process.getuid?.() === 0 }, async () => {
  const locked = `${store.base}/locked`;
  mkdirSync(locked);
  chmodSync(locked, 0o500);
  await assert.rejects(restored(store.manifest([]), `${locked}/out`), { code: 'not_permitted' });
});

test('a link to nothing is no folder to restore into', async () => {
  const folder = `${store.base}/to-nothing`;
  symlinkSync('no-such-place', folder);
  await assert.rejects(restored(store.manifest([]), folder), { code: 'conflict' });
  await assert.rejects(restored(store.manifest([]), `${folder}/below`), { code: 'conflict' });
});
