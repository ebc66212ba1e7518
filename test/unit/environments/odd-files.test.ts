import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { environmentDefinitionSchema } from '../../../src/api/environment.ts';
import { RunyardError } from '../../../src/api/errors.ts';
import type { RunConfiguration } from '../../../src/api/run-configuration.ts';
import { checkDefinition } from '../../../src/environments/definition.ts';
import { freeze } from '../../../src/environments/freeze.ts';
import { environmentOfConfiguration } from '../../../src/environments/from-configuration.ts';
import { definitionFromFile } from '../../../src/environments/from-file.ts';
import { recipeOf } from '../../../src/environments/recipe.ts';
import { manifestEntries } from '../../../src/snapshot/manifest.ts';
import { Blobs } from '../../../src/store/blobs.ts';

const base = mkdtempSync(path.join(os.tmpdir(), 'ry-odd-files-'));
const blobs = new Blobs(path.join(base, 'blobs'));
mkdirSync(blobs.dir);
test.after(() => rmSync(base, { recursive: true, force: true }));

let count = 0;
type Files = Record<string, string | Buffer>;
function folder(files: Files): string {
  const dir = path.join(base, `folder-${++count}`);
  mkdirSync(dir);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    writeFileSync(path.join(dir, name), text);
  }
  return dir;
}

/** Recipe files and context of the first of these files. */
async function read(files: Files, more: (dir: string) => void = () => undefined, into: object = {}) {
  const dir = folder(files);
  more(dir);
  const file = path.join(dir, Object.keys(files)[0] ?? 'requirements.txt');
  const { definition } = await definitionFromFile(blobs, file, into);
  const { context } = definition;
  const paths = context === null ? [] : (await manifestEntries(blobs, context)).map((entry) => entry.path);
  return { files: recipeOf(definition)?.files ?? {}, paths };
}

async function refused(
  code: string,
  pattern: RegExp,
  files: Files,
  more: (dir: string) => void = () => undefined,
  into: object = {},
): Promise<void> {
  await assert.rejects(read(files, more, into), (error: RunyardError) => {
    assert.ok(error instanceof RunyardError, (error as Error).stack);
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  });
}
const requirements = (text: string | Buffer, more: Files = {}): Files => ({
  'requirements.txt': text,
  ...more,
});
const dockerfile = (text: string, more: Files = {}): Files => ({ Dockerfile: `FROM a\n${text}\n`, ...more });

test('files that requirements name go along, however they are written', async () => {
  const cases: [line: string, file: string, kept: string][] = [
    [
      'torch-2.1+cpu-py3-none-any.whl',
      'torch-2.1+cpu-py3-none-any.whl',
      './torch-2.1+cpu-py3-none-any.whl\n',
    ],
    ['w/a-1-py3-none-any.whl[x]', 'w/a-1-py3-none-any.whl', './w/a-1-py3-none-any.whl[x]\n'],
    ['w/a-1.tgz ; python_version > "3"', 'w/a-1.tgz', './w/a-1.tgz ; python_version > "3"\n'],
    ['lib/pkg', 'lib/pkg/setup.py', './lib/pkg\n'],
    ['ü/a-1.zip', 'ü/a-1.zip', './ü/a-1.zip\n'],
    ['./w[1]*/a-1.zip', 'w[1]*/a-1.zip', './w[1]*/a-1.zip\n'],
    ['--find-links "./my wheels"', 'my wheels/a.whl', '--find-links "./my wheels"\n'],
    ['--no-index --find-links=w', 'w/a.whl', '--no-index\n--find-links ./w\n'],
    ['-fw --pre', 'w/a.whl', '--find-links ./w\n--pre\n'],
    ['--find-links .', 'a.whl', '--find-links ./.\n'],
  ];
  for (const [line, file, kept] of cases) {
    const found = await read(requirements(`${line}\n`, { [file]: 'x' }));
    assert.deepEqual([found.files['requirements.txt'], found.paths], [kept, [file]], line);
  }
  // Not the data and the code that lie beside the packages.
  const found = await read(requirements('-f .\na', { 'a.whl': 'x', 'data.bin': 'x', 'train.py': 'x' }));
  assert.deepEqual(found.paths, ['a.whl']);
});

