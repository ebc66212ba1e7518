import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { TestHome } from '../support/home.ts';

// Scripts that write over the files of their own run: nobody else is harmed, and every run ends.
const home = new TestHome({ server: { RUNYARD_SERVER_SILENCE_SECONDS: '12' } });
after(() => home.close());

const begin = `import os, time, shutil
run = os.environ['RUNYARD_RUN_DIR'] + '/'
journal = os.environ['RUNYARD_JOURNAL'] + '/'
def write(name, text, mode='w'):
    with open(name, mode) as file: file.write(text)
`;

function params(run: string) {
  return { workspace: 'default', run };
}

test('journal lines of wrong types cost themselves, not the run', async () => {
  const lines = [
    '{"n":1,"t":1,"document":{"type":"table","name":"x","value":{},"s":{}}}',
    '{"n":2,"t":1,"image":{"name":"x","path":"y","s":true}}',
    '{"n":3,"t":1,"document":{"type":"table","name":"x","value":{"a":5}}}',
    '{"n":4,"t":1,"document":{"type":"table","name":"x","value":null}}',
    '{"n":5,"t":100000000000000000,"image":{"name":"x","path":"y"}}',
    '{"n":6,"t":1,"document":{"type":"table","name":"x","value":{"b":[7]}}}',
    '{"n":7,"t":1,"document":{"type":"table","name":"x","value":{"__proto__":[1],"b":[8]}}}',
    '{"n":8,"t":1,"m":{"__proto__":1,"a":2},"s":1700000000000000000}',
  ];
  const run = await home.script(`${begin}write(journal + 'a.jsonl', ${JSON.stringify(lines.join('\n'))})`);
  const detail = await home.ended(run.id);
  assert.equal(detail.status, 'Completed');
  assert.equal(detail.badJournalLines, 5);
  assert.deepEqual(
    detail.series.map(({ name }) => name),
    ['__proto__', 'a'],
  );
  const { documents } = await home.client.call('listDocuments', { params: params(run.id) });
  assert.deepEqual(
    documents.map(({ value }) => Object.entries(value as object)),
    [
      [
        ['b', [7, 8]],
        ['__proto__', [null, 1]],
      ],
    ],
  );
  await home.client.call('listImages', { params: params(run.id) });
});

test('only the supervisor says how a run ended, whatever the script writes into its events', async () => {
  const forged = { n: 99, t: 5, state: 'Completed', reason: `forged ${'.'.repeat(150)}` };
  const failing = await home.script(
    `${begin}write(run + 'events.jsonl', ${JSON.stringify(`${JSON.stringify(forged)}\n`)}, 'a')\ntime.sleep(1)\nraise SystemExit(3)`,
  );
  const without = await home.script(
    `${begin}os.unlink(run + 'events.jsonl')\nos.mkdir(run + 'events.jsonl')`,
  );
  const requeued = await home.script(
    `${begin}write(run + 'events.jsonl', '{"n":9,"t":5,"state":"Queued","reason":"forged"}\\n', 'a')\ntime.sleep(1)`,
  );
  const ended = await home.ended(failing.id);
  assert.deepEqual([ended.status, ended.exitCode, ended.error?.code], ['Failed', 3, 'exit']);
  assert.equal((await home.ended(requeued.id)).status, 'Completed');
  assert.ok(['Completed', 'Failed'].includes((await home.ended(without.id)).status));
});

test('a script that removes its own run: it is said, and nothing of it lives on', async () => {
  const run = await home.script(
    `${begin}time.sleep(1)\nshutil.rmtree(run, ignore_errors=True)\ntime.sleep(2)`,
  );
  const { status, error } = await home.ended(run.id);
  assert.deepEqual([status, error?.code], ['Failed', 'lost']);
  assert.deepEqual(home.processes(run.id), []);
});

test('a log where a folder was, and a folder where a log was', async () => {
  const run = await home.script(`${begin}
os.makedirs('logs/d')
write('logs/a', 'a file')
write('logs/d/e', 'in a folder')
time.sleep(3)
os.unlink('logs/a'); os.mkdir('logs/a'); write('logs/a/b', 'inner')
shutil.rmtree('logs/d'); write('logs/d', 'now a file')
time.sleep(3)
`);
  assert.equal((await home.ended(run.id)).status, 'Completed');
  const { artifacts } = await home.client.call('listArtifacts', { params: params(run.id) });
  const contents = new Map<string, string>();
  for (const { path } of artifacts.filter((one) => one.path.startsWith('logs/'))) {
    const { data } = await home.client.bytes('readArtifact', { params: params(run.id), query: { path } });
    contents.set(path, Buffer.from(data).toString());
  }
  assert.deepEqual(
    [...contents],
    [
      ['logs/a/b', 'inner'],
      ['logs/d', 'now a file'],
    ],
  );
});

test('names that are no UTF-8 stay apart, in journals and in files', async () => {
  const run = await home.script(`${begin}
os.makedirs('outputs')
for name in (b'\\xff', b'\\xfe'):
    with open(b'outputs/' + name, 'wb') as file: file.write(name)
for turn in range(3):
    for name in (b'\\xff', b'\\xfe'):
        with open(journal.encode() + name + b'.jsonl', 'ab') as file:
            file.write(b'{"n":1,"t":1,"m":{"x":%d}}\\n' % turn)
    time.sleep(0.3)
`);
  assert.equal((await home.ended(run.id)).status, 'Completed');
  assert.equal((await home.points(run.id, 'x')).values.length, 6);
  const { artifacts } = await home.client.call('listArtifacts', { params: params(run.id) });
  const bytes = [];
  for (const { path } of artifacts.filter((one) => one.path.startsWith('outputs/'))) {
    const { data } = await home.client.bytes('readArtifact', { params: params(run.id), query: { path } });
    bytes.push(...data);
  }
  assert.deepEqual(bytes, [0xfe, 0xff]);
});
