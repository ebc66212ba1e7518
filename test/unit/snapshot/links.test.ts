import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LinkTree } from '../../../src/snapshot/links.ts';

function outside(links: Record<string, string>, link: string): boolean {
  const tree = new LinkTree();
  for (const [path, target] of Object.entries(links)) tree.add(path, target);
  return tree.leadsOutside(link);
}

test('links by way of other links', () => {
  assert.equal(outside({ a: 'b/c' }, 'a'), false);
  assert.equal(outside({ 'a/b': '../c' }, 'a/b'), false);
  assert.equal(outside({ 'a/b': '../..' }, 'a/b'), true);
  assert.equal(outside({ a: '/etc' }, 'a'), true);
  // The words of m stay inside; l leads to the top, and from there one up is outside.
  assert.equal(outside({ 'x/y/l': '../..', m: 'x/y/l/..' }, 'm'), true);
  assert.equal(outside({ 'x/y/l': '../..', m: 'x/y/l/x' }, 'm'), false);
  assert.equal(outside({ a: 'b', b: 'a' }, 'a'), false);
  assert.equal(outside({ 'a/l': '.', b: 'a/l/l/l/..' }, 'b'), false);
});
