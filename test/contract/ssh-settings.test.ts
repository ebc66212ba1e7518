import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import type { Compute } from '../../src/api/compute.ts';
import type { RunyardError } from '../../src/api/errors.ts';
import { passphrase, SshHosts, skipWithoutSshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { TestHome } from '../support/home.ts';
import { addCompute, Person } from '../support/person.ts';

// What a person sets of a target, and of their ssh, at bad moments and in odd ways.
const skip = skipWithoutSshHosts();
const home = new TestHome();
let hosts: SshHosts;
let person: Person;
let plain: SshHost;
let config: SshConfig;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  plain = await hosts.start({ name: 'plain' });
  config = hosts.sshConfig();
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

function connect(compute: string): Promise<Compute> {
  return home.client.call('connectCompute', { params: { compute }, body: {} });
}

function refusal(compute: string): Promise<RunyardError> {
  return connect(compute).then(
    () => assert.fail('it was not refused'),
    (error: RunyardError) => error,
  );
}

for (const also of ['connect', 'test'] as const) {
  test(`another host is set while the old one asks for a password (${also})`, { skip }, async () => {
    const old = await hosts.start({ name: `old-${also}`, signIn: ['password'] });
    const both = hosts.sshConfig();
    await addCompute(home.client, old, both);
    let change: Promise<unknown> | undefined;
    person.answer = ({ compute }) => {
      change ??= home.client.call('updateCompute', { params: { compute }, body: { host: plain.name } });
      return undefined;
    };
    // The question stays open until the settings are others.
    const { answer } = person;
    person.answer = (prompt) => {
      answer(prompt);
      return [old.password];
    };
    const params = { compute: old.name };
    await (
      also === 'connect' ? connect(old.name) : home.client.call('testCompute', { params, body: {} })
    ).catch(() => undefined);
    await change;
    assert.equal((await connect(old.name)).address, `mia@${plain.address}`);
    assert.equal((await home.client.call('getCompute', { params })).facts!.hostname, plain.name);
  });
}

test(
  "the system's ssh asks for the jump host's password as such: the target's never goes there",
  { skip },
  async () => {
    const jump = await hosts.start({ name: 'jump', signIn: ['password'], password: 'of the jump host' });
    const inner = await hosts.start({
      name: 'inner',
      behind: jump,
      signIn: ['password'],
      password: 'of the inner host',
    });
    await addCompute(home.client, inner, hosts.sshConfig(), { transport: 'system' });
    person.answer = ({ secretKey }) =>
      [jump, inner]
        .filter(({ address }) => secretKey === `password:mia@${address}`)
        .map(({ password }) => password);
    assert.equal((await connect('inner')).state, 'connected');
    assert.deepEqual(
      person.asked.map(({ title, refused }) => [title, refused]),
      [
        [`Password of mia@${jump.address}`, false],
        [`Password of mia@${inner.address}`, false],
      ],
    );
  },
);

test('keys in formats that only ssh itself reads', { skip }, async () => {
  const make = (name: string, phrase: string, ...format: string[]) => {
    const file = path.join(hosts.keys.dir, name);
    execFileSync('cp', [hosts.keys.rsa, file], {});
    execFileSync('ssh-keygen', ['-q', '-p', '-f', file, '-P', '', '-N', phrase, ...format]);
    return file;
  };
  const cases: [string, string, boolean][] = [
    [make('pkcs8', '', '-m', 'PKCS8'), 'system', false],
    [make('pkcs8-locked', passphrase, '-m', 'PKCS8'), 'system', true],
    [make('pem-locked', passphrase, '-m', 'PEM'), 'system', true],
    [make('chacha-locked', passphrase, '-Z', 'chacha20-poly1305@openssh.com'), 'system', true],
    [make('pem', '', '-m', 'PEM'), 'builtin', false],
  ];
  for (const [key, transport, locked] of cases) {
    for (const withPublic of [false, true]) {
      if (withPublic) writeFileSync(`${key}.pub`, hosts.keys.public(hosts.keys.rsa));
      const name = `${path.basename(key)}${withPublic ? '-pub' : ''}`;
      await addCompute(home.client, plain, hosts.sshConfig({ identities: [key] }), { name });
      person.asked.length = 0;
      person.answer = () => [passphrase];
      const found = await connect(name);
      assert.equal(found.state, 'connected', name);
      if (!(withPublic && path.basename(key) === 'pem-locked'))
        assert.equal(found.transport, transport, name);
      assert.ok(person.asked.length <= (locked ? 1 : 0), `${name}: ${JSON.stringify(person.asked)}`);
    }
  }
});

test('key files that are none: a folder, unreadable text, a public key alone', { skip }, async () => {
  const odd = path.join(hosts.keys.dir, 'odd');
  writeFileSync(`${odd}-text`, 'no key at all\n');
  writeFileSync(`${odd}-public`, hosts.keys.public(hosts.keys.stranger));
  writeFileSync(`${odd}-putty`, 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nComment: x\n');
  const identities = [
    hosts.keys.dir,
    `${odd}-text`,
    `${odd}-public`,
    `${odd}-putty`,
    `${odd}-not-there`,
    hosts.keys.ed25519,
  ];
  await addCompute(home.client, plain, hosts.sshConfig({ identities }), { name: 'odd-keys' });
  assert.equal((await connect('odd-keys')).state, 'connected');
  assert.deepEqual(person.asked, []);
});

test(
  'folders on the host: odd names work, those that are not ours are refused and left as they are',
  { skip },
  async () => {
    const good: [string, string][] = [
      ['~/with space/"quotes"\'s; $(touch pwned)', 'with space/"quotes"\'s; $(touch pwned)'],
      ['$HOME/by-variable', 'by-variable'],
      ['plain-relative', 'plain-relative'],
    ];
    for (const [i, [root, place]] of good.entries()) {
      await addCompute(home.client, plain, config, { name: `good-${i}`, root, setup: ['cd /tmp'] });
      const found = await connect(`good-${i}`);
      assert.equal(found.facts!.root, path.join(plain.homePath, place));
      assert.equal(statSync(path.join(plain.homeDir, place)).mode & 0o777, 0o700);
    }
    assert.ok(!existsSync(path.join(plain.homeDir, 'pwned')));
    const mode = statSync(plain.homeDir).mode;
    await plain.shell('mkdir -p ~mia/work && echo x > ~mia/work/mine && chmod 755 ~mia/work');
    const bad: [string, RegExp][] = [
      ['$SCRATCH/runyard', /\$SCRATCH is not set/],
      ['~nobody-of-that-name/runyard', /nobody-of-that-name/],
      ['~', /holds other things/],
      ['~/work', /holds other things/],
    ];
    for (const [i, [root, message]] of bad.entries()) {
      await addCompute(home.client, plain, config, { name: `bad-${i}`, root });
      const error = await refusal(`bad-${i}`);
      assert.match(error.message, message);
      assert.match(error.action!, /folder of this compute target/);
    }
    assert.equal(statSync(plain.homeDir).mode, mode);
    assert.equal(statSync(path.join(plain.homeDir, 'work')).mode & 0o777, 0o755);
    assert.ok(!existsSync(path.join(plain.homeDir, '$SCRATCH')));
  },
);

test('what a host says has no power over the terminal', { skip }, async () => {
  const evil = '\u001b[2J\u001b]0;mine\u0007\rPassword of your bank';
  const host = await hosts.start({
    name: 'painter',
    signIn: ['password'],
    sshd: ['Banner /etc/ssh/rig/evil'],
    files: { '/etc/ssh/rig/evil': `${evil}\n` },
  });
  await addCompute(home.client, host, hosts.sshConfig());
  person.answer = () => ['wrong'];
  const error = await refusal('painter');
  assert.match(error.message, /Password of your bank/);
  // eslint-disable-next-line no-control-regex
  const control = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/;
  assert.ok(!control.test(error.message), JSON.stringify(error.message));
  await addCompute(home.client, plain, config, {
    name: 'painting',
    setup: [`printf '\\033[2J\\007mine' >&2`, 'exit 1'],
  });
  const { steps } = await home.client.call('testCompute', { params: { compute: 'painting' }, body: {} });
  assert.match(steps.find(({ id }) => id === 'setup')!.detail, /mine/);
  assert.ok(!steps.some(({ detail }) => control.test(detail)));
});

test('a known hosts file with a space in its name, and one without an end of line', { skip }, async () => {
  const own = hosts.sshConfig({ known: false });
  const file = path.join(path.dirname(own.file), 'known hosts');
  const stranger = `other.example.org ${hosts.keys.public(hosts.keys.stranger)}`;
  writeFileSync(file, stranger);
  writeFileSync(
    own.file,
    readFileSync(own.file, 'utf8').replace(/UserKnownHostsFile .*/, `UserKnownHostsFile "${file}"`),
  );
  person.answer = () => [];
  await addCompute(home.client, plain, own, { name: 'spaced' });
  assert.equal((await connect('spaced')).state, 'connected');
  const lines = readFileSync(file, 'utf8').split('\n');
  assert.equal(lines[0], stranger);
  assert.match(lines[1]!, new RegExp(`^${plain.address} ssh-ed25519 `));
});

test('a revocation list and a command for known hosts are for the system ssh', { skip }, async () => {
  const own = hosts.sshConfig();
  const revoked = path.join(path.dirname(own.file), 'revoked');
  writeFileSync(revoked, plain.knownHosts.map((line) => line.replace(/^\S+ /, '')).join('\n') + '\n');
  const text = readFileSync(own.file, 'utf8');
  writeFileSync(own.file, `${text}  RevokedHostKeys ${revoked}\n`);
  await addCompute(home.client, plain, own, { name: 'revoked' });
  assert.match((await refusal('revoked')).message, /refused|revoked/i);
  const lines = path.join(path.dirname(own.file), 'lines');
  writeFileSync(lines, `${plain.knownHosts.join('\n')}\n`);
  writeFileSync(own.knownHosts, '');
  writeFileSync(own.file, `${text}  KnownHostsCommand /bin/cat ${lines}\n`);
  await addCompute(home.client, plain, own, { name: 'by-command' });
  assert.equal((await connect('by-command')).transport, 'system');
  assert.deepEqual(person.asked, []);
});
