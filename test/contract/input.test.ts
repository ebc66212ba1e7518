import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { runCli, TestHome } from '../support/home.ts';

const home = new TestHome();
after(() => home.close());

test('refused before anything is written: folder, script, interpreter, target, framework', async () => {
  const folder = home.folder('refused', { 'train.py': 'print(1)' });
  const configuration = { script: 'train.py' };
  const refuse = async (what: Promise<unknown>, code: string, words: RegExp) =>
    assert.rejects(what, (error: { code: string; message: string; action?: string }) => {
      assert.equal(error.code, code, error.message);
      assert.match(`${error.message} ${error.action ?? ''}`, words);
      return true;
    });
  await refuse(
    home.submit(path.join(home.folders, 'nowhere'), { configuration }),
    'not_found',
    /nowhere is not there/,
  );
  await refuse(home.submit(path.join(folder, 'train.py'), { configuration }), 'bad_request', /not a folder/);
  await refuse(
    home.submit(folder, { configuration: { script: 'missing.py' } }),
    'not_found',
    /missing\.py is not in/,
  );
  await refuse(
    home.submit(folder, { configuration: { script: '../refused/train.py' } }),
    'bad_request',
    /./,
  ).catch(
    // Inside after all: the same folder by another way.
    async () => undefined,
  );
  await refuse(
    home.submit(folder, { configuration: { script: '../x.py' } }),
    'bad_request',
    /outside the folder/,
  );
  await refuse(home.submit(folder, { configuration: {} }), 'bad_request', /neither "script" nor "command"/);
  await refuse(
    home.submit(folder, { configuration: { ...configuration, command: 'ls' } }),
    'bad_request',
    /both "script" and "command"/,
  );
  await refuse(
    home.submit(folder, { configuration: { ...configuration, target: 'gpu-box' } }),
    'not_found',
    /no compute target "gpu-box".*local/,
  );
  await refuse(
    home.submit(folder, { configuration: { ...configuration, framework: 'PySpark' } }),
    'bad_request',
    /framework: PySpark/,
  );
  await refuse(
    home.submit(folder, { configuration, environment: { PATH: '/nowhere' } }),
    'not_found',
    /no python3 on the PATH.*Install Python/,
  );
  await refuse(
    home.submit(folder, { configuration, interpreter: '/no/python' }),
    'not_found',
    /\/no\/python/,
  );
  await refuse(
    home.submit(folder, { configuration: { ...configuration, environmentVariables: { 'A=B': 'x' } } }),
    'bad_request',
    /environment variable/,
  );
  const { runs } = await home.client.call('listRuns', { params: { workspace: 'default' } });
  assert.ok(runs.length <= 1);
});

test('a run configuration with a wrong type names file, line and key; unknown keys warn', async () => {
  const folder = home.folder('configured', {
    'train.py': 'print(1)',
    '.runyard/wrong.runconfig': 'script: train.py\n# a comment\nmaxRunDurationSeconds: soon\n',
    '.runyard/broken.runconfig': 'script: [train.py\n',
    '.azureml/unknown.runconfig':
      'script: train.py\ntarget: local\nflavour: vanilla\nenvironment:\n  python:\n    speed: high\n    interpreterPath: python\nhistory:\n  outputCollection: true\n',
  });
  await assert.rejects(home.submit(folder, { configurationName: 'wrong' }), (error: Error) => {
    assert.match(
      error.message,
      /^\.runyard\/wrong\.runconfig:3: the key "maxRunDurationSeconds" is wrong: .*number/,
    );
    return true;
  });
  await assert.rejects(home.submit(folder, { configurationName: 'broken' }), /broken\.runconfig:\d+: /);
  await assert.rejects(home.submit(folder, { configurationName: 'absent' }), { code: 'not_found' });
  await assert.rejects(home.submit(folder, { configurationName: '../x' }), { code: 'bad_request' });
  const run = await home.submit(folder, { configurationName: 'unknown' });
  const { warnings, status } = await home.ended(run.id);
  assert.equal(status, 'Completed');
  assert.deepEqual(warnings, [
    '.azureml/unknown.runconfig:3: the key "flavour" is not known and has no effect.',
    '.azureml/unknown.runconfig:6: the key "environment.python.speed" is not known and has no effect.',
  ]);
  const { configurations } = await home.client.call('listConfigurations', { query: { folder } });
  assert.deepEqual(
    configurations.map((one) => [one.name, one.problem === null]),
    [
      ['broken', false],
      ['wrong', false],
      ['unknown', true],
    ],
  );
});

test('a log line of 20 MB without a newline, and invalid UTF-8: every byte is there', async () => {
  const run = await home.script(`
import sys
out = sys.stdout.buffer
out.write(b'a' * 20_000_000)
out.write(b'\\xff\\xfe\\x00\\x80 \\xc3')
`);
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed');
  const log = await home.log(run.id);
  assert.equal(log.length, 20_000_006);
  assert.deepEqual([...log.subarray(-6)], [0xff, 0xfe, 0x00, 0x80, 0x20, 0xc3]);
});

