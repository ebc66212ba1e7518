import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import * as fc from 'fast-check';
import type { Comparison, NewSnapshot, Snapshot, SnapshotEntry } from '../../src/api/entities.ts';
import { cli, runCli, TestHome } from '../support/home.ts';
import { makeTree, treeOf, trees } from '../support/tree.ts';

const home = new TestHome();
after(() => home.close());

const params = (snapshot?: string) => ({ workspace: 'default', ...(snapshot ? { snapshot } : {}) });
const outOf = (name: string) => path.join(home.folders, name);

/** A command with --json that succeeds. */
async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await runCli(
    home.dir,
    args.toSpliced(args.includes('--') ? args.indexOf('--') : args.length, 0, '--json'),
  );
  assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

/** A command that does not: its exit code and what it says. */
async function refused(...args: string[]): Promise<{ code: number | null; said: string }> {
  const { code, stderr } = await runCli(home.dir, args);
  assert.notEqual(code, 0, args.join(' '));
  return { code, said: stderr };
}

function project(name: string): string {
  const folder = home.folder(name, {
    'train.py': 'print("hello")\n',
    'lib/net.py': 'def loss():\n    return 1\n',
    'lib/data.bin': Buffer.from([0, 1, 2, 255]),
    '.gitignore': '*.log\n',
    'x.log': 'no',
  });
  chmodSync(path.join(folder, 'train.py'), 0o750);
  symlinkSync('lib/net.py', path.join(folder, 'net'));
  mkdirSync(path.join(folder, 'empty'), { recursive: true });
  return folder;
}

test('create, list, show, files, search, download, restore, delete', async () => {
  const folder = project('verbs');
  const made = await json<NewSnapshot>('snapshot', 'create', folder);
  assert.match(made.id, /^[0-9a-f]{64}$/);
  assert.equal(made.files, 5);
  assert.equal(made.kept, true);
  assert.ok(made.stored.blobs > 0);
  const again = await json<NewSnapshot>('snapshot', 'create', folder);
  assert.deepEqual([again.id, again.stored.blobs], [made.id, 0]);
  const list = await json<Snapshot[]>('snapshot', 'list');
  assert.deepEqual(
    list.map((one) => [one.id, one.sourceDirectory]),
    [[made.id, folder]],
  );

  const short = made.id.slice(0, 6);
  const shown = await json<Snapshot & { entries: SnapshotEntry[] }>('snapshot', 'show', short);
  assert.deepEqual(
    shown.entries.map((one) => `${one.kind} ${one.path}`),
    ['file .gitignore', 'folder empty', 'folder lib', 'link net', 'file train.py'],
  );
  const files = await json<SnapshotEntry[]>('snapshot', 'files', short);
  assert.deepEqual(
    files.map((one) => one.path),
    ['.gitignore', 'empty', 'lib/data.bin', 'lib/net.py', 'net', 'train.py'],
  );
  assert.equal(files.find((one) => one.path === 'train.py')?.mode, 0o750);
  assert.equal(
    (await runCli(home.dir, ['snapshot', 'show', short, 'lib/net.py'])).stdout,
    'def loss():\n    return 1\n',
  );
  assert.match((await runCli(home.dir, ['snapshot', 'show', short, 'net'])).stdout, /net -> lib\/net\.py/);
  const { matches } = await json<{ matches: { path: string; line: number }[] }>(
    'snapshot',
    'search',
    short,
    'LOSS',
  );
  assert.deepEqual(
    matches.map((one) => `${one.path}:${one.line}`),
    ['lib/net.py:1'],
  );

  const zips = ['one.zip', 'two.zip'].map(outOf);
  for (const file of zips) await json('snapshot', 'download', short, '--output', file);
  assert.ok(readFileSync(zips[0]!).equals(readFileSync(zips[1]!)));
  const target = outOf('restored');
  const restored = await json<{ files: number; folder: string }>('snapshot', 'restore', short, target);
  assert.deepEqual([restored.files, restored.folder], [5, target]);
  assert.equal(lstatSync(path.join(target, 'train.py')).mode & 0o777, 0o750);
  assert.equal(readlinkSync(path.join(target, 'net')), 'lib/net.py');
  assert.deepEqual(readdirSync(path.join(target, 'empty')), []);
  assert.deepEqual((await json<Comparison>('snapshot', 'diff', short, '--folder', target)).changes, []);

  assert.deepEqual(await json('snapshot', 'delete', short), { deleted: [short] });
  assert.deepEqual(await json('snapshot', 'list'), []);
  assert.equal((await refused('snapshot', 'show', short)).code, 1);
  const gone = await json<{ kept: number }>('gc');
  assert.equal(gone.kept, 0);
});

