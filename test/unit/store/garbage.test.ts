import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { blobGeneration } from '../../../src/store/blob-folder.ts';
import { Blobs } from '../../../src/store/blobs.ts';
import { collectGarbage } from '../../../src/store/garbage.ts';

const base = mkdtempSync(path.join(os.tmpdir(), 'ry-'));
after(() => rmSync(base, { recursive: true, force: true }));

let blobs: Blobs;
let n = 0;
beforeEach(() => {
  blobs = new Blobs(path.join(base, String(n++)));
});

test('who took a snapshot between two parts of a collection learns of the second part', async () => {
  for (let i = 0; i < 40; i++) await blobs.put(Buffer.from(`content ${i}`));
  const folders = readdirSync(blobs.dir).filter((name) => /^[0-9a-f]{2}$/.test(name));
  assert.ok(folders.length > 2);
  // As a snapshot would, once the first blob has gone.
  const snapshot = async (): Promise<number> => {
    while (blobGeneration(blobs.dir) === 0) await new Promise(setImmediate);
    return blobs.using(() => Promise.resolve(blobGeneration(blobs.dir)));
  };
  const [seen] = await Promise.all([
    snapshot(),
    collectGarbage(
      blobs,
      async function* () {
        await Promise.resolve();
        yield 'f'.repeat(64);
      },
      { forgetCaches: () => Promise.reject(new Error('not full')) },
    ),
  ]);
  assert.ok(blobGeneration(blobs.dir) > seen, `still ${seen}`);
});

test('what a kill left of a blob is not taken for it', async () => {
  const hash = await blobs.put(Buffer.from('whole content'));
  const file = blobs.pathOf(hash);
  for (const put of [
    () => blobs.put(Buffer.from('whole content')),
    async () => {
      const writer = await blobs.writer();
      await writer.write(Buffer.from('whole content'));
      return (await writer.finish()).hash;
    },
  ]) {
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, 'whole');
    assert.equal(await put(), hash);
    assert.equal(readFileSync(file, 'utf8'), 'whole content');
  }
  assert.deepEqual(readdirSync(path.join(blobs.dir, 'tmp')), []);
});
