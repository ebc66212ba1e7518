import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { openApiDocument } from '../../../src/api/openapi.ts';
import {
  isTerminal,
  mayFollow,
  runStatuses,
  terminalStatuses,
  transitions,
} from '../../../src/api/run-status.ts';

const repository = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../..');

test('docs/openapi.json is the contract (npm run docs writes it)', () => {
  const { version } = JSON.parse(readFileSync(path.join(repository, 'package.json'), 'utf8')) as {
    version: string;
  };
  const written: unknown = JSON.parse(readFileSync(path.join(repository, 'docs/openapi.json'), 'utf8'));
  assert.deepEqual(JSON.parse(JSON.stringify(openApiDocument(version))), written);
});

test('every status can be reached, every live one can end, and an end is the end', () => {
  const reached = new Set(['NotStarted', ...Object.values(transitions).flat()]);
  assert.deepEqual([...reached].sort(), [...runStatuses].sort());
  for (const status of runStatuses) {
    assert.equal(isTerminal(status), (terminalStatuses as readonly string[]).includes(status));
    if (isTerminal(status)) continue;
    assert.ok(mayFollow(status, 'Failed'), `${status} can fail`);
  }
});