test('whatever a file system holds comes back', async () => {
  let n = 0;
  await fc.assert(
    fc.asyncProperty(trees(), async (leaves) => {
      const folder = outOf(`tree${n}`);
      const target = outOf(`tree${n++}-restored`);
      makeTree(folder, leaves);
      const { id } = await home.client.call('createSnapshot', { params: params(), body: { folder } });
      await home.client.call('restoreSnapshot', { params: params(id), body: { folder: target } });
      assert.deepEqual(treeOf(target), treeOf(folder));
      const { changes } = await home.client.call('compareSnapshot', {
        params: params(id),
        body: { folder: target },
      });
      assert.deepEqual(changes, []);
      await home.client.call('deleteSnapshot', { params: params(id) });
    }),
    { numRuns: 60 },
  );
});

test('a dry run says why each path is not taken, and stores nothing', async () => {
  const folder = project('dry');
  const { code, stdout } = await runCli(home.dir, ['snapshot', 'create', folder, '--dry-run']);
  assert.equal(code, 0);
  assert.match(stdout, /^leave out +x\.log +\(\.gitignore:1: \*\.log\)$/m);
  assert.match(stdout, /^take +15 +train\.py$/m);
  assert.match(stdout, /^5 files, /m);
  const lines = await json<object[]>('snapshot', 'create', folder, '--dry-run');
  assert.deepEqual(
    lines.filter((one) => 'leftOut' in one),
    [{ leftOut: 'x.log', folder: false, reason: 'ignored', source: '.gitignore', line: 1, pattern: '*.log' }],
  );
  assert.deepEqual(await json('snapshot', 'list'), []);
  const { said } = await refused('snapshot', 'create', outOf('not there'), '--dry-run');
  assert.match(said, /is not there/);
});

test('diff: with the folder, with another snapshot', async () => {
  const folder = project('diff');
  const { id: first } = await json<NewSnapshot>('snapshot', 'create', folder);
  writeFileSync(path.join(folder, 'new.py'), 'x = 1\n');
  writeFileSync(path.join(folder, 'train.py'), 'print("bye")\n');
  rmSync(path.join(folder, 'lib/data.bin'));
  chmodSync(path.join(folder, 'lib/net.py'), 0o755);
  rmSync(path.join(folder, 'net'));
  mkdirSync(path.join(folder, 'net'));
  const expected = [
    'D  lib/data.bin',
    'T  lib/net.py  (mode 0644 -> 0755)',
    'T  net  (link -> folder)',
    'A  new.py',
    'M  train.py',
  ];
  const run = async (...args: string[]) =>
    (await runCli(home.dir, ['snapshot', 'diff', ...args])).stdout.trimEnd().split('\n');
  assert.deepEqual(await run(first), expected);
  const { id: second } = await json<NewSnapshot>('snapshot', 'create', folder);
  assert.deepEqual(await run(first, second), expected);
  assert.deepEqual((await json<Comparison>('snapshot', 'diff', second, second)).changes, []);
  const { code } = await refused('snapshot', 'diff', first, second, '--folder', folder);
  assert.equal(code, 2);
  for (const id of [first, second]) await json('snapshot', 'delete', id);
});

