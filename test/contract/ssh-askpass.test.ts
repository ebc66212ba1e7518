import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { SshHosts, skipWithoutSshHosts } from '../rig/ssh-hosts.ts';
import { isAlive, TestHome } from '../support/home.ts';
import { addCompute, Person } from '../support/person.ts';

// The folder by which the system's ssh asks through us: for us alone, and gone once nothing is asked any more.
const skip = skipWithoutSshHosts();
const temporary = mkdtempSync('/tmp/ry-tmp-');
const home = new TestHome({ server: { TMPDIR: temporary } });
let hosts: SshHosts;

before(async () => {
  if (skip === false) hosts = await SshHosts.open();
});
after(async () => {
  await home.close();
  await hosts?.close();
  rmSync(temporary, { recursive: true, force: true });
});

function folders(): string[] {
  return readdirSync(temporary).filter((name) => name.startsWith('runyard-'));
}

test('it is there while something may be asked', { skip }, async () => {
  const host = await hosts.start({ name: 'system', signIn: ['password'] });
  await addCompute(home.client, host, hosts.sshConfig(), { transport: 'system' });
  const person = new Person(home.client);
  let during: number[] = [];
  person.answer = () => {
    during = folders().map((name) => statSync(path.join(temporary, name)).mode & 0o777);
    return [host.password];
  };
  const params = { compute: host.name };
  assert.equal((await home.client.call('connectCompute', { params, body: {} })).state, 'connected');
  assert.deepEqual(during, [0o700]);
  assert.deepEqual(folders(), []);
  person.leave();
});

test('a server that ends in the middle of a question leaves nothing', { skip }, async () => {
  const host = await hosts.start({ name: 'asking', signIn: ['password'] });
  await addCompute(home.client, host, hosts.sshConfig(), { transport: 'system' });
  const asked = new Promise<void>((resolve) => {
    const listening = home.client.events('default', {
      onEvent: (event) => {
        if (event.type !== 'prompt') return;
        listening.close();
        resolve();
      },
    });
  });
  const params = { compute: host.name };
  const connecting = home.client.call('connectCompute', { params, body: {} }).catch(() => undefined);
  await asked;
  assert.equal(folders().length, 1);
  const pid = await home.serverPid();
  process.kill(pid, 'SIGTERM');
  await connecting;
  while (isAlive(pid)) await sleep(5);
  assert.deepEqual(folders(), []);
});