test('what no environment can hold is refused by its line', async () => {
  await refused(
    'bad_request',
    /requirements.txt:1: "\.\[dev\]" installs the folder itself/,
    requirements('.[dev]'),
  );
  await refused('bad_request', /installs the folder itself/, requirements('./'));
  await refused('bad_request', /:2: "--edit \." is an editable install/, requirements('a\n--edit .'));
  const two = '--index-url https://${A}:${B}@h/ --extra-index-url https://u:p@h/';
  await refused('bad_request', /:1: the address holds/, requirements(two));
  await refused('bad_request', /the address holds/, {
    'environment.yml': 'channels: ["https://u:p@h/c"]\ndependencies: [python]',
  });
  const direct = (members: object) => () => checkDefinition(environmentDefinitionSchema.parse(members));
  assert.throws(direct({ requirements: '-i https://u:p@h/\n' }), /the address holds/);
  assert.throws(direct({ interpreter: 'a\0b' }), /holds a NUL/);
});

test('a megabyte without an end of line blocks nobody', async () => {
  const began = performance.now();
  await refused('bad_request', /:1: no requirement is as long/, requirements('x'.repeat(999_999)));
  await refused('bad_request', /:1: no requirement is as long/, requirements('a\\\n'.repeat(300_000)));
  await read(requirements(`${'x'.repeat(4000)} `.repeat(249)));
  await read(dockerfile('RUN a \\\n'.repeat(100_000)));
  await refused('bad_request', /no FROM/, { Dockerfile: '\n'.repeat(999_000) });
  assert.throws(
    () => checkDefinition(environmentDefinitionSchema.parse({ requirements: 'x'.repeat(999_999) })),
    /too long/,
  );
  assert.ok(performance.now() - began < 5000, `${performance.now() - began} ms`);
  const half = 'x\n'.repeat(400_000);
  await refused(
    'too_large',
    /more than a megabyte/,
    requirements('-r a.txt\n-r b.txt', { 'a.txt': half, 'b.txt': half }),
  );
});

test('texts of Windows are read; what is no text, and no file, is refused', async () => {
  const utf16 = Buffer.from('\uFEFFnumpy==1.0\r\n', 'utf16le');
  assert.equal((await read(requirements(utf16))).files['requirements.txt'], 'numpy==1.0\n');
  await refused('bad_request', /is no text file/, requirements(Buffer.from([0, 1, 2, 10])));
  await refused('bad_request', /a.txt in .* is no file/, requirements('-r a.txt'), (dir) =>
    symlinkSync('a.txt', path.join(dir, 'a.txt')),
  );
  await refused('not_found', /There is no "a+\.\.\." in/, requirements(`-r ${'a'.repeat(300)}`));
  await refused('bad_request', /p in .* is no file/, dockerfile('COPY p /'), (dir) =>
    execFileSync('mkfifo', [path.join(dir, 'p')]),
  );
  await refused('bad_request', /\.dockerignore is no file/, dockerfile('COPY . /'), (dir) =>
    execFileSync('mkfifo', [path.join(dir, '.dockerignore')]),
  );
});

