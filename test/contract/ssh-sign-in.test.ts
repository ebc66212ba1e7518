import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, beforeEach, test } from 'node:test';
import type { Compute, ConnectionTest } from '../../src/api/compute.ts';
import { RunyardError } from '../../src/api/errors.ts';
import { passphrase, SshHosts, skipWithoutSshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { TestHome } from '../support/home.ts';
import { addCompute, Person } from '../support/person.ts';

const skip = skipWithoutSshHosts();
const home = new TestHome();
let hosts: SshHosts;
let person: Person;
let plain: SshHost;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  plain = await hosts.start({ name: 'plain' });
  person = new Person(home.client);
});
beforeEach(() => {
  if (!person) return;
  person.asked.length = 0;
  person.answer = () => undefined;
});
after(async () => {
  person?.leave();
  await home.close();
  await hosts?.close();
});

let count = 0;

/** One more target for a host, so that each test begins without a connection. */
function target(host: SshHost, config: SshConfig, more: object = {}): Promise<string> {
  return addCompute(home.client, host, config, { name: `${host.name}-${++count}`, ...more });
}

function connect(compute: string): Promise<Compute> {
  return home.client.call('connectCompute', { params: { compute }, body: {} });
}

function testOf(compute: string): Promise<ConnectionTest> {
  return home.client.call('testCompute', { params: { compute }, body: {} });
}

function refusal(work: Promise<unknown>): Promise<RunyardError> {
  return work.then(
    () => assert.fail('it was not refused'),
    (error: unknown) => {
      assert.ok(error instanceof RunyardError);
      return error;
    },
  );
}

test(
  'a key with a passphrase: asked once, wrong ones told, and never for a host that does not take the key',
  { skip },
  async () => {
    const config = hosts.sshConfig({ identities: [hosts.keys.locked] });
    const name = await target(plain, config);
    const answers = ['wrong', passphrase];
    person.answer = () => [answers.shift()!];
    assert.equal((await connect(name)).state, 'connected');
    assert.deepEqual(
      person.asked.map(({ kind, refused, fields }) => [kind, refused, fields.map(({ secret }) => secret)]),
      [
        ['passphrase', false, [true]],
        ['passphrase', true, [true]],
      ],
    );
    // The server knows it now: another target with the same key asks nobody.
    person.asked.length = 0;
    assert.equal((await connect(await target(plain, config))).state, 'connected');
    assert.deepEqual(person.asked, []);
    const secret = await hosts.start({ name: 'only-password', signIn: ['password'] });
    person.answer = ({ kind }) => (kind === 'password' ? [secret.password] : undefined);
    assert.equal(
      (await connect(await target(secret, hosts.sshConfig({ identities: [hosts.keys.locked] })))).state,
      'connected',
    );
    assert.deepEqual(
      person.asked.map(({ kind }) => kind),
      ['password'],
    );
  },
);

