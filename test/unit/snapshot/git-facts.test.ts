import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutCredentials } from '../../../src/snapshot/git-facts.ts';

test("no part of a password stays in a remote's address", () => {
  for (const [uri, without] of [
    ['https://user:p@ss@host/a/b.git', 'https://host/a/b.git'],
    ['https://token@host:8443/a@b.git', 'https://host:8443/a@b.git'],
    ['ssh://git@host/a.git', 'ssh://host/a.git'],
    ['https://host/a@b.git', 'https://host/a@b.git'],
    ['git@host:a/b.git', 'git@host:a/b.git'],
  ] as const)
    assert.equal(withoutCredentials(uri), without);
});
