import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import fc from 'fast-check';
import {
  constraintsOf,
  isPinned,
  packageLines,
  readRequirements,
  requirementName,
} from '../../../src/environments/requirements.ts';

const from = (files: Record<string, string>) => (name: string) => {
  const text = files[name];
  return text === undefined ? Promise.reject(new Error(`no ${name}`)) : Promise.resolve(text);
};

test('includes, comments and continuations become one text', async () => {
  const { text, paths } = await readRequirements(
    'requirements.txt',
    from({
      'requirements.txt':
        '# all\nnumpy==1.26.4 # pinned\n-r more/base.txt\n--requirement=x.txt\nscipy \\\n  >=1.0\n-c cons.txt\n',
      'more/base.txt': 'six\n./local-1.0-py3-none-any.whl\n-f wheels\n',
      'x.txt': 'a[b,c] ; python_version > "3"\r\n',
      'cons.txt': 'urllib3<2\n',
    }),
  );
  assert.equal(
    text,
    'numpy==1.26.4\nsix\n./more/local-1.0-py3-none-any.whl\n--find-links ./more/wheels\na[b,c] ; python_version > "3"\nscipy   >=1.0\n#:constraint urllib3<2\n',
  );
  assert.deepEqual(paths, ['more/local-1.0-py3-none-any.whl', 'more/wheels']);
  assert.equal(constraintsOf(text), 'urllib3<2\n');
  assert.deepEqual(packageLines(text).map(requirementName), ['numpy', 'six', 'local', 'a', 'scipy']);
});

test('a cycle, an editable install, a password and a path outside are refused by name', async () => {
  const refused = async (files: Record<string, string>, pattern: RegExp) =>
    assert.rejects(readRequirements('r.txt', from(files)), (error: Error) => pattern.test(error.message));
  await refused({ 'r.txt': '-r s.txt', 's.txt': '-r r.txt' }, /r\.txt includes s\.txt includes r\.txt/);
  await refused({ 'r.txt': '-e .' }, /r\.txt:1: "-e \." is an editable install/);
  await refused(
    { 'r.txt': '\n--index-url https://me:secret@pypi.example.org/simple' },
    /r\.txt:2: the address holds/,
  );
  await refused({ 'r.txt': '-r ../up.txt' }, /outside/);
  await refused({ 'r.txt': '-f ../wheels' }, /outside/);
  const kept = await readRequirements(
    'r.txt',
    from({ 'r.txt': '-i https://${USER}:${TOKEN}@pypi.example.org/simple\ngit+ssh://git@example.org/x' }),
  );
  assert.match(kept.text, /\$\{TOKEN\}/);
});

test('what is pinned and what is not', () => {
  for (const line of [
    'a==1.0',
    'a===1.0',
    'a @ https://x.org/a.whl',
    './a-1.0-py3-none-any.whl',
    'a[x]==2 ; sys_platform == "linux"',
  ])
    assert.ok(isPinned(line), line);
  for (const line of ['a', 'a>=1', 'a==1.*', 'a~=1.4', 'a ; python_version == "3.8"', 'a>1,<2'])
    assert.ok(!isPinned(line), line);
});

/** pip's own parser says which names a file asks for; skipped where there is no pip to ask. */
const oracle = `
import sys
from pip._internal.req.req_file import parse_requirements
from pip._internal.network.session import PipSession
from pip._vendor.packaging.requirements import Requirement
from pip._vendor.packaging.utils import canonicalize_name
for one in parse_requirements(sys.argv[1], session=PipSession()):
    if not one.constraint:
        print(canonicalize_name(Requirement(one.requirement).name), 'C' if one.constraint else '')
`;
const python = ['/usr/bin/python3', 'python3'].find(
  (one) => spawnSync(one, ['-c', 'import pip._internal.req.req_file']).status === 0,
);

test('the names are those that pip itself reads', { skip: python ? false : 'no pip to ask' }, () => {
  const name = fc.stringMatching(/^[A-Za-z]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?$/);
  const specifier = fc.constantFrom(
    '',
    '==1.0',
    ' >= 1, <3',
    '~=2.1',
    '[extra]',
    '[a,b]==1.*',
    ' ; python_version > "3"',
    '==1 \\\n --hash=sha256:' + 'ab'.repeat(32),
  );
  const line = fc.oneof(
    fc.tuple(name, specifier, fc.constantFrom('', ' # why', '   ')).map((parts) => parts.join('')),
    fc.constantFrom('', '# only this', '   ', '--no-index', '--prefer-binary', '-c c.txt'),
  );
  const runs = Number(process.env['RUNYARD_PROPERTY_RUNS'] ?? 15);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ry-pip-'));
  return fc
    .assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 8 }),
        fc.constantFrom('\n', '\r\n'),
        async (lines, end) => {
          const text = lines.join(end);
          writeFileSync(path.join(folder, 'c.txt'), 'constrained<3\n');
          writeFileSync(path.join(folder, 'r.txt'), text);
          const asked = spawnSync(python!, ['-c', oracle, path.join(folder, 'r.txt')], { encoding: 'utf8' });
          assert.equal(asked.status, 0, asked.stderr);
          const expected = asked.stdout
            .split('\n')
            .map((one) => one.trim())
            .filter(Boolean);
          const read = await readRequirements('r.txt', from({ 'r.txt': text, 'c.txt': 'constrained<3\n' }));
          assert.deepEqual(packageLines(read.text).map(requirementName), expected);
        },
      ),
      { numRuns: runs },
    )
    .finally(() => rmSync(folder, { recursive: true }));
});