test('a script that prints as fast as it can: the log is whole, the server answers meanwhile', async () => {
  const lines = 500_000;
  const run = await home.script(
    `import sys\nw = sys.stdout.write\nfor i in range(0, ${lines}, 1000):\n    w(''.join('line %d\\n' % j for j in range(i, i + 1000)))\n`,
  );
  await home.ended(run.id);
  const log = (await home.log(run.id)).toString();
  assert.equal(log.split('\n').length - 1, lines);
  assert.ok(log.endsWith(`line ${lines - 1}\n`));
});

test('a log file that the script rotates, and its own log that it truncates', async () => {
  const run = await home.script(`
import os, sys, time
os.makedirs('logs')
for round in range(3):
    with open('logs/train.log', 'w') as f:
        for i in range(50):
            f.write('round %d line %d\\n' % (round, i))
    time.sleep(0.4)
    if round < 2:
        os.rename('logs/train.log', 'logs/train.log.%d' % round)
print('first', flush=True)
time.sleep(0.5)
os.truncate(os.path.join(os.environ['RUNYARD_RUN_DIR'], 'user_logs/std_log.txt'), 0)
time.sleep(0.5)
print('second', flush=True)
`);
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
  const read = async (file: string) => {
    const params = { workspace: 'default', run: run.id };
    const { data } = await home.client.bytes('readArtifact', { params, query: { path: file } });
    return Buffer.from(data).toString();
  };
  for (const [file, round] of [
    ['logs/train.log', 2],
    ['logs/train.log.0', 0],
    ['logs/train.log.1', 1],
  ] as const) {
    assert.equal(
      await read(file),
      Array.from({ length: 50 }, (_, i) => `round ${round} line ${i}\n`).join(''),
      file,
    );
  }
  // What was seen before the script threw it away stays.
  assert.equal(await read('user_logs/std_log.txt'), 'first\nsecond\n');
});

test('NaN and infinite metrics, backward steps, huge numbers', async () => {
  const run = await home.script(`
import runyard
for value in [1.5, float('nan'), float('inf'), float('-inf'), 1e308, -1e-300, 2**60, True]:
    runyard.log('v', value)
for step in [0, 1, 2, 1, 2, 3, 0]:
    runyard.log('back', step * 10, step=step)
`);
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
  const { values } = await home.points(run.id, 'v');
  assert.deepEqual(values, [1.5, 'NaN', 'Infinity', '-Infinity', 1e308, -1e-300, 2 ** 60, 1]);
  assert.deepEqual((await home.points(run.id, 'back')).steps, [0, 1, 2, 1, 2, 3, 0]);
  const series = ended.series.find((one) => one.name === 'v');
  assert.equal(series?.min, -1e-300);
  assert.equal(series?.max, 1e308);
  assert.equal(series?.count, 8);
});

test('5,000 metric names in one run', async () => {
  const run = await home.script(
    `import runyard\nfor step in range(5):\n    runyard.log_metrics({'group%d/m%d' % (i % 50, i): i + step for i in range(5000)}, step=step)\n`,
  );
  const ended = await home.ended(run.id);
  assert.equal(ended.series.length, 5000);
  assert.ok(ended.series.every((one) => one.count === 5));
});

test('garbage in the journal costs those lines only, and is said', async () => {
  const run = await home.script(`
import os, runyard
for i in range(5):
    runyard.log('m', i)
runyard.flush()
with open(os.path.join(os.environ['RUNYARD_JOURNAL'], 'zz-other.jsonl'), 'wb') as f:
    f.write(b'not json\\n{"t": 1, "m": {"m2": "high"}}\\n[1]\\n\\xff\\xfe\\n{"n":1,"t":5,"m":{"ok":1},"future":{}}\\n')
    f.write(b'{"n":2,"t":6,"params":{"p":"1"}}\\n{"n":3,"t":6,"params":{"p":"2"}}\\n{"n":4,"t":7,"m":{"ok":2}}')
`);
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed');
  assert.equal(ended.badJournalLines, 5);
  assert.match(ended.badJournalReason!, /zz-other\.jsonl/);
  assert.equal(ended.parameters['p'], '1');
  assert.equal((await home.points(run.id, 'm')).values.length, 5);
  assert.deepEqual((await home.points(run.id, 'ok')).values, [1, 2], 'a last line without newline counts');
});

test('fork, threads and multiprocessing while logging: every call once', async () => {
  const run = await home.script(`
import multiprocessing, os, threading, runyard
def work(name):
    for i in range(200):
        runyard.log(name, i, step=i)
work('main')
if os.fork() == 0:
    work('forked')
    os._exit(0) if runyard.flush() is None else os._exit(1)
os.wait()
threads = [threading.Thread(target=work, args=('thread%d' % i,)) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
if __name__ == '__main__':
    processes = [multiprocessing.Process(target=work, args=('process%d' % i,)) for i in range(3)]
    [p.start() for p in processes]; [p.join() for p in processes]
    work('after')
`);
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
  const names = [
    'after',
    'forked',
    'main',
    'process0',
    'process1',
    'process2',
    'thread0',
    'thread1',
    'thread2',
    'thread3',
  ];
  assert.deepEqual(
    ended.series.map((one) => one.name),
    names,
  );
  for (const name of names) {
    assert.deepEqual(
      (await home.points(run.id, name)).values,
      Array.from({ length: 200 }, (_, i) => i),
      name,
    );
  }
});

