import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Artifact } from '../../src/api/entities.ts';
import type { RunyardError } from '../../src/api/errors.ts';
import { SshHosts, skipWithoutSshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { runCli, TestHome } from '../support/home.ts';
import { addCompute } from '../support/person.ts';

const skip = skipWithoutSshHosts();
const home = new TestHome();
let hosts: SshHosts;
let host: SshHost;
let config: SshConfig;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  host = await hosts.start({ name: 'gpu' });
  // A broken line is noticed within seconds.
  config = hosts.sshConfig({ lines: ['ServerAliveInterval 1'] });
  await addCompute(home.client, host, config, { keep: { days: 0 } });
});
after(async () => {
  await home.close();
  await hosts?.close();
});

const params = (run: string) => ({ workspace: 'default', run });

function submit(source: string, more: object = {}) {
  return home.script(source, { configuration: { script: 'train.py', target: host.name, ...more } });
}

async function artifacts(run: string): Promise<Artifact[]> {
  return (await home.client.call('listArtifacts', { params: params(run) })).artifacts;
}

function runFolder(run: string): string {
  return path.join(host.homeDir, '.runyard/host/runs', run);
}

async function clean(): Promise<{ runs: number }> {
  const { code, stdout, stderr } = await runCli(home.dir, ['compute', 'clean', host.name, '--json']);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as { runs: number };
}

test('thousands of small outputs, odd names, nothing but what is there', { skip }, async () => {
  const run = await submit(`
import os
os.makedirs('outputs/many')
for i in range(3000):
    open('outputs/many/%d.txt' % i, 'w').write('content %d' % i)
open('outputs/naïve "name"\\nline.txt', 'w').write('odd')
open('outputs/empty', 'w')
os.symlink('/etc/passwd', 'outputs/link')
`);
  const ended = await home.ended(run.id);
  assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
  const outputs = (await artifacts(run.id)).filter((one) => one.path.startsWith('outputs/'));
  assert.equal(outputs.length, 3002);
  assert.ok(outputs.every(({ stored }) => stored));
  const { data } = await home.client.bytes('readArtifact', {
    params: params(run.id),
    query: { path: 'outputs/many/2999.txt' },
  });
  assert.equal(Buffer.from(data).toString(), 'content 2999');
});

test(
  'a large output stays on its host until it is fetched; the fetch goes on after broken lines, and the host cleans up only then',
  { skip },
  async () => {
    const size = 270_000_000;
    const run = await submit(`
import hashlib, os
os.makedirs('outputs')
block = os.urandom(1000000)
sum = hashlib.sha256()
with open('outputs/model.bin', 'wb') as f:
    for i in range(270):
        part = block[i:] + block[:i]
        f.write(part)
        sum.update(part)
open('outputs/small.txt', 'w').write(sum.hexdigest())
`);
    assert.equal((await home.ended(run.id)).status, 'Completed');
    const byPath = new Map((await artifacts(run.id)).map((one) => [one.path, one]));
    assert.deepEqual(
      [byPath.get('outputs/model.bin')!.stored, byPath.get('outputs/model.bin')!.size],
      [false, size],
    );
    assert.equal(byPath.get('outputs/small.txt')!.stored, true);
    await clean();
    assert.ok(existsSync(path.join(runFolder(run.id), 'attempts/1/code/outputs/model.bin')));
    // It exists only there: the target is not forgotten by mistake.
    const removal = await home.client
      .call('removeCompute', { params: { compute: host.name }, query: {} })
      .then(
        () => undefined,
        (error: RunyardError) => error,
      );
    assert.match(removal!.message, new RegExp(`exist only on "gpu": ${run.id}`));
    assert.match(removal!.action!, /run fetch/);

    const starts: number[] = [];
    let seen = 0;
    let first = true;
    let half: () => void = () => {};
    const reachedHalf = new Promise<void>((resolve) => (half = resolve));
    const subscription = home.client.events('default', {
      onEvent: (event) => {
        if (event.type !== 'fetch' || event.done) return;
        if (first) starts.push(event.bytes);
        first = false;
        seen = event.bytes;
        if (seen > size / 4) half();
      },
    });
    const fetching = home.client.call('fetchArtifacts', { params: params(run.id), body: {} }).then(
      () => undefined,
      (error: RunyardError) => error,
    );
    await Promise.race([reachedHalf, fetching]);
    await host.reset();
    const broken = await fetching;
    if (broken) {
      assert.equal(broken.code, 'unavailable');
      first = true;
      const { code, stderr } = await runCli(home.dir, ['run', 'fetch', run.id]);
      assert.equal(code, 0, stderr);
      assert.ok(starts[1]! > 0, `the second fetch began at ${starts[1]}`);
    }
    subscription.close();
    const fetched = (await artifacts(run.id)).find((one) => one.path === 'outputs/model.bin')!;
    assert.equal(fetched.stored, true);
    const sum = createHash('sha256');
    for (let offset = 0; offset < size;) {
      const { data } = await home.client.bytes('readArtifact', {
        params: params(run.id),
        query: { path: 'outputs/model.bin', offset, length: 16 * 1024 * 1024 },
      });
      sum.update(data);
      offset += data.byteLength;
    }
    const { data: told } = await home.client.bytes('readArtifact', {
      params: params(run.id),
      query: { path: 'outputs/small.txt' },
    });
    assert.equal(sum.digest('hex'), Buffer.from(told).toString());
    assert.deepEqual(readdirSync(path.join(home.dir, 'workspaces/default/partial')), []);
    // The host hears of it and may clean up now.
    const deadline = Date.now() + 60_000;
    while (existsSync(runFolder(run.id)) && Date.now() < deadline) {
      await clean();
      await sleep(100);
    }
    assert.ok(!existsSync(runFolder(run.id)));
    // What was collected is all here.
    assert.equal((await home.detail(run.id)).status, 'Completed');
  },
);