test('the snapshot of a run, by the id of the run', async () => {
  const run = await home.ended(
    (await home.submit(project('run'), { configuration: { script: 'train.py' } })).id,
  );
  const found = await home.client.call('getSnapshot', { params: params(run.id) });
  assert.equal(found.id, run.snapshotId);
  assert.deepEqual([found.runs, found.kept], [[run.id], false]);
  const { entries } = await home.client.call('listSnapshotEntries', {
    params: params(run.id),
    query: { path: 'lib' },
  });
  assert.deepEqual(
    entries.map((one) => one.path),
    ['lib/data.bin', 'lib/net.py'],
  );
  const { said, code } = await refused('snapshot', 'delete', run.id);
  assert.equal(code, 1);
  assert.match(said, new RegExp(`belongs to the run ${run.id}`));
  const file = outOf('run.zip');
  await json('run', 'download', run.id, '--output', file);
  const names = execFileSync('python3', ['-m', 'zipfile', '-l', file], { encoding: 'utf8' });
  for (const name of ['code/train.py', 'code/net', 'code/empty/', 'user_logs/std_log.txt', 'run.json']) {
    assert.ok(names.includes(name), `${name} in\n${names}`);
  }
});

test('what is not there, or is no snapshot', async () => {
  const { id } = await json<NewSnapshot>('snapshot', 'create', project('nothing'));
  const { entry } = await home.client.call('listSnapshotEntries', {
    params: params(id),
    query: { path: 'train.py' },
  });
  // A blob that is there, but no snapshot of anybody.
  for (const name of [entry!.hash!, '0'.repeat(64), '000000', 'abc', 'run_1', '..', 'é']) {
    await assert.rejects(
      home.client.call('getSnapshot', { params: params(name) }),
      { code: 'not_found' },
      name,
    );
  }
  for (const query of ['x', 'train.py/x', 'net/x']) {
    await assert.rejects(
      home.client.call('listSnapshotEntries', { params: params(id), query: { path: query } }),
      {
        code: 'not_found',
      },
    );
  }
  for (const query of ['../x', '/etc/passwd', 'lib/../train.py', 'lib//net.py']) {
    await assert.rejects(
      home.client.bytes('readSnapshotFile', { params: params(id), query: { path: query } }),
      {
        code: 'bad_request',
      },
    );
  }
  await assert.rejects(
    home.client.bytes('readSnapshotFile', { params: params(id), query: { path: 'net' } }),
    {
      code: 'bad_request',
      message: /is a link to lib\/net\.py/,
    },
  );
  const { data, headers } = await home.client.bytes('readSnapshotFile', {
    params: params(id),
    query: { path: 'lib/data.bin', offset: 1, length: 2 },
  });
  assert.deepEqual([...data], [1, 2]);
  assert.equal(headers['x-runyard-size'], '4');
  await assert.rejects(
    home.client.call('createSnapshot', { params: params(), body: { folder: outOf('no') } }),
    {
      code: 'not_found',
    },
  );
  const { code } = await refused('snapshot', 'search', id, '(', '--regex');
  assert.equal(code, 2);
  await json('snapshot', 'delete', id);
});

test('a restore that cannot be done leaves everything as it was', async () => {
  const { id } = await json<NewSnapshot>('snapshot', 'create', project('careful'));
  const full = home.folder('full', { mine: 'mine' });
  const { code, said } = await refused('snapshot', 'restore', id, full);
  assert.equal(code, 1);
  assert.match(said, /full is not empty \(it has mine\)/);
  assert.deepEqual(readdirSync(full), ['mine']);
  assert.match(
    (await refused('snapshot', 'restore', id, outOf('tree'), '--worktree')).said,
    /no git repository/,
  );
  assert.ok(!existsSync(outOf('tree')));
  await json('snapshot', 'delete', id);
});

