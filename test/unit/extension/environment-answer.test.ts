import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askedPackages } from '../../../src/extension/environments-view/packages.ts';
import {
  environmentPhrase,
  sectionsOf,
  type EnvironmentAnswer,
} from '../../../src/extension/submit/environment-answer.ts';
import { environmentDefinitionSchema } from '../../../src/api/environment.ts';
import { runConfigurationSchema } from '../../../src/api/run-configuration.ts';

test('answers become sections of a run configuration, and read back', () => {
  const cases: [EnvironmentAnswer, boolean, object, string][] = [
    [{ kind: 'host' }, false, {}, ''],
    [
      { kind: 'named', name: 'digits', version: 2 },
      false,
      { environment: { name: 'digits', version: '2' } },
      'digits:2',
    ],
    [
      { kind: 'image', image: 'python:3.12-slim' },
      true,
      { environment: { docker: { baseImage: 'python:3.12-slim' } }, docker: { useDocker: true } },
      'python:3.12-slim',
    ],
    [
      { kind: 'file', file: 'requirements.txt' },
      false,
      { environment: { python: { requirementsFile: 'requirements.txt' } } },
      'requirements.txt',
    ],
    [
      { kind: 'file', file: 'environment.yml' },
      false,
      { environment: { python: { condaDependenciesFile: 'environment.yml' } } },
      'environment.yml',
    ],
    [
      { kind: 'file', file: 'Dockerfile' },
      false,
      { environment: { docker: { baseDockerfile: 'Dockerfile' } }, docker: { useDocker: true } },
      'Dockerfile',
    ],
  ];
  for (const [answer, docker, sections, phrase] of cases) {
    assert.deepEqual(sectionsOf(answer, docker), sections);
    assert.equal(environmentPhrase(runConfigurationSchema.parse(sections)), phrase);
  }
});

test('packages that are asked for: name, version, whether it is pinned; options are none', () => {
  const requirements =
    '--find-links ./wheels\n# a comment\nNumPy==1.26.4\nscikit_learn[extra]>=1.4,<2 ; python_version > "3"\ntorch # newest\n';
  const environment = {
    definition: environmentDefinitionSchema.parse({
      requirements,
      condaSpecification: { conda: ['python=3.11', 'conda-forge::scipy'] },
    }),
    unpinned: ['scikit-learn', 'torch', 'conda-forge::scipy'],
  };
  assert.deepEqual(
    askedPackages(environment).map(({ name, version, source, pinned }) => [name, version, source, pinned]),
    [
      ['python', '=3.11', 'conda', true],
      ['conda-forge::scipy', '', 'conda', false],
      ['NumPy', '==1.26.4', 'pip', true],
      ['scikit_learn[extra]', '>=1.4,<2', 'pip', false],
      ['torch', '', 'pip', false],
    ],
  );
});
