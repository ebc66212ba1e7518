import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { encodeFrame, FrameDecoder, mostNoiseBytes, ProtocolError } from '../../../src/protocol/frames.ts';
import { parseJournalLine } from '../../../src/protocol/journal.ts';
import { MetricLineReader } from '../../../src/protocol/metric-lines.ts';
import {
  attemptEventSchema,
  attemptStatusSchema,
  manifestSchema,
  monitorRecordSchema,
  specSchema,
} from '../../../src/protocol/messages.ts';
import { encodeManifest } from '../../../src/snapshot/manifest.ts';

const folder = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../fixtures/protocol');
const bytes = (name: string) => readFileSync(path.join(folder, name));
const json = <T>(name: string): T => JSON.parse(bytes(name).toString()) as T;
const lines = (name: string) => bytes(name).toString().split('\n').filter(Boolean);

interface FrameFixture {
  header: Record<string, unknown>;
  payload: string;
}

test('frames are read alike however the bytes are cut', () => {
  const whole = bytes('frames.bin');
  const expected = json<FrameFixture[]>('frames.json').map(({ header, payload }) => ({ header, payload }));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (cuts) => {
      const decoder = new FrameDecoder();
      const found: FrameFixture[] = [];
      for (let at = 0, i = 0; at < whole.length; i++) {
        const end = at + cuts[i % cuts.length]!;
        for (const { header, payload } of decoder.push(whole.subarray(at, end))) {
          found.push({ header, payload: Buffer.from(payload).toString('hex') });
        }
        at = end;
      }
      assert.deepEqual(found, expected);
    }),
  );
});

test('what is encoded is decoded again', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.dictionary(fc.string(), fc.jsonValue()), fc.uint8Array({ maxLength: 3000 }))),
      (frames) => {
        const decoder = new FrameDecoder();
        const all = Buffer.concat(frames.map(([header, payload]) => encodeFrame(header, payload)));
        const found = [...decoder.push(all)];
        assert.deepEqual(
          found.map(({ header, payload }) => [header, [...payload]]),
          frames.map(([header, payload]) => [JSON.parse(JSON.stringify(header)), [...payload]]),
        );
      },
    ),
  );
});

test('garbage closes the channel', () => {
  for (const { why, bytes: hex } of json<{ why: string; bytes: string }[]>('frames-bad.json')) {
    assert.throws(() => [...new FrameDecoder().push(Buffer.from(hex, 'hex'))], ProtocolError, why);
  }
  const noise = Buffer.alloc(mostNoiseBytes + 1, 'x');
  assert.throws(() => [...new FrameDecoder('c0ffee').push(noise)], ProtocolError);
});

test('noise before the marker is skipped, cut anywhere', () => {
  const start = bytes('channel-start.bin');
  for (let cut = 0; cut < start.length; cut += 7) {
    const decoder = new FrameDecoder('c0ffee');
    const found = [...decoder.push(start.subarray(0, cut)), ...decoder.push(start.subarray(cut))];
    assert.equal(found.length, 1);
    assert.ok(decoder.synchronised);
  }
});

test('specs, statuses, events and monitor lines are what the schemas say', () => {
  for (const kind of ['', '-shell', '-environment', '-container', '-slurm']) {
    const spec = json(`spec${kind}.json`);
    assert.deepEqual(specSchema.parse(spec), spec);
  }
  for (const status of json<unknown[]>('status.json')) attemptStatusSchema.parse(status);
  const events = lines('events.jsonl').map((line) => attemptEventSchema.parse(JSON.parse(line)));
  assert.deepEqual(
    events.map(({ n }) => n),
    events.map((_, i) => i + 1),
  );
  for (const line of lines('monitor.jsonl')) monitorRecordSchema.parse(JSON.parse(line));
});

test('a manifest has the same bytes, and so the same id, on both sides', () => {
  const golden = bytes('manifest.json');
  const manifest = manifestSchema.parse(JSON.parse(golden.toString()));
  assert.equal(encodeManifest([...manifest.entries].reverse()).toString(), golden.toString());
  const id = createHash('sha256').update(golden).digest('hex');
  assert.equal(id, bytes('manifest.sha256').toString().trim());
});

test('journal lines: the bad ones are bad, the others are not', () => {
  const expected = json<{ line: number; bad?: string }[]>('journal.json');
  const journal = lines('journal.jsonl');
  assert.equal(journal.length, expected.length);
  journal.forEach((line, i) => {
    const parsed = parseJournalLine(line);
    assert.equal(
      parsed.bad !== undefined,
      expected[i]!.bad !== undefined,
      `line ${i + 1}: ${parsed.bad} / ${expected[i]!.bad}`,
    );
  });
});

test('no line makes the parser throw', () => {
  fc.assert(fc.property(fc.string(), (line) => void parseJournalLine(line)));
  fc.assert(fc.property(fc.json(), (line) => void parseJournalLine(line)));
});

test('the quick reader of metric lines reads what JSON.parse reads, or leaves the line alone', () => {
  const finite = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer(),
    fc.constantFrom(0.1, 1e-7, 1e21, -0, 5e-324),
  );
  const metric = fc.dictionary(
    fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('loss', 'train/acc')),
    finite,
    { maxKeys: 5 },
  );
  const mangle = fc.oneof(
    { weight: 6, arbitrary: fc.constant((text: string) => text) },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.nat(), fc.string({ maxLength: 2 })).map(
        ([at, s]) =>
          (text: string) =>
            text.slice(0, at % text.length) + s + text.slice((at % text.length) + 1),
      ),
    },
  );
  let read = 0;
  fc.assert(
    fc.property(
      fc.record({ n: fc.nat(), t: fc.nat(), m: metric, s: fc.option(fc.integer(), { nil: undefined }) }),
      mangle,
      (record, change) => {
        const line = change(JSON.stringify(record));
        const names: string[] = [];
        const added: unknown[] = [];
        const reader = new MetricLineReader({
          slotOf: (name) => names.push(name) - 1,
          add: (slot, step, time, value) => added.push([names[slot], step, time, value]),
        });
        const bytes = Buffer.from(`xx${line}\n{"n":`);
        if (!reader.read(bytes, 2, bytes.length - 6)) {
          assert.deepEqual(added, []);
          return;
        }
        read++;
        const parsed = JSON.parse(line) as { t: number; m: Record<string, number>; s?: number };
        // A name that comes twice in one line (only a mangled one has that) is two points for the quick reader.
        if (Object.keys(parsed.m).length !== added.length) return;
        assert.deepEqual(
          added,
          Object.entries(parsed.m).map(([name, value]) => [name, parsed.s, parsed.t, value]),
        );
        assert.equal(parseJournalLine(line).bad, undefined);
      },
    ),
    { numRuns: 9000 },
  );
  assert.ok(read > 300, `${read} lines were of the common form`);
});