test('a git worktree with what was changed', async () => {
  const folder = project('git');
  const git = (...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], {
      cwd: folder,
      encoding: 'utf8',
    });
  // Git knows of modes only whether a file can be run.
  chmodSync(path.join(folder, 'train.py'), 0o755);
  git('init', '-q');
  git('add', '.');
  git('commit', '-qm', 'first');
  writeFileSync(path.join(folder, 'train.py'), 'print("changed")\n');
  writeFileSync(path.join(folder, 'lib/data.bin'), randomBytes(100));
  writeFileSync(path.join(folder, 'untracked.py'), 'x = 1\n');
  const { id, git: facts } = await json<NewSnapshot>('snapshot', 'create', folder);
  assert.equal(facts?.commit, git('rev-parse', 'HEAD').trim());
  const tree = outOf('worktree');
  await json('snapshot', 'restore', id, tree, '--worktree');
  for (const name of ['train.py', 'lib/data.bin', 'untracked.py']) {
    assert.ok(readFileSync(path.join(tree, name)).equals(readFileSync(path.join(folder, name))), name);
  }
  const { changes } = await json<Comparison>('snapshot', 'diff', id, '--folder', tree);
  assert.deepEqual(
    changes.map((one) => one.path),
    ['empty'],
    'git knows no empty folders',
  );
  await json('snapshot', 'delete', id);
});

test('Ctrl-C ends a snapshot and a restore, and nothing stays', async () => {
  const folder = home.folder('many', {});
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < 12; i++) writeFileSync(path.join(folder, `big${i}`), randomBytes(60_000_000));
  const interrupted = async (...args: string[]) => {
    const child = cli(home.dir, args);
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    await sleep(700);
    child.kill('SIGINT');
    return ended;
  };
  assert.equal(await interrupted('snapshot', 'create', folder), 1);
  assert.deepEqual(await json('snapshot', 'list'), []);
  const { id } = await json<NewSnapshot>('snapshot', 'create', folder);
  const target = outOf('many-restored');
  const code = await interrupted('snapshot', 'restore', id, target);
  // On a fast machine it was done before.
  if (code !== 0) {
    const deadline = Date.now() + 20_000;
    while (existsSync(target) && Date.now() < deadline) await sleep(50);
    assert.ok(!existsSync(target));
  }
  await json('snapshot', 'delete', id);
  rmSync(folder, { recursive: true });
});

test('a hand-edited manifest is refused wherever it is used', async () => {
  const folder = project('edited');
  writeFileSync(path.join(folder, 'only here'), '');
  const { id } = await json<NewSnapshot>('snapshot', 'create', folder);
  const file = path.join(home.dir, 'workspaces/default/blobs', id.slice(0, 2), id.slice(2));
  chmodSync(file, 0o600);
  writeFileSync(file, readFileSync(file, 'utf8').replace('train.py', '../ab.py'));
  assert.notEqual(createHash('sha256').update(readFileSync(file)).digest('hex'), id);
  const target = outOf('edited-restored');
  for (const args of [
    ['restore', id, target],
    ['files', id],
    ['search', id, 'x'],
    ['download', id, '--output', target],
    ['diff', id],
  ]) {
    const { code, said } = await refused('snapshot', ...args);
    assert.equal(code, 1);
    assert.match(said, /is damaged/, args.join(' '));
  }
  assert.ok(!existsSync(target));
  await json('snapshot', 'delete', id);
});

test('the server answers others while it works on a snapshot', async (t) => {
  const folder = outOf('crowd');
  for (let d = 0; d < 40; d++) {
    mkdirSync(path.join(folder, `d${d}`), { recursive: true });
    for (let i = 0; i < 250; i++) writeFileSync(path.join(folder, `d${d}/f${i}.txt`), `file ${d} ${i}\n`);
  }
  let longest = 0;
  let answers = 0;
  let done = false;
  const asking = (async () => {
    while (!done) {
      const begin = performance.now();
      await home.client.call('getServer');
      if (!done) answers++;
      longest = Math.max(longest, performance.now() - begin);
      await sleep(2);
    }
  })();
  const { id } = await home.client.call('createSnapshot', { params: params(), body: { folder } });
  await home.client.call('listSnapshotEntries', { params: params(id) });
  await home.client.call('searchSnapshot', { params: params(id), body: { query: 'file 39 249' } });
  await home.client.call('compareSnapshot', { params: params(id), body: { folder } });
  await home.client.call('restoreSnapshot', {
    params: params(id),
    body: { folder: outOf('crowd-restored') },
  });
  for await (const _ of await home.client.stream('downloadSnapshot', { params: params(id) }));
  done = true;
  await asking;
  // How late they were is for the benchmark; a server that is held up answers a handful.
  assert.ok(answers >= 50, `${answers} answers`);
  t.diagnostic(`the longest answer took ${longest.toFixed(1)} ms`);
});

