import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { ignorePath } from '../../../src/snapshot/ignore-path.ts';

const root = await mkdtemp(path.join(tmpdir(), 'ry-ignore-'));
after(() => rm(root, { recursive: true, force: true }));

const at = (name: string) => path.join(root, name);

test('what git tracks is refused where no .gitignore would leave it out', async () => {
  await mkdir(at('all'));
  await mkdir(at('part'));
  for (const name of ['.env', 'all/a', 'part/a', '[a].key', 'a.key']) await writeFile(at(name), 'x\n');
  execFileSync('git', ['init', '-q'], { cwd: root });
  execFileSync('git', ['--literal-pathspecs', 'add', '.env', 'all', 'part', 'a.key'], { cwd: root });
  await writeFile(at('part/b'), 'x\n');
  const refused = { code: 'conflict', message: /^Git tracks / };
  await assert.rejects(ignorePath(root, '.env'), refused);
  await assert.rejects(ignorePath(root, 'all'), refused);
  assert.equal(existsSync(at('.gitignore')), false);
  // Something is left out by these.
  assert.equal((await ignorePath(root, 'part')).line, '/part/');
  await ignorePath(root, '[a].key');
  assert.match(await readFile(at('.gitignore'), 'utf8'), /^\/part\/\n/);
  await writeFile(at('.amlignore'), '');
  assert.deepEqual(await ignorePath(root, '.env'), { file: '.amlignore', line: '/.env' });
});