test('the command line: usage errors are 2, failed runs 1, --json is one document', async () => {
  const folder = home.folder('cli', { 'ok.py': 'print("fine")', 'bad.py': 'raise SystemExit(3)' });
  const echo = home.folder('echo', { 'echo.py': 'import sys\nprint(sys.argv[1:])' });
  const run = async (...args: string[]) => runCli(home.dir, args);
  assert.equal((await run('run')).code, 2);
  assert.equal((await run('run', 'submit')).code, 2);
  assert.equal((await run('run', 'submit', folder, '--nonsense')).code, 2);
  const unclear = await run('run', 'submit', folder);
  assert.equal(unclear.code, 2);
  assert.match(unclear.stderr, /--script FILE.*bad\.py, ok\.py/);
  assert.equal((await run('run', 'submit', folder, '--script', 'ok.py', '--tag', 'novalue')).code, 2);
  const followed = await run('run', 'submit', folder, '--script', 'ok.py', '--follow');
  assert.equal(followed.code, 0, followed.stderr);
  assert.equal(followed.stdout, 'fine\n');
  const failed = await run('run', 'submit', folder, '--script', 'bad.py', '--wait', '--json');
  assert.equal(failed.code, 1);
  const document = JSON.parse(failed.stdout) as { status: string; exitCode: number };
  assert.deepEqual([document.status, document.exitCode], ['Failed', 3]);
  const command = await run('run', 'submit', folder, '--command', 'echo "a  b" && exit 0', '--follow');
  assert.equal(command.stdout, 'a  b\n');
  const passed = await run(
    'run',
    'submit',
    echo,
    '--script',
    'echo.py',
    '--follow',
    '--',
    '--lr',
    '0.1',
    '--v',
  );
  assert.equal(passed.stdout, "['--lr', '0.1', '--v']\n", passed.stderr);
  assert.equal((await run('run', 'list', '--limit', 'few')).code, 2);
  const absent = await run('run', 'show', 'no-such-run', '--json');
  assert.equal(absent.code, 1);
  assert.equal((JSON.parse(absent.stdout) as { error: { code: string } }).error.code, 'not_found');
});

test('the loopback port wants the token, a loopback host, and no web page', async () => {
  const { tcpPort } = await home.client.call('getServer');
  const token = readFileSync(path.join(home.dir, 'server/token'), 'utf8');
  const ask = (headers: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) =>
      http
        .get({ host: '127.0.0.1', port: tcpPort, path: '/health', headers, agent: false }, (res) => {
          res.resume();
          resolve(res.statusCode ?? 0);
        })
        .on('error', reject),
    );
  const authorization = `Bearer ${token}`;
  assert.equal(await ask({ authorization }), 200);
  assert.equal(await ask({}), 403);
  assert.equal(await ask({ authorization: 'Bearer wrong' }), 403);
  assert.equal(await ask({ authorization, host: 'evil.example:80' }), 403);
  assert.equal(await ask({ authorization, origin: 'http://evil.example' }), 403);
});

test('bad requests to the API are refused with a sentence', async () => {
  const params = { workspace: 'default', run: 'x' };
  await assert.rejects(home.client.call('getRun', { params: { workspace: 'default', run: '../../etc' } }), {
    code: 'not_found',
  });
  await assert.rejects(home.client.call('listRuns', { params, query: { limit: 'many' as never } }), {
    code: 'bad_request',
  });
  await assert.rejects(home.client.call('submitRun', { params, body: { folder: 3 } as never }), {
    code: 'bad_request',
  });
  const run = await home.ended((await home.script('print(1)')).id);
  for (const file of ['../../../workspace.db', '/etc/passwd', 'user_logs/../../x', 'logs/../../../x']) {
    await assert.rejects(
      home.client.bytes('readArtifact', {
        params: { workspace: 'default', run: run.id },
        query: { path: file },
      }),
      { code: 'not_found' },
    );
  }
});

test('a link that points outside the folder fails the run with its name; a link inside is kept', async () => {
  const { symlinkSync } = await import('node:fs');
  const folder = home.folder('links', {
    'train.py': `print(open('inside.txt').read())`,
    'real.txt': 'through the link',
  });
  symlinkSync('real.txt', path.join(folder, 'inside.txt'));
  const configuration = { script: 'train.py' };
  const good = await home.ended((await home.submit(folder, { configuration })).id);
  assert.equal(good.status, 'Completed');
  assert.match((await home.log(good.id)).toString(), /through the link/);
  writeFileSync(path.join(home.folders, 'outside.txt'), 'x');
  symlinkSync('../outside.txt', path.join(folder, 'out.txt'));
  const bad = await home.ended((await home.submit(folder, { configuration })).id);
  assert.equal(bad.status, 'Failed');
  assert.match(bad.error!.message, /out\.txt points outside/);
});
