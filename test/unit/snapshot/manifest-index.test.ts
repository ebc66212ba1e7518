import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { ManifestEntry } from '../../../src/protocol/messages.ts';
import { ManifestIndex, ManifestIndexes } from '../../../src/snapshot/manifest-index.ts';
import { encodeManifest } from '../../../src/snapshot/manifest.ts';

/** Manifests in memory, and how often each was read. */
class Memory {
  readonly contents = new Map<string, Buffer>();
  readonly reads: string[] = [];

  put(entries: ManifestEntry[]): string {
    const bytes = encodeManifest(entries);
    const id = createHash('sha256').update(bytes).digest('hex');
    this.contents.set(id, bytes);
    return id;
  }

  pathOf(hash: string): string {
    return hash;
  }

  async read(hash: string): Promise<Buffer> {
    this.reads.push(hash);
    return this.contents.get(hash)!;
  }
}

const file = (path: string): ManifestEntry => ({ path, mode: 0o644, size: 3, hash: 'a'.repeat(64) });

test('folders without an entry of their own are there', async () => {
  const memory = new Memory();
  const id = memory.put([
    file('b/c/d.txt'),
    file('b!'),
    file('a'),
    { path: 'b/link', link: 'c/d.txt' },
    { path: 'empty/deep', dir: true },
  ]);
  const index = await ManifestIndex.read(memory, id);
  const list = (path: string) => index.children(path).map((one) => `${one.kind} ${one.path}`);
  assert.deepEqual(list(''), ['file a', 'folder b', 'file b!', 'folder empty']);
  assert.deepEqual(list('b'), ['folder b/c', 'link b/link']);
  assert.deepEqual(list('empty'), ['folder empty/deep']);
  assert.deepEqual(list('empty/deep'), []);
  assert.deepEqual(list('a'), []);
  assert.equal(index.entry('b/c')?.kind, 'folder');
  assert.equal(index.entry('b/link')?.target, 'c/d.txt');
  assert.equal(index.entry('b/c/d.txt')?.size, 3);
  for (const nothing of ['', 'c', 'b/', 'b/x', '__proto__'])
    assert.equal(index.entry(nothing), undefined, nothing);
  assert.equal(index.size, 8);
});

test('one parse for any number of readers, and no more entries than allowed', async () => {
  const memory = new Memory();
  const [a, b, c] = ['a', 'b', 'c'].map((name) =>
    memory.put(Array.from({ length: 40 }, (_, i) => file(`${name}${i}`))),
  ) as [string, string, string];
  const indexes = new ManifestIndexes(memory, 100);
  const [one, two] = await Promise.all([indexes.get(a), indexes.get(a)]);
  assert.equal(one, two);
  await indexes.get(b);
  await indexes.get(a);
  assert.deepEqual(memory.reads, [a, b]);
  await indexes.get(c);
  await indexes.get(a);
  await indexes.get(b);
  assert.deepEqual(memory.reads, [a, b, c, b]);
});

test('a large manifest does not hold up the event loop', async () => {
  const memory = new Memory();
  const id = memory.put(Array.from({ length: 100_000 }, (_, i) => file(`folder${i % 100}/file-${i}.txt`)));
  // Turns of the loop that others had meanwhile: how long each took is the machine's affair.
  let turns = 0;
  let reading = true;
  const turn = () => {
    turns++;
    if (reading) setImmediate(turn);
  };
  setImmediate(turn);
  const index = await ManifestIndex.read(memory, id);
  reading = false;
  assert.equal(index.size, 100_100);
  assert.ok(turns >= 50, `${turns} turns`);
});
