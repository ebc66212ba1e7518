import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { test } from '../rig/host-suite.ts';
import type { SnapshotChange } from '../../src/api/entities.ts';
import { type ChangeNode, treeOf } from '../../src/extension/comparison/nodes.ts';
import { documentsOf } from '../../src/extension/comparison/sides.ts';
import { parseSnapshotUri, snapshotUri, textOf, textUri } from '../../src/extension/snapshots/address.ts';
import { AcceptedConcerns } from '../../src/extension/submit/before/accepted.ts';

const ref = { workspace: 'default', snapshotId: 'ab12' };
const again = (uri: vscode.Uri) => vscode.Uri.parse(uri.toString());
const entry = { kind: 'file' as const, size: 1, mode: 0o644, hash: 'a', target: null };

test('paths of a snapshot have addresses, whatever their names', () => {
  for (const path of ['train.py', 'a b/ü #1?.json', "it's/100%.txt", 'bytes \uf7ff\uf780', '']) {
    assert.deepEqual(parseSnapshotUri(again(snapshotUri(ref, path))), { ...ref, path });
  }
  assert.equal(parseSnapshotUri(vscode.Uri.parse('runyard-snapshot:/default')), undefined);
  assert.equal(textOf(again(textUri('a/link', '../x y/#&=%41'))), '../x y/#&=%41');
  assert.equal(textOf(again(textUri('a/gone', ''))), '');
  assert.equal(textOf(snapshotUri(ref, 'a')), undefined);
});

test('changes as a tree: folders first, single folders in one row, names in order', () => {
  const change = (path: string): SnapshotChange => ({ path, change: 'added', left: null, right: null });
  const draw = (nodes: ChangeNode[]): unknown[] =>
    nodes.map((node) => (node.kind === 'folder' ? [node.label, ...draw(node.children)] : node.label));
  const paths = ['z.py', 'src/a/b/x10.py', 'src/a/b/x9.py', 'data/raw/v.csv', 'data/w.csv', 'a.py'];
  assert.deepEqual(draw(treeOf(paths.map(change))), [
    ['data', ['raw', 'v.csv'], 'w.csv'],
    ['src/a/b', 'x9.py', 'x10.py'],
    'a.py',
    'z.py',
  ]);
  assert.deepEqual(treeOf([]), []);
});

test('the sides of a change: a file of the snapshot, one of the folder, nothing, the target of a link', () => {
  const left = {
    ...ref,
    contentId: 'c',
    runId: 'r',
    title: 'r 1',
    createdAt: 0,
    sourceDirectory: '/p',
    git: null,
  };
  const sides = { left, right: { folder: '/p' } };
  const sidesOf = (one: Omit<SnapshotChange, 'path'>) => documentsOf(sides, { path: 'a/b', ...one });
  const file = { ...entry, path: 'a/b' };
  const [before, now] = sidesOf({ change: 'modified', left: file, right: file });
  assert.equal(before.toString(), snapshotUri(left, 'a/b').toString());
  assert.equal(now.toString(), vscode.Uri.file('/p/a/b').toString());
  assert.equal(textOf(sidesOf({ change: 'added', left: null, right: file })[0]), '');
  assert.equal(textOf(sidesOf({ change: 'deleted', left: file, right: null })[1]), '');
  const link = { ...file, kind: 'link' as const, target: 'c' };
  assert.equal(textOf(sidesOf({ change: 'kind', left: link, right: file })[0]), 'c');
});

test('accepted concerns: the same ones, in any order, in the same folder', async () => {
  const kept = new Map<string, unknown>();
  const memento = {
    keys: () => [...kept.keys()],
    get: (key: string) => kept.get(key),
    update: async (key: string, value: unknown) => void kept.set(key, value),
  } as unknown as vscode.Memento;
  const accepted = new AcceptedConcerns(memento);
  const a = { kind: 'secret' as const, path: '.env', message: 'a' };
  const b = { kind: 'argument' as const, path: 'x', message: 'b' };
  await accepted.add('/p', [a, b]);
  assert.equal(accepted.has('/p', [b, a]), true);
  assert.equal(accepted.has('/p', [a]), false);
  assert.equal(accepted.has('/q', [a, b]), false);
});
