import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { createWriteStream, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { zip } from '../../../src/snapshot/jobs/zip.ts';
import { writeZip } from '../../../src/snapshot/zip.ts';
import { BlobStore, contextOf } from './blob-store.ts';

/** What Python's zipfile finds: name, mode, SHA-256 of the content. */
function contents(file: string): [string, string, string][] {
  const script = `
import sys, json, zipfile, hashlib
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
print(json.dumps([[i.filename, oct(i.external_attr >> 16), hashlib.sha256(z.read(i)).hexdigest()] for i in z.infolist()]))`;
  return JSON.parse(
    execFileSync('python3', ['-c', script, file], {
      encoding: 'utf8',
      maxBuffer: 1 << 26,
    }),
  ) as never;
}

const sha = (content: string | Uint8Array) => createHash('sha256').update(content).digest('hex');

async function made(store: BlobStore, id: string, zone?: string): Promise<Buffer> {
  const before = process.env['TZ'];
  if (zone) process.env['TZ'] = zone;
  try {
    const { file, size } = await zip(store)(
      { blobs: store.dir, snapshot: { id, prefix: '' }, items: [] },
      contextOf(),
    );
    const bytes = readFileSync(file);
    assert.equal(bytes.length, size);
    return bytes;
  } finally {
    if (before === undefined) delete process.env['TZ'];
    else process.env['TZ'] = before;
  }
}

test('what is in a zip, by another program', async () => {
  const store = new BlobStore();
  try {
    const large = randomBytes(3_000_000);
    const id = store.manifest([
      store.file('a.txt', 'hello'),
      store.file('bin/run', '#!/bin/sh\n', 0o751),
      { path: 'empty', dir: true },
      store.file('large.bin', large, 0o600),
      { path: 'link', link: 'bin/run' },
      store.file('z\uF7FF', 'odd'),
      store.file('z\u00e9', ''),
      store.file('back\\slash', 'b'),
      store.file('c:drive', 'c'),
    ]);
    const bytes = await made(store, id);
    const file = `${store.base}/out.zip`;
    writeFileSync(file, bytes);
    assert.deepEqual(contents(file), [
      ['a.txt', '0o100644', sha('hello')],
      ['back\uF75Cslash', '0o100644', sha('b')],
      ['bin/run', '0o100751', sha('#!/bin/sh\n')],
      ['c\uF73Adrive', '0o100644', sha('c')],
      ['empty/', '0o40755', sha('')],
      ['large.bin', '0o100600', sha(large)],
      ['link', '0o120777', sha('bin/run')],
      ['z\u00e9', '0o100644', sha('')],
      ['z\uF7FF', '0o100644', sha('odd')],
    ]);
  } finally {
    store.close();
  }
});
test('the same snapshot gives the same bytes: again, in another zone, in another process, with many files', async () => {
  const store = new BlobStore();
  try {
    const entries = Array.from({ length: 3000 }, (_, i) =>
      store.file(`d${i % 50}/f${i}`, `content ${i % 100}`),
    );
    const id = store.manifest([
      ...entries,
      store.file('large', randomBytes(5_000_000)),
      { path: 'l', link: 'large' },
    ]);
    const first = await made(store, id);
    assert.ok(first.equals(await made(store, id)));
    assert.ok(first.equals(await made(store, id, 'Pacific/Kiritimati')));
    const here = fileURLToPath(new URL('../../../src/', import.meta.url));
    const script = `
      const { zip } = await import('${here}snapshot/jobs/zip.ts');
      const { BlobFolder } = await import('${here}store/blob-folder.ts');
      const context = { throwIfCanceled() {}, progress() {}, emit() {} };
      const args = { blobs: process.argv[1], snapshot: { id: process.argv[2], prefix: '' }, items: [] };
      console.log((await zip({ open: (dir) => new BlobFolder(dir) })(args, context)).file);`;
    const other = spawnSync(process.execPath, ['--input-type=module', '-e', script, store.dir, id], {
      encoding: 'utf8',
      env: { ...process.env, TZ: 'America/Anchorage' },
    });
    assert.equal(other.status, 0, other.stderr);
    assert.ok(first.equals(readFileSync(other.stdout.trim())));
  } finally {
    store.close();
  }
});

test('more entries than a zip of the old kind can count', async () => {
  const store = new BlobStore();
  try {
    const file = `${store.base}/many.zip`;
    const items = Array.from({ length: 66_000 }, (_, i) => ({
      name: `d${i % 100}/f${i}`,
      text: i % 1000 ? '' : `${i}`,
    }));
    await writeZip(items, createWriteStream(file));
    const found = contents(file);
    assert.deepEqual(
      found.map(([name]) => name),
      items.map(({ name }) => name),
    );
    assert.equal(found[65_000]![2], sha('65000'));
  } finally {
    store.close();
  }
});

test('content that was changed, or is not there, is an error and leaves no file', async () => {
  const store = new BlobStore();
  try {
    for (const size of [10, 3_000_000]) {
      const entry = store.file('x', randomBytes(size));
      const id = store.manifest([store.file('a', 'a'), entry, store.file('z', 'z')]);
      const blob = store.folder.pathOf((entry as { hash: string }).hash);
      writeFileSync(blob, randomBytes(size));
      await assert.rejects(made(store, id), {
        code: 'conflict',
        message: /The stored content of x was changed/,
      });
    }
    const gone = store.manifest([{ path: 'x', mode: 0o644, size: 3, hash: 'a'.repeat(64) }]);
    await assert.rejects(made(store, gone), { code: 'conflict' });
    const large = store.manifest([{ path: 'x', mode: 0o644, size: 3_000_000, hash: 'b'.repeat(64) }]);
    await assert.rejects(made(store, large), { code: 'conflict' });
    const id = store.manifest([store.file('a', 'a'), store.file('b', 'b')]);
    const args = { blobs: store.dir, snapshot: { id, prefix: '' }, items: [] };
    await assert.rejects(async () => zip(store)(args, contextOf(2)), { code: 'canceled' });
    assert.deepEqual(execFileSync('ls', ['-A', `${store.dir}/tmp`], { encoding: 'utf8' }), '');
  } finally {
    store.close();
  }
});
