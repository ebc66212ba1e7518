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
    ['gcrypt::https://user:secret@host/a.git', 'gcrypt::https://host/a.git'],
    ['a::b::https://host/a?token=secret', 'a::b::https://host/a'],
    ['ext::ssh -i secret user@host %S a', 'ext::'],
    ['https:///user:secret@host/a', 'https:///host/a'],
    ['//user:secret@host/a', '//host/a'],
    ['https://user:se/cret@host/a@b', 'https://host/a@b'],
    ['https://host:8443/a@b.git', 'https://host:8443/a@b.git'],
    ['https://[::1]:8443/a@b.git', 'https://[::1]:8443/a@b.git'],
    ['https://v:secret@host/u:secret@host/a', 'https://host/host/a'],
    ['user:secret@host:a/b.git', 'host:a/b.git'],
    ['host:a/b@c:d.git', 'host:a/b@c:d.git'],
    ['/srv/a@b.git', '/srv/a@b.git'],
    ['file:///srv/a@b.git', 'file:///srv/a@b.git'],
  ] as const)
    assert.equal(withoutCredentials(uri), without);
});
