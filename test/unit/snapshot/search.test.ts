import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { search, type SearchArgs } from '../../../src/snapshot/jobs/search.ts';
import { BlobStore, contextOf } from './blob-store.ts';

const store = new BlobStore();
after(() => store.close());

const id = store.manifest([
  store.file('a.py', 'import os\r\nprint("Loss")\nloss = 1; LOSS = 2\n'),
  store.file('bin', Buffer.from('loss\0loss')),
  store.file('late', Buffer.concat([Buffer.alloc(9000, 'x'), Buffer.from('\0loss')])),
  store.file('long', `${'é'.repeat(5000)}needle${'z'.repeat(5000)}`),
  store.file('stars', 'a.*b (c) [d]\na-b\n\u00dcber'),
  store.file('empty', ''),
  { path: 'link', link: 'a.py' },
]);

async function found(query: string, more: Partial<SearchArgs> = {}) {
  const args = { blobs: store.dir, id, query, regex: false, caseSensitive: false, limit: 100, ...more };
  return search(store)(args, contextOf());
}
const places = async (query: string, more: Partial<SearchArgs> = {}) =>
  (await found(query, more)).matches.map((one) => `${one.path}:${one.line}:${one.column}:${one.length}`);

test('text, with and without case', async () => {
  assert.deepEqual(await places('loss'), ['a.py:2:8:4', 'a.py:3:1:4', 'a.py:3:11:4', 'late:1:9002:4']);
  assert.deepEqual(await places('loss', { caseSensitive: true }), ['a.py:3:1:4', 'late:1:9002:4']);
  assert.deepEqual(await places('a.*b (c) [d]'), ['stars:1:1:12']);
  assert.deepEqual(await places('a-b'), ['stars:2:1:3']);
  assert.deepEqual(await places('\u00fcber'), ['stars:3:1:4']);
  assert.deepEqual(await places('nothing of that'), []);
});

test('regular expressions', async () => {
  assert.deepEqual(await places('^loss\\b', { regex: true }), ['a.py:3:1:4']);
  assert.deepEqual(await places('os$', { regex: true }), ['a.py:1:8:2']);
  assert.deepEqual(await places('a\\-b', { regex: true }), ['stars:2:1:3']);
  assert.deepEqual(await places('x*', { regex: true, limit: 1 }), ['late:1:1:9000']);
  await assert.rejects(found('(', { regex: true }), {
    code: 'bad_request',
    message: /not a regular expression/,
  });
});

test('long lines are shown around the match', async () => {
  const { matches } = await found('needle');
  assert.equal(matches[0]!.column, 5001);
  assert.match(matches[0]!.text, /^é+needlez+$/);
  assert.ok(matches[0]!.text.length <= 220);
});

test('a limit is kept, and said', async () => {
  assert.equal((await found('loss', { limit: 2 })).matches.length, 2);
  assert.equal((await found('loss', { limit: 2 })).more, true);
  assert.equal((await found('loss', { limit: 4 })).more, false);
});

test('an expression that would never end ends', async () => {
  const slow = store.manifest([store.file('as', `${'a'.repeat(60)}b\n`)]);
  const begin = performance.now();
  await assert.rejects(found('(a+)+$', { regex: true, id: slow }), {
    code: 'bad_request',
    message: /too long \(in as\)/,
  });
  assert.ok(performance.now() - begin < 30_000);
});

test('it can be canceled', async () => {
  const args = { blobs: store.dir, id, query: 'x', regex: false, caseSensitive: false, limit: 9 };
  await assert.rejects(async () => search(store)(args, contextOf(3)), { code: 'canceled' });
});