test('a wrong password: three tries, said so, nothing is asked again by itself', { skip }, async () => {
  const host = await hosts.start({ name: 'pass', signIn: ['password'] });
  const name = await target(host, hosts.sshConfig());
  person.answer = () => ['not it'];
  const error = await refusal(connect(name));
  assert.match(error.message, /refused the sign-in \(tried: .*password/);
  assert.deepEqual(
    person.asked.map(({ refused }) => refused),
    [false, true, true],
  );
  const run = await home.script('print(1)', { configuration: { script: 'train.py', target: name } });
  await home.until(run.id, 'waiting', ({ statusReason }) => statusReason.startsWith('Waiting for'));
  assert.equal(person.asked.length, 3);
  const { state, problem } = await home.client.call('getCompute', { params: { compute: name } });
  assert.equal(state, 'attention');
  assert.match(problem!, /refused/);
  // A person signs in, and the run goes on.
  person.answer = () => [host.password];
  assert.equal((await connect(name)).state, 'connected');
  assert.equal((await home.ended(run.id)).status, 'Completed');
  // The password was right: a broken connection is made again without a question.
  const before = person.asked.length;
  await host.reset();
  const again = await home.script('print(2)', { configuration: { script: 'train.py', target: name } });
  assert.equal((await home.ended(again.id)).status, 'Completed');
  assert.equal(person.asked.length, before);
  const kept =
    readFileSync(`${home.dir}/computes.json`, 'utf8') + readFileSync(`${home.dir}/server/server.log`, 'utf8');
  assert.ok(!kept.includes(host.password) && !kept.includes('not it'));
});

test('nobody answers: the connection waits for a person, and says for what', { skip }, async () => {
  const host = await hosts.start({ name: 'silent', signIn: ['password'] });
  const name = await target(host, hosts.sshConfig());
  const error = await refusal(connect(name));
  assert.match(error.message, /waits for you: Password of mia@/);
  const compute = await home.client.call('getCompute', { params: { compute: name } });
  assert.equal(compute.state, 'attention');
  assert.match(compute.secretKey!, /^password:mia@/);
});

test(
  'a silent try is answered from a secret store and asks nobody; what is forgotten is asked for again',
  { skip },
  async () => {
    const host = await hosts.start({ name: 'stored', signIn: ['password'] });
    const name = await target(host, hosts.sshConfig());
    person.answer = () => assert.fail('nobody is to be asked');
    const key = `password:mia@${host.address}`;
    person.store.set(key, host.password);
    const params = { compute: name };
    await home.client.call('connectCompute', { params, body: { silent: true } });
    assert.deepEqual(
      person.asked.map(({ background, secretKey }) => [background, secretKey]),
      [[true, key]],
    );
    // Another target with the same address: the server knows it, until it is to forget.
    person.store.clear();
    assert.equal((await connect(await target(host, hosts.sshConfig()))).state, 'connected');
    await home.client.call('forgetSecrets', { body: { keys: [key] } });
    person.answer = () => undefined;
    await refusal(connect(await target(host, hosts.sshConfig())));
    assert.equal(person.asked.length, 2);
  },
);

test('keyboard-interactive: each question is shown as the host asks it', { skip }, async () => {
  const host = await hosts.start({ name: 'kbd', signIn: ['keyboard-interactive'] });
  const name = await target(host, hosts.sshConfig());
  person.answer = () => [host.password];
  assert.equal((await connect(name)).state, 'connected');
  assert.equal(person.asked.length, 1);
});

test('the ssh agent signs', { skip }, async () => {
  const agent = await hosts.agent([hosts.keys.ed25519]);
  const config = hosts.sshConfig({ identities: [], agent });
  assert.equal((await connect(await target(plain, config))).state, 'connected');
  assert.deepEqual(person.asked, []);
});

test('a wrong key is refused with what was tried', { skip }, async () => {
  const error = await refusal(
    connect(await target(plain, hosts.sshConfig({ identities: [hosts.keys.stranger] }))),
  );
  assert.match(error.message, /mia@.* refused the sign-in \(tried: .*; it takes publickey/);
  assert.equal(error.code, 'not_permitted');
});

test(
  'an unknown host key is asked about with its fingerprint, recorded, and not asked again; a changed one is refused',
  { skip },
  async () => {
    const host = await hosts.start({ name: 'keys' });
    const config = hosts.sshConfig({ known: false });
    const name = await target(host, config);
    const refused = await refusal(connect(name));
    assert.match(refused.message, /not known, and was not accepted/);
    assert.ok(person.asked[0]!.message.includes(await host.fingerprint()));
    assert.equal(readFileSync(config.knownHosts, 'utf8').trim(), '');
    person.answer = () => [];
    assert.equal((await connect(name)).state, 'connected');
    assert.match(readFileSync(config.knownHosts, 'utf8'), /ssh-ed25519/);
    person.asked.length = 0;
    assert.equal((await connect(await target(host, config))).state, 'connected');
    assert.deepEqual(person.asked, []);
    await host.changeHostKeys();
    const changed = await refusal(connect(await target(host, config)));
    assert.match(changed.message, /is not the one that was recorded .*known_hosts, line 1/);
    assert.match(changed.action!, /ssh-keygen -R/);
    assert.deepEqual(person.asked, []);
  },
);

test('a revoked host key is refused', { skip }, async () => {
  const config = hosts.sshConfig();
  const lines = readFileSync(config.knownHosts, 'utf8')
    .split('\n')
    .filter((line) => line.includes(plain.address));
  writeFileSync(config.knownHosts, lines.map((line) => `@revoked ${line.replace(/^\S+/, '*')}\n`).join(''));
  const error = await refusal(connect(await target(plain, config)));
  assert.match(error.message, /revoked/);
});

test('a hashed known_hosts, with a key of another type recorded too', { skip }, async () => {
  const host = await hosts.start({ name: 'two-keys', hostKeys: ['ed25519', 'rsa'] });
  const config = hosts.sshConfig({ known: false, lines: ['HashKnownHosts yes'] });
  person.answer = () => [];
  assert.equal((await connect(await target(host, config))).state, 'connected');
  const text = readFileSync(config.knownHosts, 'utf8');
  assert.match(text, /^\|1\|/);
  assert.ok(!text.includes(host.address));
  // Only the RSA key is known: the host is asked for that one.
  writeFileSync(config.knownHosts, host.knownHosts.filter((line) => line.includes('ssh-rsa')).join('\n'));
  person.asked.length = 0;
  assert.equal((await connect(await target(host, config))).state, 'connected');
  assert.deepEqual(person.asked, []);
});

test('certificates of both sides go through the system ssh', { skip }, async () => {
  const host = await hosts.start({ name: 'certified', signIn: ['certificate'], hostCertificate: true });
  const config = hosts.sshConfig({ identities: [hosts.keys.certified] });
  const { state, transport } = await connect(await target(host, config));
  assert.deepEqual([state, transport], ['connected', 'system']);
  assert.deepEqual(person.asked, []);
});

test("the system's ssh asks through us: password, host key; a run works there too", { skip }, async () => {
  const host = await hosts.start({ name: 'system', signIn: ['password'] });
  const name = await target(host, hosts.sshConfig({ known: false }), { transport: 'system' });
  person.answer = ({ kind }) => (kind === 'host-key' ? [] : [host.password]);
  const { state, transport } = await connect(name);
  assert.deepEqual([state, transport], ['connected', 'system']);
  assert.deepEqual(
    person.asked.map(({ kind }) => kind),
    ['host-key', 'password'],
  );
  assert.ok(person.asked[0]!.message.includes(await host.fingerprint()), person.asked[0]!.message);
  const run = await home.script('print("over system ssh")', {
    configuration: { script: 'train.py', target: name },
  });
  assert.equal((await home.ended(run.id)).status, 'Completed');
});

test('a ProxyCommand goes through the system ssh', { skip }, async () => {
  const inner = await hosts.start({ name: 'proxied', behind: plain });
  const config = hosts.sshConfig();
  const text = readFileSync(config.file, 'utf8').replace(
    / {2}ProxyJump plain/,
    `  ProxyCommand ssh -F ${config.file} -W %h:%p plain`,
  );
  writeFileSync(config.file, text);
  const { state, transport } = await connect(await target(inner, config));
  assert.deepEqual([state, transport], ['connected', 'system']);
});

test(
  'no python3, one that is too old, a folder that cannot be written: said with what to do',
  { skip },
  async () => {
    const cases: [string, object, RegExp, RegExp][] = [
      ['bare', { python: 'none' }, /no python3 on the PATH/, /set-up lines/],
      ['ancient', { python: 'old' }, /older than Python 3\.6/, /set-up lines/],
      [
        'locked',
        { readOnlyRoot: true },
        /cannot be used|belongs to somebody else/,
        /folder of this compute target/,
      ],
    ];
    for (const [name, options, message, action] of cases) {
      const host = await hosts.start({ name, ...options });
      const compute = await target(host, hosts.sshConfig());
      const error = await refusal(connect(compute));
      assert.match(error.message, message);
      assert.match(error.action!, action);
      const { ok, steps } = await testOf(compute);
      assert.equal(ok, false);
      const failed = steps.find(({ state }) => state === 'failed')!;
      assert.match(failed.detail, message);
      assert.ok(failed.action);
      const after = await home.client.call('getCompute', { params: { compute } });
      assert.equal(after.state, 'attention');
      assert.match(after.problem!, message);
    }
  },
);

test('a connection test says every step', { skip }, async () => {
  const { ok, steps } = await testOf(await target(plain, hosts.sshConfig()));
  assert.ok(ok, JSON.stringify(steps, null, 1));
  const ids = steps.map(({ id }) => id);
  for (const id of [
    'configuration',
    'connect',
    'host-key',
    'sign-in',
    'python',
    'root',
    'agent',
    'interpreter',
    'survival',
  ])
    assert.ok(ids.includes(id), `${id} is missing in ${ids.join(', ')}`);
});

test(
  'names that try to be options, and settings that make no sense, are refused before anything is written',
  { skip },
  async () => {
    const bad: [object, RegExp][] = [
      [{ name: 'x', host: '-oProxyCommand=touch /tmp/pwned' }, /host/],
      [{ name: 'x', host: 'a b' }, /host/],
      [{ name: 'x', host: 'gpu:abc' }, /host/],
      [{ name: 'x', host: 'gpu', user: '-l' }, /user/],
      [{ name: '../x', host: 'gpu' }, /name/],
      [{ name: 'local', host: 'gpu' }, /this machine/],
      [{ name: 'x', host: 'gpu', port: 70000 }, /port/],
      [{ name: 'x', host: 'gpu', setup: ['a\nb'] }, /setup/],
      [{ name: 'x', host: 'gpu', surprise: 1 }, /surprise/],
    ];
    for (const [body, message] of bad) {
      const error = await refusal(home.client.call('addCompute', { body: body as never }));
      assert.equal(error.code, 'bad_request');
      assert.match(error.message, message);
    }
    const before = readFileSync(`${home.dir}/computes.json`, 'utf8');
    await refusal(home.client.call('addCompute', { body: { name: `plain-1`, host: 'gpu' } }));
    assert.equal(readFileSync(`${home.dir}/computes.json`, 'utf8'), before);
  },
);