test('a run that is live, or waits, or was not collected is never cleaned up', { skip }, async () => {
  const live = await submit('import time\nprint("on", flush=True)\ntime.sleep(600)');
  await home.reaches(live.id, 'Running');
  await clean();
  assert.ok(existsSync(runFolder(live.id)));
  await home.cancel(live.id);
  assert.equal((await home.ended(live.id)).status, 'Canceled');
});

test(
  'arguments, variables and names reach the script as they are; no shell looks at them on the way',
  { skip },
  async () => {
    const args = [
      'a b',
      "it's",
      '"quoted"',
      '$(touch /tmp/pwned)',
      '`id`',
      'two\nlines',
      '--flag=*',
      '\\',
      ';rm -rf ~',
      '測試',
    ];
    const run = await submit(
      `import sys, os, json\nos.makedirs('outputs')\njson.dump([sys.argv[1:], os.environ['ODD']], open('outputs/got.json', 'w'))`,
      { arguments: args, environmentVariables: { ODD: '$(id) "x"\n\'y\'' } },
    );
    assert.equal((await home.ended(run.id)).status, 'Completed');
    const { data } = await home.client.bytes('readArtifact', {
      params: params(run.id),
      query: { path: 'outputs/got.json' },
    });
    assert.deepEqual(JSON.parse(Buffer.from(data).toString()), [args, '$(id) "x"\n\'y\'']);
    assert.ok(!existsSync(host.path('/tmp/pwned')));
  },
);

test(
  "the submitter's environment stays at home; the host's own, after the set-up lines, is the run's",
  { skip },
  async () => {
    await addCompute(home.client, host, config, {
      name: 'prepared',
      root: '~/.runyard/other root',
      setup: ['export FROM_SETUP="it is; $((1 + 1))"', "prepare() { echo 'set up' >&2; }", 'prepare'],
    });
    const run = await home.script(
      `import os\nprint(os.environ.get('FROM_SETUP'), os.environ.get('SECRET_OF_MINE'))`,
      {
        configuration: { script: 'train.py', target: 'prepared' },
        environment: { PATH: process.env['PATH'] ?? '', SECRET_OF_MINE: 'hunter2' },
      },
    );
    assert.equal((await home.ended(run.id)).status, 'Completed');
    assert.equal((await home.log(run.id)).toString(), 'it is; 2 None\n');
    const { code } = await host.exec(['grep', '-r', 'hunter2', `${host.homePath}/.runyard`]);
    assert.equal(code, 1, 'the secret is nowhere on the host');
    const modes = await host.output(['stat', '-c', '%a', `${host.homePath}/.runyard/other root`]);
    assert.equal(modes.trim(), '700');
  },
);

test(
  'changes of a target that would lose its runs are refused; others are taken up by a new connection',
  { skip },
  async () => {
    const run = await submit('import time\nprint("on", flush=True)\ntime.sleep(600)');
    await home.reaches(run.id, 'Running');
    const change = (body: object) =>
      home.client.call('updateCompute', { params: { compute: host.name }, body: body as never }).then(
        () => undefined,
        (error: RunyardError) => error,
      );
    assert.match((await change({ root: '~/elsewhere' }))!.message, /active runs: its root cannot change/);
    assert.match((await change({ host: 'other' }))!.message, /active runs/);
    assert.equal(await change({ slots: 7 }), undefined);
    await home.client.call('connectCompute', { params: { compute: host.name }, body: {} });
    const compute = await home.client.call('getCompute', { params: { compute: host.name } });
    assert.equal(compute.load!.slots, 7);
    const removal = await home.client
      .call('removeCompute', { params: { compute: host.name }, query: { force: 'true' } })
      .then(
        () => undefined,
        (error: RunyardError) => error,
      );
    assert.match(removal!.message, /active run/);
    await home.cancel(run.id);
    assert.equal((await home.ended(run.id)).status, 'Canceled');
    assert.equal(await change({ slots: null, keep: { days: 3 } }), undefined);
  },
);
