import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { SshHosts, skipWithoutSshHosts, type SshHost } from '../rig/ssh-hosts.ts';
import { repository, TestHome } from '../support/home.ts';
import { addCompute, Person } from '../support/person.ts';

const skip = skipWithoutSshHosts();
const home = new TestHome();
let hosts: SshHosts;
let person: Person;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  person = new Person(home.client);
});
after(async () => {
  person?.leave();
  await home.close();
  await hosts?.close();
});

test('the digits example gives the same metrics on every host', { skip }, async () => {
  const plain = await hosts.start({ name: 'plain' });
  const all: SshHost[] = [
    plain,
    await hosts.start({ name: 'inner', behind: plain }),
    await hosts.start({ name: 'secret', signIn: ['password'] }),
    await hosts.start({ name: 'noisy', noisy: true }),
    await hosts.start({ name: 'tools', python: 'setup' }),
  ];
  const config = hosts.sshConfig();
  person.answer = ({ kind }) => (kind === 'password' ? [all[2]!.password] : undefined);
  for (const host of all) {
    const setup = host.options.python === 'setup' ? [host.setup] : [];
    await addCompute(home.client, host, config, { setup });
    const { state, transport } = await home.client.call('connectCompute', {
      params: { compute: host.name },
      body: {},
    });
    assert.equal(state, 'connected');
    assert.equal(transport, 'builtin');
  }
  const folder = path.join(repository, 'examples/digits');
  const results: string[] = [];
  const submitted = [];
  for (const target of ['local', ...all.map(({ name }) => name)]) {
    const configuration = { script: 'train.py', arguments: ['--epochs', '4'], target };
    submitted.push({ target, run: await home.submit(folder, { configuration }) });
  }
  for (const { target, run } of submitted) {
    const ended = await home.ended(run.id);
    assert.equal(ended.status, 'Completed', `${target}: ${JSON.stringify(ended.error)}`);
    const { series } = await home.client.call('listSeries', {
      params: { workspace: 'default', run: run.id },
    });
    const { artifacts } = await home.client.call('listArtifacts', {
      params: { workspace: 'default', run: run.id },
    });
    const outputs = artifacts.filter((one) => one.path.startsWith('outputs/'));
    assert.ok(outputs.length > 0 && outputs.every(({ stored }) => stored));
    const summary = series.map(({ name, count, last, min, max }) => ({ name, count, last, min, max }));
    results.push(JSON.stringify(summary.filter(({ name }) => !/second|time/i.test(name))));
  }
  assert.deepEqual(new Set(results).size, 1, results.join('\n'));
  assert.deepEqual(
    person.asked.map(({ kind, compute }) => [kind, compute]),
    [['password', 'secret']],
    'one question, once',
  );
});

test('a run in the queue of a host says what it waits for', { skip }, async () => {
  const host = await hosts.start({ name: 'narrow' });
  await addCompute(home.client, host, hosts.sshConfig(), { slots: 1 });
  const configuration = { script: 'train.py', target: 'narrow' };
  const first = await home.script('import time; time.sleep(600)', { configuration });
  await home.reaches(first.id, 'Running');
  const second = await home.script('print(1)', { configuration });
  // As it is submitted, with the journal's own word for it; not only once somebody connects again.
  await home.until(second.id, 'waiting', (run) => run.statusReason === 'Waiting for the only slot');
  const third = await home.script('print(1)', { configuration });
  await home.until(third.id, 'waiting', (run) => run.statusReason === 'Waiting for the only slot (1 ahead)');
  await home.client.call('cancelRun', { params: { workspace: 'default', run: first.id } });
  assert.equal((await home.ended(third.id)).status, 'Completed');
});
