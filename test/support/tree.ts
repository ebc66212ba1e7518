import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
  chmodSync,
} from 'node:fs';
import * as fc from 'fast-check';
import type { ManifestEntry } from '../../src/protocol/messages.ts';
import { binaryOf, bytesOf, fsPath, textOf } from '../../src/snapshot/path-text.ts';

/** Something in a generated tree; its path as a manifest writes it. */
export type Leaf = { path: string } & (
  { content: Uint8Array; mode: number } | { link: string } | { dir: true }
);

/** Trees with names of any bytes, any mode that can be read, links and empty folders. */
export function trees(): fc.Arbitrary<Leaf[]> {
  const name = fc
    .uint8Array({ minLength: 1, maxLength: 6 })
    .map((bytes) => Buffer.from(bytes).toString('latin1').replaceAll(/[/\0]/g, '_'))
    .filter((one) => one !== '.' && one !== '..' && one !== '.git')
    .map(textOf);
  const mode = fc.integer({ min: 0o400, max: 0o777 });
  const kind = fc.oneof(
    fc.record({ content: fc.uint8Array({ maxLength: 30 }), mode }),
    fc.constant({ link: 'somewhere/else\uF7FF' }),
    fc.constant({ dir: true as const }),
  );
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  return fc.array(fc.tuple(path, kind), { minLength: 1, maxLength: 12 }).map((all) => {
    const leaves: Leaf[] = [];
    for (const [at, one] of all) {
      const clash = leaves.some(
        (other) => other.path === at || other.path.startsWith(`${at}/`) || at.startsWith(`${other.path}/`),
      );
      if (!clash) leaves.push({ path: at, ...one });
    }
    return leaves;
  });
}

/** Makes a tree on disk. */
export function makeTree(folder: string, leaves: readonly Leaf[]): void {
  mkdirSync(folder, { recursive: true });
  for (const leaf of leaves) {
    const at = (text: string) => Buffer.concat([Buffer.from(`${folder}/`), bytesOf(text)]);
    const slash = leaf.path.lastIndexOf('/');
    if (slash > 0) mkdirSync(at(leaf.path.slice(0, slash)), { recursive: true });
    if ('dir' in leaf) mkdirSync(at(leaf.path), { recursive: true });
    else if ('link' in leaf) symlinkSync(bytesOf(leaf.link), at(leaf.path));
    else {
      writeFileSync(at(leaf.path), leaf.content);
      chmodSync(at(leaf.path), leaf.mode);
    }
  }
}

/** What is in a folder, as a manifest would have it; content by hash. */
export function treeOf(folder: string, prefix = ''): ManifestEntry[] {
  const all: ManifestEntry[] = [];
  const base = Buffer.from(folder).toString('latin1');
  const names = readdirSync(fsPath(prefix ? `${base}/${prefix}` : base), { encoding: 'latin1' });
  if (names.length === 0 && prefix) return [{ path: textOf(prefix), dir: true }];
  for (const name of names) {
    const relative = prefix ? `${prefix}/${name}` : name;
    const at = fsPath(`${base}/${relative}`);
    const stat = lstatSync(at);
    const path = textOf(relative);
    if (stat.isDirectory()) all.push(...treeOf(folder, relative));
    else if (stat.isSymbolicLink()) {
      all.push({ path, link: textOf(readlinkSync(at, { encoding: 'latin1' })) });
    } else {
      const hash = createHash('sha256').update(readFileSync(at)).digest('hex');
      all.push({ path, mode: (stat.mode & 0o777) as 0o644, size: stat.size, hash });
    }
  }
  return all.sort((a, b) => (binaryOf(a.path) < binaryOf(b.path) ? -1 : 1));
}
