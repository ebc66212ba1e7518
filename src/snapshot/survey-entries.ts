import type { ManifestEntry } from '../protocol/messages.ts';
import { encodeEntry } from './manifest.ts';
import { textOf } from './path-text.ts';
import { linkTarget, type Survey } from './survey.ts';
import { Field, hashBytes, State } from './table.ts';

/** Permission bits that a manifest keeps. */
const modeBits = 0o777;

/** Names that stand in JSON as they are: most. */
const plain = /^[ !#-[\]-~]*$/;

/** The entries of a hashed survey, sorted by the bytes of their paths. Throws for a link that points outside. */
export function* entriesOf({ root, table, emptyFolders }: Survey): Generator<ManifestEntry> {
  let next = 0;
  for (let i = 0; i < table.count; i++) {
    const state = table.states[i];
    if (state !== State.file && state !== State.link) continue;
    const name = table.name(i);
    while (next < emptyFolders.length && emptyFolders[next]! < name) yield folderEntry(emptyFolders[next++]!);
    const path = textOf(name);
    if (state === State.file) {
      const mode = table.stat(i, Field.mode) & modeBits;
      yield { path, mode, size: table.stat(i, Field.size), hash: table.hash(i) };
      continue;
    }
    const target = linkTarget(root, name);
    if (target !== undefined) yield { path, link: textOf(target) };
  }
  while (next < emptyFolders.length) yield folderEntry(emptyFolders[next++]!);
}

/**
 * The same as they stand in a manifest, to `take`; `size` is null for a folder, 0 for a link. Without a generator
 * and an object each: there are hundreds of thousands.
 */
export function encodeEntries(
  { root, table, emptyFolders }: Survey,
  take: (text: string, size: number | null) => void,
): void {
  const hashes = Buffer.from(table.hashes.buffer).toString('hex');
  const width = 2 * hashBytes;
  let next = 0;
  for (let i = 0; i < table.count; i++) {
    const state = table.states[i];
    if (state !== State.file && state !== State.link) continue;
    const name = table.name(i);
    while (next < emptyFolders.length && emptyFolders[next]! < name) {
      take(encodeEntry(folderEntry(emptyFolders[next++]!)), null);
    }
    if (state === State.file) {
      const path = plain.test(name) ? `"${name}"` : JSON.stringify(textOf(name));
      const mode = table.stat(i, Field.mode) & modeBits;
      const size = table.stat(i, Field.size);
      const hash = hashes.slice(i * width, (i + 1) * width);
      take(`{"path":${path},"mode":${mode},"size":${size},"hash":"${hash}"}`, size);
      continue;
    }
    const target = linkTarget(root, name);
    if (target !== undefined) take(encodeEntry({ path: textOf(name), link: textOf(target) }), 0);
  }
  while (next < emptyFolders.length) take(encodeEntry(folderEntry(emptyFolders[next++]!)), null);
}

function folderEntry(name: string): ManifestEntry {
  return { path: textOf(name), dir: true };
}
