import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { after, test } from 'node:test';
import type { GitFacts } from '../../../src/api/entities.ts';
import { restore } from '../../../src/snapshot/jobs/restore.ts';
import { BlobStore, contextOf } from './blob-store.ts';

const store = new BlobStore();
after(() => store.close());

const repository = `${store.base}/repository`;
const git = (...args: string[]) =>
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
    cwd: repository,
    encoding: 'utf8',
  });

mkdirSync(`${repository}/src`, { recursive: true });
git('init', '-q');
writeFileSync(`${repository}/a.txt`, 'one\n');
writeFileSync(`${repository}/src/b.bin`, Buffer.from([0, 1, 2, 3]));
git('add', '.');
git('commit', '-qm', 'first');
const commit = git('rev-parse', 'HEAD').trim();
writeFileSync(`${repository}/a.txt`, 'two \t\r\n');
writeFileSync(`${repository}/src/b.bin`, Buffer.from([0, 9, 8, 7, 255]));
const patch = store.put(execFileSync('git', ['diff', '--binary', 'HEAD'], { cwd: repository }));
const untracked = store.manifest([
  store.file('src/new/run', '#!/bin/sh\n', 0o755),
  { path: 'l', link: 'a.txt' },
]);

const facts: GitFacts = {
  repositoryUri: 'https://example.org/r.git',
  branch: 'main',
  commit,
  dirty: true,
  folder: 'src',
  worktree: false,
  shallow: false,
  pushed: false,
  submodules: [{ path: 'lib', commit: null, dirty: false }],
  changes: {
    patch,
    untracked: { manifest: untracked, manifestBytes: 0, files: 2, bytes: 10 },
    problems: ['big.bin was too large'],
  },
};

/** A snapshot that says nothing of any file. */
const nothing = store.manifest([]);

async function worktree(
  more: Partial<GitFacts> | null = {},
  options: { folder?: string; source?: string; cancelAt?: number; id?: string } = {},
) {
  const folder = options.folder ?? `${store.base}/tree`;
  const args = {
    id: options.id ?? nothing,
    folder,
    as: 'worktree' as const,
    git: more && { ...facts, ...more },
    sourceDirectory: options.source ?? `${repository}/src`,
    blobs: store.dir,
  };
  return restore(store)(args, contextOf(options.cancelAt));
}

const left = () => git('worktree', 'list', '--porcelain').match(/^worktree /gm)!.length;

