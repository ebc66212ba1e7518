import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import net, { type AddressInfo } from 'node:net';
import { after, before, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Compute } from '../../src/api/compute.ts';
import type { RunyardError } from '../../src/api/errors.ts';
import { SshHosts, skipWithoutSshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { TestHome } from '../support/home.ts';
import { addCompute, Person } from '../support/person.ts';

// Hosts that stop speaking, and set-up lines that stop the start: each ends with a sentence, and nothing waits for ever.
const skip = skipWithoutSshHosts();
const patienceSeconds = 12;
const home = new TestHome({
  server: {
    RUNYARD_SERVER_START_SECONDS: String(patienceSeconds),
    RUNYARD_SERVER_SIGN_IN_SECONDS: String(patienceSeconds),
  },
});
const longestMs = 120_000;
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

/** A connection that a person wants: the target, or why there is none. It must end within a long time. */
async function connect(compute: string): Promise<Compute | RunyardError> {
  const late = sleep(longestMs, undefined, { ref: false }).then(() => assert.fail('it never ended'));
  return Promise.race([
    home.client.call('connectCompute', { params: { compute }, body: {} }).catch((e: RunyardError) => e),
    late,
  ]);
}

async function refusal(compute: string): Promise<RunyardError> {
  const error = await connect(compute);
  assert.ok(error instanceof Error, 'it was not refused');
  return error;
}

function stateOf(compute: string): Promise<Compute> {
  return home.client.call('getCompute', { params: { compute } });
}

test('a peer that accepts and says nothing is given up, and tried again later', { skip }, async () => {
  const sockets: net.Socket[] = [];
  const mute = net.createServer((socket) => sockets.push(socket.on('error', () => undefined)));
  mute.listen(0, '127.0.0.1');
  await once(mute, 'listening');
  try {
    const { port } = mute.address() as AddressInfo;
    const { file } = hosts.sshConfig({ lines: ['ConnectTimeout 2'] });
    await home.client.call('addCompute', {
      body: { name: 'mute', host: '127.0.0.1', port, configFile: file },
    });
    const error = await refusal('mute');
    assert.match(error.message, /127\.0\.0\.1:\d+ stopped answering/);
    assert.equal((await stateOf('mute')).state, 'unreachable');
  } finally {
    for (const socket of sockets) socket.destroy();
    mute.close();
  }
});

test('a line that drops while the host looks at the password', { skip }, async () => {
  const host = await hosts.start({ name: 'dropping', signIn: ['password'] });
  await addCompute(home.client, host, hosts.sshConfig());
  person.answer = () => undefined;
  const asked = new Promise<string>((resolve) => {
    const listening = home.client.events('default', {
      onEvent: (event) => {
        if (event.type !== 'prompt' || event.prompt.compute !== host.name) return;
        resolve(event.prompt.id);
        listening.close();
      },
    });
  });
  person.leave();
  try {
    const connecting = refusal(host.name);
    const prompt = await asked;
    await host.cut();
    await home.client.call('answerPrompt', { params: { prompt }, body: { answers: [host.password] } });
    assert.match((await connecting).message, /stopped answering/);
    await host.mend();
  } finally {
    person = new Person(home.client);
  }
});

test("a slow person is waited for, also by the system's ssh", { skip }, async () => {
  const host = await hosts.start({ name: 'thinking', signIn: ['password'] });
  await addCompute(home.client, host, hosts.sshConfig(), { transport: 'system' });
  person.leave();
  const listening = home.client.events('default', {
    onEvent: (event) => {
      if (event.type !== 'prompt' || event.prompt.background) return;
      void sleep(patienceSeconds * 1500).then(() =>
        home.client.call('answerPrompt', {
          params: { prompt: event.prompt.id },
          body: { answers: [host.password] },
        }),
      );
    },
  });
  try {
    const found = await connect(host.name);
    assert.ok(!(found instanceof Error), String(found));
    assert.equal(found.state, 'connected');
  } finally {
    listening.close();
    person = new Person(home.client);
  }
});

test(
  'set-up lines that end the shell, or never end, are said to; nothing is tried again by itself',
  { skip },
  async () => {
    const cases: [string, string[], RegExp][] = [
      [
        'exit',
        ['echo "no module of that name" >&2', 'exit 3'],
        /set-up lines ended the shell .*no module of that name/s,
      ],
      ['strict', ['set -e', 'false'], /set-up lines ended the shell/],
      ['replace', ['exec true'], /set-up lines/],
      ['endless', ['sleep 100000'], /set-up lines have not ended/],
    ];
    for (const [name, setup, message] of cases) {
      await addCompute(home.client, plain, config, { name, setup });
      const error = await refusal(name);
      assert.match(error.message, message, name);
      assert.match(error.action!, /set-up lines/, name);
      assert.equal((await stateOf(name)).state, 'attention', name);
    }
  },
);

test('set-up lines that read, write much, move, or take the PATH away', { skip }, async () => {
  const good: [string, string[]][] = [
    ['reading', ['read line', 'cat']],
    ['writing', ['seq 400000', 'seq 400000 >&2']],
    ['marking', ['echo "RUNYARD-START x {}"', 'echo "RUNYARD-CHANNEL x"', 'printf "RUNYARD-START"']],
    ['moving', ['cd /tmp', 'umask 077', 'set -fu', 'IFS=3', "trap 'echo bye' EXIT"]],
    ['broken', ['if then', 'echo "$((']],
  ];
  for (const [name, setup] of good) {
    await addCompute(home.client, plain, config, { name, setup });
    const found = await connect(name);
    assert.ok(!(found instanceof Error), `${name}: ${String(found)}`);
  }
  await addCompute(home.client, plain, config, { name: 'pathless', setup: ['unset PATH'] });
  assert.match((await refusal('pathless')).message, /no python3 on the PATH/);
});

test('login shells of all kinds', { skip }, async () => {
  for (const shell of ['/usr/bin/dash', '/usr/bin/fish', '/usr/bin/tcsh', '/usr/bin/zsh']) {
    const host = await hosts.start({ name: shell.split('/').at(-1)!, shell });
    await addCompute(home.client, host, hosts.sshConfig(), { setup: ['export FROM_SETUP="a b"'] });
    const found = await connect(host.name);
    assert.ok(!(found instanceof Error), `${shell}: ${String(found)}`);
  }
});

test('too many keys for the host: said so, and not tried again and again', { skip }, async () => {
  const host = await hosts.start({ name: 'few-tries', sshd: ['MaxAuthTries 2'] });
  const { keys } = hosts;
  const strangers = [keys.stranger, keys.hostKey('x', 'ed25519'), keys.hostKey('y', 'ed25519')];
  await addCompute(home.client, host, hosts.sshConfig({ identities: [...strangers, keys.ed25519] }));
  const error = await refusal(host.name);
  assert.match(error.message, /Too many authentication failures/);
  assert.match(error.action!, /IdentitiesOnly/);
  assert.equal((await stateOf(host.name)).state, 'attention');
});

test('three methods, one after the other', { skip }, async () => {
  const host = await hosts.start({
    name: 'three',
    signIn: ['key', 'password', 'keyboard-interactive'],
    sshd: ['AuthenticationMethods publickey,password,keyboard-interactive'],
  });
  await addCompute(home.client, host, hosts.sshConfig());
  person.answer = () => [host.password];
  const found = await connect(host.name);
  assert.ok(!(found instanceof Error), String(found));
});

test('known hosts that cannot be written: said with what to do', { skip }, async () => {
  const host = await hosts.start({ name: 'unwritable' });
  const own = hosts.sshConfig({ known: false });
  writeFileSync(
    own.file,
    readFileSync(own.file, 'utf8').replace(
      /UserKnownHostsFile .*/,
      'UserKnownHostsFile /dev/null/known_hosts',
    ),
  );
  await addCompute(home.client, host, own);
  person.answer = () => [];
  const error = await refusal(host.name);
  assert.match(error.message, /cannot be recorded in \/dev\/null\/known_hosts/);
  assert.ok(error.action);
});
