import type { ManifestEntry } from '../protocol/messages.ts';
import { encodeEntry } from './manifest.ts';
import { textOf } from './path-text.ts';
import { linkTarget, type Survey } from './survey.ts';
import { Field, State } from './table.ts';

/** Permission bits that a manifest keeps. */
const modeBits = 0o777;

/** The entries of a hashed survey, sorted by the bytes of their paths. Throws for a link that points outside. */
export function* entriesOf({ root, table, emptyFolders }: Survey): Generator<ManifestEntry> {
  let next = 0;
  for (let i = 0; i < table.count; i++) {
    const name = table.name(i);
    while (next < emptyFolders.length && emptyFolders[next]! < name) yield folderEntry(emptyFolders[next++]!);
    const path = textOf(name);
    if (table.states[i] === State.file) {
      const mode = table.stat(i, Field.mode) & modeBits;
      yield { path, mode, size: table.stat(i, Field.size), hash: table.hash(i) };
    } else if (table.states[i] === State.link) {
      const target = linkTarget(root, name);
      if (target !== undefined) yield { path, link: textOf(target) };
    }
  }
  while (next < emptyFolders.length) yield folderEntry(emptyFolders[next++]!);
}

/** The same as they stand in a manifest; `size` is null for a folder, 0 for a link. */
export function* sortedEntries(survey: Survey): Generator<{ text: string; size: number | null }> {
  for (const entry of entriesOf(survey)) {
    const size = 'dir' in entry ? null : 'size' in entry ? entry.size : 0;
    yield { text: encodeEntry(entry), size };
  }
}

function folderEntry(name: string): ManifestEntry {
  return { path: textOf(name), dir: true };
}
