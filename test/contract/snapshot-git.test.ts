import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import type { NewSnapshot } from '../../src/api/entities.ts';
import { TestHome } from '../support/home.ts';

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
