import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { environmentDefinitionSchema, type EnvironmentFacts } from '../../../src/api/environment.ts';
import { runConfigurationSchema, type RunConfiguration } from '../../../src/api/run-configuration.ts';
import { writeAzureEnvironment } from '../../../src/environments/azure.ts';
import { readConda } from '../../../src/environments/conda.ts';
import {
  canonicalJson,
  checkDefinition,
  hashOf,
  kindOf,
  unpinnedOf,
} from '../../../src/environments/definition.ts';
import { baseImageOf, copiedPaths } from '../../../src/environments/dockerfile.ts';
import { freeze } from '../../../src/environments/freeze.ts';
import { environmentOfConfiguration } from '../../../src/environments/from-configuration.ts';
import { definitionFromFile } from '../../../src/environments/from-file.ts';
import { plainContainer, recipeOf, specEnvironmentOf } from '../../../src/environments/recipe.ts';
import { specEnvironmentSchema } from '../../../src/protocol/messages.ts';
import { manifestEntries } from '../../../src/snapshot/manifest.ts';
import { Blobs } from '../../../src/store/blobs.ts';

const base = mkdtempSync(path.join(os.tmpdir(), 'ry-environments-'));
const blobs = new Blobs(path.join(base, 'blobs'));
mkdirSync(blobs.dir);
test.after(() => rmSync(base, { recursive: true, force: true }));

let count = 0;
function folder(files: Record<string, string>): string {
  const dir = path.join(base, `folder-${++count}`);
  mkdirSync(dir);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(dir, name)), { recursive: true });
    writeFileSync(path.join(dir, name), text);
  }
  return dir;
}
const define = (members: object) => environmentDefinitionSchema.parse(members);
const configured = (dir: string, configuration: object) =>
  environmentOfConfiguration(blobs, dir, runConfigurationSchema.parse(configuration) as RunConfiguration);
const none = () => Promise.reject(new Error('nothing to read'));

test('the hash is of the content: order and names do not count, anything else does', () => {
  assert.equal(canonicalJson({ b: 1, a: [{ d: null, c: 'x' }] }), '{"a":[{"c":"x","d":null}],"b":1}');
  const one = define({ requirements: 'a==1\n', variables: { A: '1', B: '2' } });
  const other = define({ variables: { B: '2', A: '1' }, requirements: 'a==1\n' });
  assert.equal(hashOf(one), hashOf(other));
  assert.notEqual(hashOf(one), hashOf(define({ requirements: 'a==2\n', variables: { A: '1', B: '2' } })));
});

test('contradictions are refused', () => {
  const refused = (members: object, pattern: RegExp) =>
    assert.throws(() => checkDefinition(define(members)), pattern);
  refused({ image: 'a', dockerfile: 'FROM a' }, /either a base image or a Dockerfile/);
  refused({ dockerfile: 'RUN x' }, /no FROM/);
  refused({ image: '--privileged' }, /cannot be the name of an image/);
  refused({ image: 'Dockerfile' }, /cannot be the name of an image/);
  checkDefinition(environmentDefinitionSchema.parse({ image: 'Registry.example.org:5000/team/train:V1' }));
  for (const image of ['/shared/My Images/x.sif', '~/sandbox', 'images/x.sif', 'oras://ghcr.io/team/train:1'])
    checkDefinition(define({ image }));
  refused({ image: '/shared/x.sif', requirements: 'a' }, /cannot be installed into the image/);
  refused({ image: 'docker://Team' }, /cannot be the name of an image/);
  refused({ condaEnvironment: 'x', requirements: 'a' }, /used as it is/);
  refused({ into: 'image', requirements: 'a' }, /none is named/);
  refused({ into: 'venv', condaSpecification: { conda: ['numpy'] } }, /pip packages only/);
  refused({ variables: { 'A=B': '1' } }, /cannot be an environment variable/);
});

