import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { RunyardError } from '../../src/api/errors.ts';
import { repository, TestHome } from '../support/home.ts';
import { addCompute } from '../support/person.ts';
import { SshHosts, skipWithoutSshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';

// A host is not trusted: whatever stands in the agent's place, we end with a sentence, and with our files as they were.
const skip = skipWithoutSshHosts();
const home = new TestHome();
let hosts: SshHosts;
let host: SshHost;
let config: SshConfig;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  const program = readFileSync(path.join(repository, 'test/fixtures/evil-python.py'), 'utf8');
  host = await hosts.start({
    name: 'evil',
    files: { '/opt/evil/python3': { content: program, mode: 0o755 } },
  });
  config = hosts.sshConfig();
});
after(async () => {
  await home.close();
  await hosts?.close();
});

function evil(mode: string): Promise<string> {
  const setup = ['export PATH=/opt/evil:$PATH', `export EVIL=${mode}`];
  return addCompute(home.client, host, config, { name: mode, setup });
}

function connect(compute: string): Promise<RunyardError | undefined> {
  return home.client.call('connectCompute', { params: { compute }, body: {} }).then(
    () => undefined,
    (error: RunyardError) => error,
  );
}

test('a peer that ends at once, talks without end, or speaks garbage at any stage', { skip }, async () => {
  const cases: [string, RegExp][] = [
    ['exits', /could not be started|ended the connection/],
    ['endless', /talks without end/],
    ['bad-start', /speaks garbage/],
    ['bad-frames', /speaks no protocol of ours/],
    ['huge-frame', /larger than the protocol allows/],
    ['bad-hello', /speaks garbage/],
    ['other-nonce', /could not be started|ended the connection/],
  ];
  for (const [mode, message] of cases) {
    const error = await connect(await evil(mode));
    assert.ok(error, `${mode} was taken for an agent`);
    assert.match(error.message, message, mode);
    assert.ok(error.message.length < 2000);
  }
  const { memoryBytes } = await home.client.call('getServer');
  assert.ok(memoryBytes < 400e6);
});

test(
  'an agent that lies about paths, sizes and hashes harms nothing outside of the run',
  { skip },
  async () => {
    const before = readdirSync(home.dir).sort();
    const run = await home.script('', { configuration: { script: 'train.py', target: await evil('liar') } });
    const ended = await home.ended(run.id);
    assert.equal(ended.status, 'Completed', JSON.stringify(ended.error));
    const { artifacts } = await home.client.call('listArtifacts', {
      params: { workspace: 'default', run: run.id },
    });
    assert.deepEqual(
      artifacts.map((one) => one.path),
      ['outputs/true.txt'],
    );
    assert.deepEqual(readdirSync(home.dir).sort(), before);
    for (const name of ['evil.txt', 'runs/evil.txt', `runs/${run.id}/evil.txt`])
      assert.ok(!existsSync(path.join(home.dir, 'workspaces/default', name)), name);
  },
);

test('ids that try to leave the root folder are refused by the agent itself', { skip }, async () => {
  const honest = await addCompute(home.client, host, config, { name: 'honest' });
  await home.client.call('connectCompute', { params: { compute: honest }, body: {} });
  for (const run of ['../../etc', '..', 'a/b', 'x\0y', '-rf']) {
    const error = await home.client.call('getRun', { params: { workspace: 'default', run } }).then(
      () => undefined,
      (cause: RunyardError) => cause,
    );
    assert.equal(error?.code, 'not_found', run);
  }
});
