import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathOfAttempt, pathOnHost } from '../../../src/runs/attempt-names.ts';

test('the path of a file on its host', () => {
  assert.equal(pathOfAttempt(1, 'model.pkl'), 'attempts/1/model.pkl');
  assert.equal(pathOnHost({ attempts: 2 }, 1, 'attempts/1/model.pkl'), 'model.pkl');
  assert.equal(pathOnHost({ attempts: 2 }, 1, 'model.pkl'), 'model.pkl');
  // A script may name its own files so.
  assert.equal(pathOnHost({ attempts: 1 }, 1, 'attempts/1/model.pkl'), 'attempts/1/model.pkl');
  assert.equal(pathOnHost({ attempts: 2 }, 2, 'attempts/2/model.pkl'), 'attempts/2/model.pkl');
});