test('a conda file: channels, pip, variables; a cycle and nonsense are refused', async () => {
  const text =
    'name: x\nchannels: [conda-forge]\ndependencies:\n- python=3.11\n- numpy=1.24.1\n- pip\n- pip:\n  - six\nvariables: {A: 1}\nodd: 2\n';
  const found = await readConda(text, 'environment.yml', none);
  assert.deepEqual(found.specification, {
    channels: ['conda-forge'],
    conda: ['python=3.11', 'numpy=1.24.1'],
    pip: ['six'],
  });
  assert.deepEqual(found.variables, { A: '1' });
  assert.match(found.warnings[0]!, /"odd"/);
  for (const [bad, pattern] of [
    ['dependencies: &a\n- pip: *a\n', /refers to itself/],
    ['dependencies: 3', /is a list/],
    ['dependencies:\n- [x]\n', /is no dependency/],
    ['dependencies:\n- "a; rm"\n', /is no conda dependency/],
    ['a: [', /environment\.yml: /],
    ['- x', /is a mapping/],
  ] as const)
    await assert.rejects(readConda(bad, 'environment.yml', none), pattern);
});

test('a Dockerfile: its base image, and the files it names of its context', () => {
  const text =
    'ARG X\nFROM a:1 AS one\nCOPY --chown=1 src/*.py "with space" /x/\nRUN <<EOF\nCOPY not this\nEOF\nADD ["b", "c/", "/y"]\nADD https://x.org/z /z\nFROM one\nCOPY --from=one /x /x\n';
  assert.deepEqual(copiedPaths(text), ['b', 'c', 'src/*.py', 'with space']);
  assert.equal(baseImageOf(text), null);
  assert.equal(baseImageOf('FROM --platform=linux/amd64 python:3.12'), 'python:3.12');
  assert.equal(copiedPaths('FROM a\nCOPY . /app'), null);
  assert.equal(copiedPaths('FROM a\nCOPY $X /app'), null);
});

test('only what a Dockerfile names is part of it; .dockerignore counts', async () => {
  const files = {
    Dockerfile: 'FROM a\nCOPY src /src\nCOPY *.txt /x/\n',
    'src/a.py': '1',
    'src/b.pyc': '2',
    'one.txt': '3',
    'train.py': '4',
    '.dockerignore': '*/*.pyc\n',
  };
  const dir = folder(files);
  const { definition } = await definitionFromFile(blobs, path.join(dir, 'Dockerfile'));
  const entries = await manifestEntries(blobs, definition.context!);
  assert.deepEqual(
    entries.map((entry) => entry.path),
    ['one.txt', 'src/a.py'],
  );
  writeFileSync(path.join(dir, 'train.py'), 'changed');
  assert.equal(
    hashOf((await definitionFromFile(blobs, path.join(dir, 'Dockerfile'))).definition),
    hashOf(definition),
  );
  writeFileSync(path.join(dir, 'one.txt'), 'changed');
  assert.notEqual(
    hashOf((await definitionFromFile(blobs, path.join(dir, 'Dockerfile'))).definition),
    hashOf(definition),
  );
  symlinkSync('/etc', path.join(dir, 'src/out'));
  await assert.rejects(definitionFromFile(blobs, path.join(dir, 'Dockerfile')), /points out of/);
  await assert.rejects(
    definitionFromFile(blobs, path.join(folder({ Dockerfile: 'FROM a\nCOPY no /x' }), 'Dockerfile')),
    /There is no "no"/,
  );
});

test('wheels that requirements name go along', async () => {
  const dir = folder({
    'requirements.txt': '--find-links wheels\n./one-1.0-py3-none-any.whl\n',
    'wheels/two-1.0-py3-none-any.whl': '2',
    'one-1.0-py3-none-any.whl': '1',
  });
  const { definition } = await definitionFromFile(blobs, path.join(dir, 'requirements.txt'));
  const entries = await manifestEntries(blobs, definition.context!);
  assert.deepEqual(
    entries.map((entry) => entry.path),
    ['one-1.0-py3-none-any.whl', 'wheels/two-1.0-py3-none-any.whl'],
  );
});

