import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import type { NewSnapshot } from '../../src/api/entities.ts';
import { runCli, TestHome } from '../support/home.ts';

const home = new TestHome();
after(() => home.close());

/** A repository with one commit of these files. */
function repository(name: string, files: Record<string, string>): string {
  const folder = home.folder(name, files);
  git(folder, 'init', '-q');
  commit(folder);
  return folder;
}

function git(folder: string, ...args: string[]): string {
  return execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
    cwd: folder,
    encoding: 'utf8',
  });
}

function commit(folder: string): void {
  git(folder, 'add', '-A');
  git(folder, 'commit', '-qm', 'a commit');
}

function take(folder: string): Promise<NewSnapshot> {
  return home.client.call('createSnapshot', { params: { workspace: 'default' }, body: { folder } });
}

/** The stored content of a hash. */
function stored(hash: string): string {
  return readFileSync(
    path.join(home.dir, 'workspaces/default/blobs', hash.slice(0, 2), hash.slice(2)),
    'utf8',
  );
}

test('what .amlignore leaves out is not kept as a change either', async () => {
  const folder = repository('left-out', { 'a.py': '1\n', 'ä [1].cfg': 'none\n', 'sub/b.py': '1\n' });
  writeFileSync(path.join(folder, '.amlignore'), 'secrets.json\n*.cfg\n');
  writeFileSync(path.join(folder, 'secrets.json'), 'untracked-secret');
  writeFileSync(path.join(folder, 'ä [1].cfg'), 'tracked-secret\n');
  writeFileSync(path.join(folder, 'sub/b.py'), '2\n');
  writeFileSync(path.join(folder, 'new.py'), '3\n');
  const { git: facts } = await take(folder);
  const { patch, untracked, problems } = facts!.changes!;
  assert.match(stored(patch!.hash), /^\+2$/m);
  assert.doesNotMatch(stored(patch!.hash), /secret/);
  assert.match(stored(untracked!.manifest), /"new.py"/);
  assert.doesNotMatch(stored(untracked!.manifest), /secrets/);
  assert.deepEqual(problems, ['Changes of files that .amlignore leaves out are not kept: ä [1].cfg.']);
});

test('a pipe in the place of an ignore file or of a configuration holds up nothing', async () => {
  const folder = repository('pipes', { 'a.py': '1\n', 'sub/b.py': '1\n' });
  execFileSync('mkfifo', [path.join(folder, 'sub/.gitignore'), path.join(folder, '.gitattributes')]);
  writeFileSync(path.join(folder, 'a.py'), '2\n');
  const taken = await take(folder);
  assert.equal(taken.files, 2);
  assert.match(taken.warnings.join('\n'), /git could not be asked .*\.git(ignore|attributes) is a pipe/);

  mkdirSync(path.join(folder, '.runyard'));
  execFileSync('mkfifo', [path.join(folder, '.runyard/x.runconfig')]);
  // More than there are threads for files.
  for (let n = 0; n < 6; n++) {
    await assert.rejects(home.submit(folder, { configurationName: 'x' }), /x\.runconfig is no file/);
  }
});

test('a git command that does not end is ended by who cancels', async () => {
  const folder = repository('slow', { 'a.py': '1\n', '.gitattributes': '*.py filter=slow\n' });
  git(folder, 'config', 'filter.slow.clean', 'sleep 5');
  writeFileSync(path.join(folder, 'a.py'), '2\n');
  const abort = new AbortController();
  const taking = home.client.call('createSnapshot', {
    params: { workspace: 'default' },
    body: { folder },
    signal: abort.signal,
  });
  setTimeout(() => abort.abort(), 1000);
  await assert.rejects(taking);
  // Both threads are free again.
  const plain = home.folder('plain', { 'a.py': '1\n' });
  await Promise.all([take(plain), take(plain), take(plain)]);
  execFileSync('sleep', ['0.5']);
  assert.throws(() => execFileSync('pgrep', ['-f', '--', `--output=${home.dir}`]));
});

