import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { ZipArchive } from 'archiver';
import { RunyardError } from '../api/errors.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import { readManifest, type BlobReader } from './manifest.ts';

/** Something that goes into a zip. */
export type ZipItem = { name: string } & (
  | { text: string }
  | { file: string; mode?: number; /** Checked, where it is known. */ hash?: string; size?: number }
  | { link: string }
  | { folder: true }
);

/** The first moment a zip can name, and by UTC: the zone of who makes the zip does not show in it. */
const date = new Date(Date.UTC(1980, 0, 1));
/** A file up to this size is read at once. */
const smallFile = 1024 * 1024;

/** A snapshot's entries as items, in the order of the manifest. Throws as `readManifest`. */
export async function* snapshotItems(blobs: BlobReader, id: string, prefix = ''): AsyncGenerator<ZipItem> {
  for await (const entries of readManifest(blobs, id)) {
    for (const entry of entries) yield toItem(blobs, entry, prefix);
  }
}

function toItem(blobs: BlobReader, entry: ManifestEntry, prefix: string): ZipItem {
  const name = prefix + entry.path;
  if ('link' in entry) return { name, link: entry.link };
  if ('dir' in entry) return { name, folder: true };
  const { mode, hash, size } = entry;
  return { name, file: blobs.pathOf(hash), mode, hash, size };
}

/**
 * Writes a zip: the same items give the same bytes. One entry after the other, so that few files are open.
 * Throws `conflict` for content that is not what its hash says.
 */
export async function writeZip(
  items: AsyncIterable<ZipItem> | Iterable<ZipItem>,
  to: Writable,
  between: () => void = () => {},
): Promise<void> {
  const zip = new ZipArchive({ zlib: { level: 6 } });
  let broken: Error | undefined;
  let settle = () => {};
  zip.on('error', (error: Error) => {
    broken ??= error;
    settle();
  });
  zip.on('entry', () => settle());
  const written = pipeline(zip, to).catch((error: Error) => {
    broken ??= error;
    settle();
  });
  /** Archiver tells of an entry by events only, and of one at a time. */
  const added = (add: () => void) =>
    new Promise<void>((resolve, reject) => {
      settle = () => (broken ? reject(broken) : resolve());
      if (broken) reject(broken);
      else add();
    });
  try {
    for await (const item of items) {
      between();
      await addItem(zip, item, added, (error) => {
        broken ??= error;
        settle();
      });
    }
  } catch (error) {
    zip.destroy();
    await written;
    throw error;
  }
  gatherDirectory(zip);
  // Not awaited: it never settles when there is nobody to write to any more.
  void zip.finalize();
  await written;
  if (broken) throw broken;
}

const gatheredBytes = 256 * 1024;

/**
 * Archiver writes the directory at a zip's end at once, in pieces of two to eight bytes: ten million objects wait
 * for who reads when there are 100,000 files. From here on its pieces are put together first.
 */
function gatherDirectory(zip: ZipArchive): void {
  const { engine } = zip._module;
  const write = engine.write.bind(engine);
  const end = engine.end.bind(engine);
  const gathered = Buffer.allocUnsafe(gatheredBytes);
  let size = 0;
  const flush = () => {
    // Counted again by what writes it.
    engine.offset -= size;
    write(Buffer.from(gathered.subarray(0, size)));
    size = 0;
  };
  engine.write = (part) => {
    const bytes = typeof part === 'string' ? Buffer.from(part) : part;
    if (size + bytes.length > gatheredBytes) flush();
    // A name is no longer than 64 KB.
    gathered.set(bytes, size);
    size += bytes.length;
    engine.offset += bytes.length;
    return true;
  };
  engine.end = () => {
    flush();
    return end();
  };
}

/** What gains nothing by being made small: it is compressed, or not worth the time. */
const compressed = /\.(7z|avif|br|bz2|gif|gz|jpe?g|mp[34]|npz|parquet|png|safetensors|webp|whl|xz|zip|zst)$/i;
const notWorthIt = 256;

async function addItem(
  zip: ZipArchive,
  item: ZipItem,
  added: (add: () => void) => Promise<void>,
  fail: (error: Error) => void,
): Promise<void> {
  const name = zipName(item.name);
  if ('folder' in item) return added(() => zip.append('', { name: `${name}/`, date, mode: 0o755 }));
  if ('link' in item) {
    return added(() => zip.append('', { name, date, type: 'symlink', linkname: item.link, mode: 0o777 }));
  }
  if ('text' in item) return added(() => zip.append(item.text, { name, date, mode: 0o644 }));
  const { file, mode = 0o644, hash, size } = item;
  const store = compressed.test(name) || (size !== undefined && size <= notWorthIt);
  if (size !== undefined && size <= smallFile) {
    const content = await readFile(file).catch((cause: unknown) => {
      throw hash ? changed(item.name, cause) : cause;
    });
    if (hash && createHash('sha256').update(content).digest('hex') !== hash) throw changed(item.name);
    return added(() => zip.append(content, { name, date, mode, store }));
  }
  const content = createReadStream(file, { highWaterMark: smallFile });
  const source = hash ? Readable.from(checked(content, hash, item.name), { objectMode: false }) : content;
  source.on('error', (error: Error) => fail(hash ? changed(item.name, error) : error));
  try {
    await added(() => zip.append(source, { name, date, mode, store }));
  } finally {
    content.destroy();
  }
}

/** The same bytes; throws at the end when their hash is another one. */
async function* checked(source: AsyncIterable<Buffer>, hash: string, name: string): AsyncGenerator<Buffer> {
  const digest = createHash('sha256');
  for await (const part of source) {
    digest.update(part);
    yield part;
  }
  if (digest.digest('hex') !== hash) throw changed(name);
}

function changed(name: string, cause?: unknown): RunyardError {
  return new RunyardError('conflict', `The stored content of ${name} was changed.`, {
    cause,
    action: 'Put the workspace back from a backup.',
  });
}

/**
 * A name as archiver leaves it alone: it takes a backslash for a slash and drops what looks like a drive. They
 * stand as bytes that are no UTF-8 do, as U+F700 + byte.
 */
function zipName(name: string): string {
  const drive = /^\w+:/.exec(name);
  const safe = drive ? `${drive[0].slice(0, -1)}\uF73A${name.slice(drive[0].length)}` : name;
  return safe.replaceAll('\\', '\uF75C');
}
