import assert from 'node:assert/strict';
import { test } from 'node:test';
import { askedPackages } from '../../../src/extension/environments-view/packages.ts';
import {
  environmentPhrase,
  sectionsOf,
  useEnvironmentOf,
  type EnvironmentAnswer,
} from '../../../src/extension/submit/environment-answer.ts';
import { environmentDefinitionSchema } from '../../../src/api/environment.ts';
import { runConfigurationSchema } from '../../../src/api/run-configuration.ts';

test('answers become sections of a run configuration, or what is said beside it; both read back', () => {
  const cases: [EnvironmentAnswer, boolean, object, string | undefined, string][] = [
    [{ kind: 'host' }, false, {}, undefined, ''],
    [
      { kind: 'named', name: 'digits', version: 2 },
      false,
      { environment: { name: 'digits', version: '2' } },
      undefined,
      'digits:2',
    ],
    [
      { kind: 'image', image: 'python:3.12-slim' },
      true,
      { environment: { docker: { baseImage: 'python:3.12-slim' } }, docker: { useDocker: true } },
      undefined,
      'python:3.12-slim',
    ],
    [{ kind: 'file', file: 'requirements.txt' }, false, {}, '/a/requirements.txt', ''],
    [
      { kind: 'file', file: 'environment.yml' },
      false,
      { environment: { python: { condaDependenciesFile: 'environment.yml' } } },
      undefined,
      'environment.yml',
    ],
    [
      { kind: 'file', file: 'Dockerfile' },
      false,
      { environment: { docker: { baseDockerfile: 'Dockerfile' } }, docker: { useDocker: true } },
      undefined,
      'Dockerfile',
    ],
  ];
  for (const [answer, docker, sections, beside, phrase] of cases) {
    assert.deepEqual(sectionsOf(answer, docker), sections);
    assert.equal(useEnvironmentOf(answer, '/a'), beside);
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