test('facts and changes of a repository in a folder with any name', async () => {
  for (const name of ['space ', 'line\nbreak', 'line\nbreak/below ', 'ü [x]']) {
    const top = repository(name, { 'a.py': '1\n', 'sub /b.py': '1\n' });
    writeFileSync(path.join(top, 'a.py'), '2\n');
    for (const below of ['', 'sub ']) {
      const { git: facts } = await take(path.join(top, below));
      assert.equal(facts!.folder, below);
      assert.equal(facts!.worktree, false);
      assert.match(stored(facts!.changes!.patch!.hash), /^\+2$/m);
    }
  }
  const linked = path.join(home.folders, 'linked\nworktree ');
  git(path.join(home.folders, 'ü [x]'), 'worktree', 'add', '-q', '--detach', linked);
  const { git: facts } = await take(linked);
  assert.deepEqual([facts!.worktree, facts!.folder, facts!.dirty], [true, '', false]);
});

test('a repository within whose folder has no UTF-8 name', async () => {
  const top = repository('bytes', { 'a.py': '1\n' });
  const inner = Buffer.concat([Buffer.from(`${top}/`), Buffer.from([0xff])]);
  mkdirSync(inner);
  execFileSync('sh', ['-c', 'cd "$(printf "\\377")" && git init -q && echo 1 > f'], { cwd: top });
  assert.equal((await take(top)).files, 2);
});

test('ignore files outside of the folder count as soon as they change', async () => {
  const top = repository('outside', { 'in/a.py': '1\n', 'in/outputs/o': '1\n' });
  const folder = path.join(top, 'in');
  git(top, 'rm', '-rq', '--cached', 'in/outputs');
  git(top, 'commit', '-qm', 'without outputs');
  mkdirSync(path.join(folder, 'empty'));
  const known = async () => {
    const { id } = await take(folder);
    return [...stored(id).matchAll(/"path":"([^"]*)"/g)].map((found) => found[1]);
  };
  const excludes = path.join(home.folders, 'excludes');
  git(top, 'config', 'core.excludesFile', excludes);
  // Old enough for everything to be known of the folder the next time.
  execFileSync('sleep', ['2.1']);
  assert.deepEqual(await known(), ['a.py', 'empty']);
  for (const file of [path.join(top, '.git/info/exclude'), excludes, path.join(top, '.gitignore')]) {
    writeFileSync(file, '!outputs/\nempty/\n');
    assert.deepEqual(await known(), ['a.py', 'outputs/o'], file);
    writeFileSync(file, '#\n');
    assert.deepEqual(await known(), ['a.py', 'empty'], file);
  }
});

test('an untracked file that the snapshot leaves out makes the tree dirty, as without a cache', async () => {
  const folder = repository('dirty', { 'a.py': '1\n' });
  execFileSync('sleep', ['2.1']);
  const dirty = async () => (await take(folder)).git!.dirty;
  assert.deepEqual([await dirty(), await dirty()], [false, false]);
  mkdirSync(path.join(folder, 'outputs'));
  writeFileSync(path.join(folder, 'outputs/o'), '1\n');
  assert.deepEqual([await dirty(), await dirty()], [true, true]);
  execFileSync('rm', ['-r', path.join(folder, 'outputs')]);
  assert.deepEqual([await dirty(), await dirty()], [false, false]);
});

test('a download into no folder, or over one, says so', async () => {
  const { id } = await take(home.folder('download', { 'a.py': '1\n' }));
  for (const [output, said] of [
    ['/nowhere/x.zip', 'not_found'],
    [home.folders, 'conflict'],
  ] as const) {
    const { code, stderr, stdout } = await runCli(home.dir, [
      'snapshot',
      'download',
      id,
      '--output',
      output,
      '--json',
    ]);
    assert.equal(code, 1);
    assert.match(stdout + stderr, new RegExp(`"code":"${said}"`));
  }
});

test('a link that leads outside by way of another link is refused', async () => {
  const folder = home.folder('links', { 'd/a.py': '1\n' });
  symlinkSync('..', path.join(folder, 'd/up'));
  await take(folder);
  symlinkSync('d/up/..', path.join(folder, 'out'));
  await assert.rejects(take(folder), /The link out points outside/);
});

test('a restore into a path that is not absolute here is refused', async () => {
  const { id } = await take(home.folder('relative', { 'a.py': '1\n' }));
  for (const folder of ['C:\\x', '/tmp/a\0b']) {
    await assert.rejects(
      home.client.call('restoreSnapshot', {
        params: { workspace: 'default', snapshot: id },
        body: { folder, as: 'folder' },
      }),
      { code: 'bad_request' },
    );
  }
});
