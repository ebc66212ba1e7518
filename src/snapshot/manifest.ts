import { createHash } from 'node:crypto';
import { RunyardError } from '../api/errors.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import { bytesOf } from './path-text.ts';

/** Where manifests and contents are read from (the store's `Blobs`). */
export interface BlobReader {
  /** Where the content of a hash is. Throws `bad_request` for what is no hash. */
  pathOf(hash: string): string;
  read(hash: string): Promise<Buffer>;
}

/** Entries handled before others have their turn: about two milliseconds. */
const entriesAtOnce = 2000;

const beginning = '{"version":1,"entries":[';

/** Canonical bytes: the same folder gives the same bytes, and their hash is the snapshot's id. */
export function encodeManifest(entries: readonly ManifestEntry[]): Buffer {
  const sorted = entries
    .map((entry) => ({ entry, key: bytesOf(entry.path) }))
    .sort((a, b) => Buffer.compare(a.key, b.key));
  return Buffer.from(`${beginning}${sorted.map(({ entry }) => encodeEntry(entry)).join(',')}]}`);
}

/** One entry as it stands in a manifest. */
export function encodeEntry(entry: ManifestEntry): string {
  const path = JSON.stringify(entry.path);
  if ('link' in entry) return `{"path":${path},"link":${JSON.stringify(entry.link)}}`;
  if ('dir' in entry) return `{"path":${path},"dir":true}`;
  return `{"path":${path},"mode":${entry.mode},"size":${entry.size},"hash":"${entry.hash}"}`;
}

/** Canonical bytes in parts, of entries that come sorted by the bytes of their paths. */
export class ManifestEncoder {
  private text = beginning;
  private first = true;

  /** The next bytes to write, or undefined while there are too few. */
  add(entry: string): Buffer | undefined {
    this.text += this.first ? entry : `,${entry}`;
    this.first = false;
    if (this.text.length < 1 << 18) return undefined;
    const part = Buffer.from(this.text);
    this.text = '';
    return part;
  }

  end(): Buffer {
    return Buffer.from(`${this.text}]}`);
  }
}

/**
 * The entries of a snapshot, some at a time, so that nobody waits for a large one. Throws `not_found` when the
 * manifest is not there and `conflict` when it is not what its id says or makes no sense.
 */
export async function* readManifest(blobs: BlobReader, id: string): AsyncGenerator<ManifestEntry[]> {
  let bytes: Buffer;
  try {
    bytes = await blobs.read(id);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    throw new RunyardError('not_found', `The snapshot ${id.slice(0, 12)} is not in this workspace.`, {
      cause,
    });
  }
  if (createHash('sha256').update(bytes).digest('hex') !== id) throw damaged(id, 'its content was changed');
  const tree = new TreeCheck(id);
  for (const entries of parts(bytes, id)) {
    for (const entry of entries) tree.add(entry);
    yield entries;
    await new Promise(setImmediate);
  }
}

/** All entries at once, for where a manifest is known to be small or waiting hurts nobody (a thread). */
export async function manifestEntries(blobs: BlobReader, id: string): Promise<ManifestEntry[]> {
  const all: ManifestEntry[] = [];
  for await (const entries of readManifest(blobs, id)) for (const entry of entries) all.push(entry);
  return all;
}

/** Cuts the canonical form between entries; a text's quotes are escaped, so `"},{"` or `e},{` is never inside. */
function* parts(bytes: Buffer, id: string): Generator<ManifestEntry[]> {
  const head = Buffer.from(beginning);
  const end = bytes.length - 2;
  if (!bytes.subarray(0, head.length).equals(head) || bytes.toString('latin1', end) !== ']}') {
    throw damaged(id, 'it does not begin and end as one');
  }
  for (let at = head.length; at < end;) {
    let cut = at;
    for (let n = 0; n < entriesAtOnce && cut < end; n++) cut = entryEnd(bytes, cut, end, id) + 1;
    let found: unknown;
    try {
      found = JSON.parse(`[${bytes.toString('utf8', at, Math.min(cut - 1, end))}]`);
    } catch (cause) {
      throw damaged(id, (cause as Error).message);
    }
    yield (found as unknown[]).map((raw) => checkEntry(raw, id));
    at = cut;
  }
}

/** Index of the comma (or of the end) after the entry that begins at `at`. */
function entryEnd(bytes: Buffer, at: number, end: number, id: string): number {
  if (bytes[at] !== 0x7b) throw damaged(id, 'an entry does not begin as one');
  for (let i = at + 1; i < end; i++) {
    const byte = bytes[i];
    if (byte === 0x7d) return i + 1;
    if (byte !== 0x22) continue;
    // A text: to its closing quote.
    for (i++; i < end && bytes[i] !== 0x22; i++) if (bytes[i] === 0x5c) i++;
  }
  throw damaged(id, 'an entry does not end');
}

const hashForm = /^[0-9a-f]{64}$/;

function checkEntry(raw: unknown, id: string): ManifestEntry {
  const entry = raw as Record<string, unknown>;
  const { path, mode, size, hash, link } = entry;
  if (typeof path !== 'string' || path === '' || path.includes('\0'))
    throw damaged(id, 'an entry has no path');
  if (path.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw damaged(id, `"${path}" leads out of the folder`);
  }
  if (entry['dir'] === true) return { path, dir: true };
  if (typeof link === 'string') {
    if (leadsOutside(path, link)) throw damaged(id, `the link "${path}" leads out of the folder`);
    return { path, link };
  }
  const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if (
    typeof hash !== 'string' ||
    !hashForm.test(hash) ||
    !isCount(size) ||
    !isCount(mode) ||
    +mode! > 0o777
  ) {
    throw damaged(id, `"${path}" is neither a file nor a link nor a folder`);
  }
  return { path, mode: mode as number, size: size as number, hash };
}

/** Whether a link's words lead out of the folder that `path` is in; where other links lead is not looked at. */
export function leadsOutside(path: string, target: string): boolean {
  if (target === '' || target.startsWith('/') || target.includes('\0')) return true;
  let depth = path.split('/').length - 1;
  for (const part of target.split('/')) {
    if (part === '..') depth--;
    else if (part !== '' && part !== '.') depth++;
    if (depth < 0) return true;
  }
  return false;
}

/** No path twice, and nothing below a file or a link: written through a link it could land anywhere. */
class TreeCheck {
  private readonly id: string;
  private readonly leaves = new Set<string>();
  private last: Buffer | undefined;
  private lastFolder = '';

  constructor(id: string) {
    this.id = id;
  }

  add(entry: ManifestEntry): void {
    const bytes = bytesOf(entry.path);
    if (this.last && Buffer.compare(this.last, bytes) >= 0) {
      throw damaged(this.id, `"${entry.path}" is not in its place`);
    }
    this.last = bytes;
    // By their bytes: two texts may be one name.
    const name = bytes.toString('latin1');
    if (!('dir' in entry)) this.leaves.add(name);
    const folder = name.slice(0, Math.max(0, name.lastIndexOf('/')));
    if (folder === this.lastFolder) return;
    // Sorted: what is below a leaf comes after it.
    for (let above = folder; above; above = above.slice(0, Math.max(0, above.lastIndexOf('/')))) {
      if (this.leaves.has(above))
        throw damaged(this.id, `"${entry.path}" is below something that is no folder`);
    }
    this.lastFolder = folder;
  }
}

function damaged(id: string, how: string): RunyardError {
  return new RunyardError('conflict', `The manifest of the snapshot ${id.slice(0, 12)} is damaged: ${how}.`, {
    action: 'Put the workspace back from a backup, or take the snapshot again.',
  });
}