test('the commit with its changes and untracked files, and no hook has run', async () => {
  const hook = `${repository}/.git/hooks/post-checkout`;
  writeFileSync(hook, `#!/bin/sh\ntouch "${store.base}/hook-ran"\n`);
  chmodSync(hook, 0o755);
  const result = await worktree();
  const tree = `${store.base}/tree`;
  assert.equal(readFileSync(`${tree}/a.txt`, 'utf8'), 'two \t\r\n');
  assert.deepEqual([...readFileSync(`${tree}/src/b.bin`)], [0, 9, 8, 7, 255]);
  assert.equal(readFileSync(`${tree}/l`, 'utf8'), 'two \t\r\n');
  assert.equal(execFileSync('git', ['rev-parse', 'HEAD'], { cwd: tree, encoding: 'utf8' }).trim(), commit);
  const status = execFileSync('git', ['status', '--porcelain', '-b'], { cwd: tree, encoding: 'utf8' });
  assert.match(status, /^## HEAD \(no branch\)\n/);
  assert.ok(!existsSync(`${store.base}/hook-ran`));
  assert.equal(result.files, 4);
  assert.equal(result.bytes, 7 + 5 + 10);
  assert.equal(result.notes.length, 3);
  assert.match(result.notes.join('\n'), /big\.bin[^]*Submodules[^]*lib[^]*is on no remote/);
  git('worktree', 'remove', '--force', tree);
});

test('the folder has gone from the repository meanwhile: its top does', async () => {
  await worktree({}, { source: `${repository}/gone` });
  git('worktree', 'remove', '--force', `${store.base}/tree`);
});

test('what cannot be restored is refused, and nothing stays', async () => {
  const before = left();
  const refused = (more: Partial<GitFacts> | null, code: string, message: RegExp, source?: string) =>
    assert.rejects(worktree(more, source ? { source } : {}), { code, message });
  await refused(null, 'conflict', /in no git repository/);
  await refused({ commit: null }, 'conflict', /no commit yet/);
  await refused({ commit: '1'.repeat(40) }, 'not_found', /1111 is not in the repository/);
  await refused({}, 'not_found', /no longer at/, `${store.base}/nowhere/src`);
  const bad = store.put('diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-zero\n+two\n');
  await refused({ changes: { ...facts.changes!, patch: bad } }, 'conflict', /do not apply[^]*a\.txt/);
  const hostile = store.manifest([store.file('.GIT/hooks/x', 'x')]);
  const files = { manifest: hostile, manifestBytes: 0, files: 1, bytes: 1 };
  await refused({ changes: { ...facts.changes!, untracked: files } }, 'conflict', /git repository/);
  const tracked = {
    manifest: store.manifest([store.file('a.txt', 'x')]),
    manifestBytes: 0,
    files: 1,
    bytes: 1,
  };
  await refused({ changes: { ...facts.changes!, untracked: tracked } }, 'conflict', /in the way/);
  assert.equal(left(), before);
  assert.ok(!existsSync(`${store.base}/tree`));
  mkdirSync(`${store.base}/full/x`, { recursive: true });
  await assert.rejects(worktree({}, { folder: `${store.base}/full` }), {
    code: 'conflict',
    message: /not empty/,
  });
  assert.deepEqual(readdirSync(`${store.base}/full`), ['x']);
});

test('a cancel takes the worktree back', async () => {
  const before = left();
  for (const cancelAt of [2, 3, 5, 6, 7]) {
    await assert.rejects(worktree({}, { cancelAt }), { code: 'canceled' }, String(cancelAt));
    assert.equal(left(), before);
    assert.ok(!existsSync(`${store.base}/tree`));
  }
});

test('changed content of the recorded patch is found before git sees it', async () => {
  const own = store.put('not a patch');
  rmSync(store.folder.pathOf(own.hash));
  const changes = { ...facts.changes!, patch: own };
  await assert.rejects(worktree({ changes }), { code: 'conflict', message: /git\/changes\.patch/ });
});

test('in the folder of the snapshot every file is as it was, whatever git makes of it', async () => {
  git('config', 'core.autocrlf', 'true');
  const id = store.manifest([
    store.file('b.bin', Buffer.from([1]), 0o600),
    { path: 'd', link: 'b.bin' },
    { path: 'empty', dir: true },
    { path: 'new', link: 'sub' },
    store.file('sub/unix', 'a\n', 0o755),
    store.file('module/a', 'a'),
  ]);
  const folder = `${store.base}/exact`;
  const submodules = [{ path: 'src/module', commit: null, dirty: false }];
  const result = await worktree({ submodules }, { id, folder });
  assert.equal(existsSync(`${folder}/src/module`), false);
  assert.deepEqual([...readFileSync(`${folder}/src/b.bin`)], [1]);
  assert.equal(lstatSync(`${folder}/src/b.bin`).mode & 0o777, 0o600);
  assert.equal(readlinkSync(`${folder}/src/d`), 'b.bin');
  // The untracked files of the facts had a folder here.
  assert.equal(readlinkSync(`${folder}/src/new`), 'sub');
  assert.equal(readFileSync(`${folder}/src/sub/unix`, 'utf8'), 'a\n');
  assert.deepEqual(readdirSync(`${folder}/src/empty`), []);
  assert.ok(result.files >= 5);
  git('config', '--unset', 'core.autocrlf');
  git('worktree', 'remove', '--force', folder);
});

test('a worktree whose folder is not there just now stays registered', async () => {
  const away = `${store.base}/away`;
  git('worktree', 'add', '-q', '--detach', away);
  renameSync(away, `${away}.disk`);
  const before = left();
  await assert.rejects(worktree({}, { folder: away }), /has a worktree at .* already/);
  const changes = { ...facts.changes!, patch: store.put('no patch') };
  await assert.rejects(worktree({ changes }, { folder: `${store.base}/w3` }), /do not apply/);
  assert.equal(left(), before);
});