test('pyproject.toml: its dependencies; those of Poetry and dynamic ones are refused', async () => {
  const read = (text: string) =>
    definitionFromFile(blobs, path.join(folder({ 'pyproject.toml': text }), 'pyproject.toml'));
  assert.equal(
    (await read('[project]\nname="x"\ndependencies=["a>=1","b==2"]\n')).definition.requirements,
    'a>=1\nb==2\n',
  );
  await assert.rejects(read('[tool.poetry]\nname="x"\n'), /Poetry/);
  await assert.rejects(read('[project]\nname="x"\ndynamic=["dependencies"]\n'), /dynamic/);
  await assert.rejects(read('[project\n'), /pyproject\.toml: /);
  await assert.rejects(
    definitionFromFile(blobs, path.join(folder({ 'x.csv': '' }), 'x.csv')),
    /nothing an environment can be made of/,
  );
});

test("Azure's files: written, read again, the same content", async () => {
  for (const members of [
    {
      condaSpecification: {
        channels: ['conda-forge'],
        conda: ['python=3.11', 'numpy=1.24'],
        pip: ['six==1.16.0'],
      },
      variables: { A: 'x' },
    },
    { image: 'python:3.12-slim' },
    { dockerfile: 'FROM python:3.12-slim\nRUN true\n' },
    { image: 'python:3.12-slim', condaSpecification: { conda: ['python=3.12'], pip: ['six'] } },
    { condaEnvironment: 'ml' },
    { interpreter: '/opt/python/bin/python3' },
  ]) {
    const definition = define(members);
    const dir = path.join(base, `export-${++count}`);
    await writeAzureEnvironment(dir, { name: 'x', version: 3, definition });
    assert.deepEqual((await definitionFromFile(blobs, dir)).definition, definition, JSON.stringify(members));
    await assert.rejects(
      writeAzureEnvironment(dir, { name: 'x', version: 3, definition }),
      /is there already/,
    );
  }
});

test('run configurations: userManagedDependencies, conda files, docker sections do what they say', async () => {
  const dir = folder({
    '.azureml/conda_dependencies.yml': 'dependencies:\n- python=3.8\n- pip:\n  - six\n',
    'd/Dockerfile': 'FROM x\nCOPY f /f\n',
    'd/f': '1',
    'd/requirements.txt': 'a==1\n',
  });
  const conda = '.azureml/conda_dependencies.yml';
  const kind = async (configuration: object) => {
    const { definition } = await configured(dir, configuration);
    return definition && kindOf(definition);
  };
  assert.equal(await kind({}), 'system');
  assert.equal(
    await kind({ environment: { python: { userManagedDependencies: true, condaDependenciesFile: conda } } }),
    'system',
  );
  assert.equal(
    await kind({ environment: { python: { userManagedDependencies: true, interpreterPath: '/x/python' } } }),
    'interpreter',
  );
  assert.equal(
    await kind({ environment: { python: { userManagedDependencies: false, condaDependenciesFile: conda } } }),
    'conda',
  );
  assert.equal(await kind({ environment: { python: { baseCondaEnvironment: 'ml' } } }), 'conda-environment');
  assert.equal(await kind({ environment: { name: 'digits' } }), null);
  // What Azure's own files say of an environment without anything in it.
  const azure = {
    name: 'project environment',
    python: { userManagedDependencies: false, interpreterPath: 'python' },
    docker: { enabled: false, baseImage: 'mcr.microsoft.com/azureml/base:0.2.4' },
  };
  assert.equal(await kind({ environment: azure }), 'system');
  const inImage = await configured(dir, {
    environment: { python: { condaDependenciesFile: conda }, docker: { enabled: true } },
  });
  assert.equal(inImage.definition!.image, 'python:3.8-slim');
  const later = await configured(dir, {
    docker: { useDocker: true, shmSize: '2 GB', arguments: ['--cap-drop', 'ALL'], baseImage: 'b' },
    environment: { docker: { enabled: false, baseImage: 'a', shmSize: '1g' } },
  });
  assert.equal(later.definition!.image, 'b');
  const alone = await configured(dir, { docker: { useDocker: true, baseImage: 'c' } });
  assert.equal(alone.definition!.image, 'c');
  assert.deepEqual(later.options, { ...plainContainer, shm_size: '2g', arguments: ['--cap-drop', 'ALL'] });
  assert.equal(
    await kind({ docker: { useDocker: false }, environment: { docker: { enabled: true, baseImage: 'a' } } }),
    'system',
  );
  const built = await configured(dir, {
    environment: { docker: { enabled: true, baseDockerfile: 'd/Dockerfile' } },
  });
  assert.deepEqual(
    (await manifestEntries(blobs, built.definition!.context!)).map((entry) => entry.path),
    ['f'],
  );
  assert.equal(
    await kind({ environment: { docker: { enabled: true, baseDockerfile: 'FROM x\nRUN y' } } }),
    'dockerfile',
  );
  const ours = await configured(dir, { environment: { python: { requirementsFile: 'd/requirements.txt' } } });
  assert.deepEqual([kindOf(ours.definition!), ours.definition!.requirements], ['venv', 'a==1\n']);
  await assert.rejects(
    configured(dir, {
      environment: { python: { requirementsFile: 'd/requirements.txt', condaDependenciesFile: conda } },
    }),
    /either conda dependencies or a requirements file/,
  );
  const secret = await configured(dir, {
    environment: {
      docker: {
        enabled: true,
        baseImage: 'a',
        baseImageRegistry: { address: 'r', username: 'u', password: 'p' },
      },
    },
  });
  assert.match(secret.warnings.join(), /docker login/);
  await assert.rejects(configured(dir, { docker: { useDocker: true, memory: 'lots' } }), /is no size/);
  await assert.rejects(
    configured(dir, {
      environment: { python: { userManagedDependencies: false, condaDependenciesFile: 'no.yml' } },
    }),
    /There is no "no\.yml"/,
  );
});