test('what COPY names is taken as Docker takes it', async () => {
  const of = async (text: string, more: Files) => (await read(dockerfile(text, more))).paths;
  assert.deepEqual(await of('COPY a/../b ./c//d /', { b: 'x', 'c/d': 'x' }), ['b', 'c/d']);
  assert.deepEqual(await of('COPY ../b /', { b: 'x' }), ['b']);
  assert.deepEqual(await of('COPY node_modules /', { 'node_modules/a': 'x' }), ['node_modules/a']);
  assert.deepEqual(await of('RUN echo $((1<<3)) && cat <<<word\nCOPY b /', { b: 'x' }), ['b']);
  assert.deepEqual(await of('COPY <<A <<B /\nCOPY no /\nA\nCOPY no /\nB\nADD git@h:a.git b /', { b: 'x' }), [
    'b',
  ]);
  const empty = await read(dockerfile('COPY d /'), (dir) => mkdirSync(path.join(dir, 'd')));
  assert.deepEqual(empty.paths, ['d']);
  const out = (dir: string) => symlinkSync('/etc', path.join(dir, 'l'));
  await refused('bad_request', /The link l points out/, dockerfile('COPY l/passwd /'), out);
  await refused('bad_request', /The link l points out/, dockerfile('COPY l/pass* /'), out);
  await refused('not_found', /There is no "b\/c/, dockerfile('COPY b/c /', { b: 'x' }));
});

test('.dockerignore: the last line that matches counts, also below a folder that is left out', async () => {
  const of = async (text: string, ignored: string) =>
    (
      await read(
        dockerfile(text, {
          '.dockerignore': ignored,
          'src/a.py': '',
          'src/b.txt': '',
          'src/q/c.py': '',
          'x.log': '',
        }),
      )
    ).paths;
  assert.deepEqual(await of('COPY src/a.py /', '*\n!src/a.py\n'), ['src/a.py']);
  assert.deepEqual(await of('COPY . /', '**\n!src/**/*.py\nsrc/q\n'), ['src/a.py']);
  assert.deepEqual(await of('COPY src /', '*.py\n**/*.txt\n/src/./q/\n'), ['src/a.py']);
  assert.deepEqual(await of('COPY src /', '# *\n\n.\n[\n!\nsrc/[bq]*\n'), ['src/a.py']);
});

test("an Azure file that is none of Azure's is refused by the member that is wrong", async () => {
  const azure = (value: unknown) => ({ 'azureml_environment.json': JSON.stringify(value) });
  await refused('bad_request', /: python: /, azure({ python: 'x' }));
  await refused('bad_request', /environmentVariables\.A/, azure({ environmentVariables: { A: 1 } }));
  await refused('bad_request', /docker\.baseImage/, azure({ docker: { baseImage: 5 } }));
  await refused(
    'bad_request',
    /cannot be an environment variable/,
    azure({ environmentVariables: { A: '\ud800' } }),
  );
  const yml = (text: string) => ({ 'environment.yml': `dependencies: [python]\n${text}` });
  await refused('bad_request', /the variable A has no text/, yml('variables: {A: {b: 1}}'));
  await refused('bad_request', /"variables" is a mapping/, yml('variables: [a]'));
  await refused('bad_request', /nested too deeply/, { 'environment.yml': '['.repeat(100_000) });
});

test('a name that nobody could ask for again registers nothing', async () => {
  const of = (name: string) =>
    environmentOfConfiguration(blobs, folder({}), {
      environment: { name, docker: { enabled: true, baseImage: 'a' } },
    } as RunConfiguration);
  assert.equal((await of('digits')).name, 'digits');
  for (const name of ['x:3', '../..', 'a\nb', '-x'])
    await assert.rejects(of(name), /cannot be the name of an environment/);
});

test('constraints count for conda, too', async () => {
  const constrained = { 'environment.yml': 'dependencies: [scipy, {pip: [a, "-c c.txt"]}]', 'c.txt': 'a<2' };
  for (const [files, into] of [
    [constrained, {}],
    [constrained, { image: 'conda' }],
    [requirements('a\n-c c.txt', { 'c.txt': 'a<2' }), { into: 'conda' }],
  ] as const) {
    const found = await read(files, undefined, into);
    assert.equal(found.files['constraints.txt'], 'a<2\n');
    assert.match(found.files['environment.yml']!, /- pip:\n\s+- -c constraints.txt\n\s+- a\n$/);
  }
});

test('Freeze keeps addresses and hashes', () => {
  const asked = 'a @ https://h/a.whl\nb==1 --hash=sha256:00\nc\n';
  const packages = ['a', 'b', 'c'].map((name) => ({ name, version: '1', source: 'pip' }));
  const { definition } = freeze(
    environmentDefinitionSchema.parse({ requirements: asked }),
    { packages },
    'x:1',
  );
  assert.equal(definition.requirements, 'a @ https://h/a.whl\nb==1 --hash=sha256:00\nc==1\n');
});