test('submit says what to know before, and refuses what cannot be taken', async () => {
  const folder = project('looked-at');
  writeFileSync(path.join(folder, '.env'), 'TOKEN=1\n');
  const ran = await runCli(home.dir, ['run', 'submit', folder, '--script', 'train.py', '--wait']);
  assert.equal(ran.code, 0, ran.stderr);
  assert.match(ran.stderr, /^warning: \.env looks like a file with secrets/m);
  const dry = await runCli(home.dir, ['snapshot', 'create', folder, '--dry-run']);
  assert.deepEqual([dry.code, dry.stderr], [0, ran.stderr.split('\n')[0] + '\n']);
  symlinkSync('/etc', path.join(folder, 'out'));
  const before = (await home.client.call('listRuns', { params: params() })).runs.length;
  const { code, said } = await refused('run', 'submit', folder, '--script', 'train.py');
  assert.equal(code, 2);
  assert.match(said, /out points outside/);
  assert.equal((await home.client.call('listRuns', { params: params() })).runs.length, before);
  const dryRefused = await refused('snapshot', 'create', folder, '--dry-run');
  assert.equal(dryRefused.code, 2);
  assert.match(dryRefused.said, /out points outside/);
});

test('arguments: what is taken is found by its relative path, what is left out by its absolute one', async () => {
  const folder = project('arguments');
  const at = (name: string) => path.join(folder, name);
  const given = ['lib', 'x.log', at('lib'), at('x.log'), '--data=x.log'];
  const body = { folder, configuration: { script: 'train.py', arguments: given } };
  const { concerns } = await home.client.call('previewSnapshot', { body });
  assert.deepEqual(
    concerns.map(({ message }) => /"(.*)"/.exec(message)?.[1]),
    ['x.log', at('lib'), '--data=x.log'],
  );
});

test('rerun with changes; cancel --wait of what has ended; logs --follow of another file', async () => {
  const folder = home.folder('changed', { 'train.py': 'import sys\nprint(sys.argv[1:])\n' });
  const first = await home.ended((await home.submit(folder, { configuration: { script: 'train.py' } })).id);
  const again = await json<{ id: string; snapshotId: string; displayName: string; experiment: string }>(
    'run',
    'rerun',
    first.id,
    '--wait',
    '--name',
    'other',
    '--experiment',
    'more',
    '--',
    '--lr',
    '0.2',
  );
  assert.deepEqual(
    [again.displayName, again.experiment, again.snapshotId],
    ['other', 'more', first.snapshotId],
  );
  assert.match((await home.log(again.id)).toString(), /\['--lr', '0\.2'\]/);
  const same = await json<{ id: string }>('run', 'rerun', again.id, '--wait');
  assert.match((await home.log(same.id)).toString(), /\['--lr', '0\.2'\]/);
  const none = await json<{ id: string }>('run', 'rerun', again.id, '--no-args', '--wait');
  assert.match((await home.log(none.id)).toString(), /\[\]/);
  const canceled = await json<{ status: string }>('run', 'cancel', first.id, '--wait');
  assert.equal(canceled.status, 'Completed');
  assert.equal((await refused('run', 'cancel', first.id)).code, 1);
  assert.equal((await refused('run', 'logs', first.id, '--follow', '--file', 'logs/x')).code, 2);
});