test('what the agent is told: recipes, containers, and nothing for what is there', () => {
  const identity = { hash: 'ab'.repeat(32), name: null, version: null, label: 'x' };
  const spec = (members: object) => specEnvironmentOf(define(members), identity, plainContainer, true);
  assert.equal(spec({}), null);
  assert.equal(spec({ interpreter: '/x' }), null);
  assert.equal(spec({ condaEnvironment: 'ml' })!.conda_environment, 'ml');
  const image = spec({ image: 'a' })!;
  assert.deepEqual([image.recipe, image.container!.image], [null, 'a']);
  const more = spec({ image: 'a', requirements: 'six\n#:constraint b<2\n' })!;
  assert.equal(more.container!.image, null);
  assert.equal(more.recipe!.files['constraints.txt'], 'b<2\n');
  assert.match(more.recipe!.files['Dockerfile']!, /^FROM a\nCOPY \. /);
  const conda = recipeOf(define({ condaSpecification: { conda: ['python=3.11'], pip: ['six'] } }))!;
  assert.equal(conda.kind === 'conda' && conda.otherwise?.files['requirements.txt'], 'six\n');
  const full = recipeOf(
    define({ condaSpecification: { conda: ['python=3.11', 'cudatoolkit'], pip: ['six'] } }),
  )!;
  assert.equal(full.kind === 'conda' && full.otherwise, null);
  for (const members of [
    { image: 'a' },
    { requirements: 'x' },
    { dockerfile: 'FROM a' },
    { condaSpecification: {} },
  ])
    specEnvironmentSchema.parse(spec(members));
});

test('Freeze pins what was found, and says what it cannot pin', () => {
  const packages = [
    { name: 'Six', version: '1.16.0', source: 'pip' },
    { name: 'numpy', version: '1.26.4', source: 'pip' },
    { name: 'pip', version: '23.0', source: 'pip' },
  ];
  const facts = { packages, python: '3.11.2' } as EnvironmentFacts;
  const venv = freeze(define({ requirements: '--find-links ./w\nsix\n' }), facts, 'x');
  assert.equal(venv.definition.requirements, '--find-links ./w\nSix==1.16.0\nnumpy==1.26.4\n');
  assert.deepEqual(unpinnedOf(venv.definition), []);
  const image = freeze(
    define({ image: 'a:1' }),
    { ...facts, image_digest: `a@sha256:${'0'.repeat(64)}` },
    'x',
  );
  assert.equal(image.definition.image, `a@sha256:${'0'.repeat(64)}`);
  assert.match(freeze(define({ image: 'a:1' }), facts, 'x').warnings.join(), /not pinned/);
  assert.throws(
    () => freeze(define({ image: 'a' }), null, 'digits:1'),
    /What is installed in digits:1 is not known/,
  );
});
