import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { ManifestEntry } from '../../../src/protocol/messages.ts';
import { compareEntries } from '../../../src/snapshot/jobs/compare.ts';
import { binaryOf } from '../../../src/snapshot/path-text.ts';

const hash = (letter: string) => letter.repeat(64);
const file = (path: string, content = 'a', mode = 0o644): ManifestEntry => ({
  path,
  mode: mode as 0o644,
  size: 1,
  hash: hash(content),
});

function compare(left: ManifestEntry[], right: ManifestEntry[], limit = 100) {
  const { changes, ...rest } = compareEntries(left, right, { limit });
  return { ...rest, changes: changes.map((one) => `${one.change} ${one.path}`) };
}

test('added, deleted, modified, mode and kind', () => {
  const left = [file('a'), file('b'), file('c'), { path: 'd', link: 'a' }, file('e'), file('z')];
  const right = [
    file('a'),
    file('b', 'b'),
    file('c', 'a', 0o755),
    { path: 'd', link: 'b' },
    file('f'),
    file('z'),
  ];
  assert.deepEqual(compare(left, right), {
    changes: ['modified b', 'mode c', 'modified d', 'deleted e', 'added f'],
    same: 2,
    more: false,
  });
  assert.deepEqual(compare([file('x')], [{ path: 'x', link: 'y' }]).changes, ['kind x']);
});

test('a folder that is empty on one side only is no change of its own', () => {
  const empty: ManifestEntry = { path: 'd', dir: true };
  assert.deepEqual(compare([empty], [file('d!'), file('d/x')]).changes, ['added d!', 'added d/x']);
  assert.deepEqual(compare([empty], []).changes, ['deleted d']);
  const { changes } = compareEntries([file('d')], [file('d/x')], { limit: 10 });
  assert.deepEqual(
    changes.map((one) => [one.path, one.change, one.left?.kind, one.right?.kind]),
    [
      ['d', 'kind', 'file', 'folder'],
      ['d/x', 'added', undefined, 'file'],
    ],
  );
});

test('more changes than the limit are said to be there', () => {
  const many = Array.from({ length: 30 }, (_, i) => file(`f${100 + i}`));
  const { changes, more } = compare(many, [], 10);
  assert.equal(changes.length, 10);
  assert.equal(more, true);
  assert.equal(compare(many, [], 30).more, false);
});

test('against a comparison by maps', () => {
  const path = fc.stringMatching(/^[ab\uF7C3é!]{1,3}$/);
  const entry = fc.record({ path, content: fc.constantFrom('a', 'b'), mode: fc.constantFrom(0o600, 0o755) });
  const list = fc.uniqueArray(entry, { selector: (one) => binaryOf(one.path), maxLength: 12 });
  const sort = (entries: { path: string; content: string; mode: number }[]) =>
    entries
      .map((one) => file(one.path, one.content, one.mode))
      .sort((a, b) => (binaryOf(a.path) < binaryOf(b.path) ? -1 : 1));
  fc.assert(
    fc.property(list, list, (a, b) => {
      const [left, right] = [sort(a), sort(b)];
      const byPath = new Map(right.map((one) => [binaryOf(one.path), one]));
      const found = compareEntries(left, right, { limit: 1000 });
      const same = left.filter((one) => {
        const other = byPath.get(binaryOf(one.path));
        return (
          other && 'hash' in other && 'hash' in one && other.hash === one.hash && other.mode === one.mode
        );
      }).length;
      const paths = new Set([...left, ...right].map((one) => binaryOf(one.path)));
      assert.equal(found.same, same);
      assert.equal(found.changes.length, paths.size - same);
      const order = found.changes.map((one) => binaryOf(one.path));
      assert.deepEqual(order, [...order].sort());
    }),
  );
});
