import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunyardError } from '../../src/api/errors.ts';
import { SshHosts, skipWithoutSshHosts, type SshHost } from '../rig/ssh-hosts.ts';
import { TestHome } from '../support/home.ts';
import { addCompute } from '../support/person.ts';

// What is begun while a host is there and ends while it is away, and the other way round.
const skip = skipWithoutSshHosts();
const home = new TestHome();
const longestMs = 120_000;
let hosts: SshHosts;
let host: SshHost;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  host = await hosts.start({ name: 'gpu' });
  await addCompute(home.client, host, hosts.sshConfig());
});
after(async () => {
  await home.close();
  await hosts?.close();
});

const params = (run: string) => ({ workspace: 'default', run });

function submit(source: string, target = host.name) {
  return home.script(source, { configuration: { script: 'train.py', target } });
}

function runFolder(run: string, on = host): string {
  return path.join(on.homeDir, '.runyard/host/runs', run);
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + longestMs;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `it never came that ${what}`);
    await sleep(20);
  }
}

test('a run that is deleted while its host is away goes from there when it is back', { skip }, async () => {
  const run = await submit('print(1)');
  assert.equal((await home.ended(run.id)).status, 'Completed');
  await host.stopSshd();
  host.killSessions();
  await until('the host is away', async () => {
    const { state } = await home.client.call('getCompute', { params: { compute: host.name } });
    return state !== 'connected';
  });
  await home.client.call('deleteRun', { params: params(run.id) });
  // Also by another server than the one that deleted it.
  await home.killServer();
  await host.startSshd();
  assert.ok(existsSync(runFolder(run.id)));
  await home.client.call('connectCompute', { params: { compute: host.name }, body: {} });
  await until('its folder goes', () => !existsSync(runFolder(run.id)));
});

test('two runs leave the same long files at the same time', { skip }, async () => {
  const source = `
import os, time
os.makedirs('outputs')
open('go', 'w')
with open('outputs/model.bin', 'wb') as f:
    f.write(bytes(range(256)) * 400000)
`;
  const runs = await Promise.all([submit(source), submit(source), submit(source)]);
  for (const { id } of runs) {
    assert.equal((await home.ended(id)).status, 'Completed');
    const { artifacts } = await home.client.call('listArtifacts', { params: params(id) });
    assert.equal(artifacts.find((one) => one.path === 'outputs/model.bin')!.stored, true);
  }
  const log = readFileSync(path.join(home.dir, 'server/server.log'), 'utf8');
  assert.ok(!/partial|changed while/.test(log), log);
});

test(
  'a fetch that one asker gives up goes on for the other; the same content is fetched once',
  { skip },
  async () => {
    const source = `
import os
os.makedirs('outputs')
with open('outputs/large.bin', 'wb') as f:
    f.truncate(300000000)
`;
    const [first, second] = await Promise.all([submit(source), submit(source)]);
    for (const { id } of [first, second]) assert.equal((await home.ended(id)).status, 'Completed');
    const abort = new AbortController();
    const other = home.newClient();
    const begun = new Promise<void>((resolve) => {
      const listening = home.client.events('default', {
        onEvent: (event) => {
          if (event.type !== 'fetch') return;
          listening.close();
          resolve();
        },
      });
    });
    const fetch = (client: typeof other, id: string, signal?: AbortSignal) =>
      client.call('fetchArtifacts', { params: params(id), body: {}, ...(signal ? { signal } : {}) }).then(
        () => undefined,
        (error: RunyardError) => error,
      );
    const given = fetch(home.client, first.id, abort.signal);
    await begun;
    const same = fetch(other, first.id);
    const twin = fetch(other, second.id);
    await sleep(50);
    abort.abort();
    await given;
    assert.equal(await same, undefined);
    assert.equal(await twin, undefined);
    other.close();
    for (const { id } of [first, second]) {
      const { artifacts } = await home.client.call('listArtifacts', { params: params(id) });
      assert.equal(artifacts.find((one) => one.path === 'outputs/large.bin')!.stored, true);
    }
  },
);

test(
  'a cancel while the line breaks in the middle of the hand-over reaches the host',
  { skip: skipWithoutSshHosts({ tun: true }) },
  async () => {
    const far = await hosts.start({ name: 'far', link: 'tun' });
    await addCompute(home.client, far, hosts.sshConfig({ lines: ['ServerAliveInterval 5'] }));
    await home.client.call('connectCompute', { params: { compute: 'far' }, body: {} });
    await far.weather({ delay: 1 });
    const run = await submit('import time\ntime.sleep(600)', 'far');
    await until('the host has it', () => existsSync(path.join(runFolder(run.id, far), 'attempts/1')));
    // Its word is on the way.
    await far.cut();
    await home.cancel(run.id);
    await until('the line is known to be broken', async () => {
      const { state } = await home.client.call('getCompute', { params: { compute: 'far' } });
      return state !== 'connected';
    });
    assert.equal((await home.detail(run.id)).status, 'CancelRequested');
    // A new server knows no more than the old one.
    await home.killServer();
    assert.equal((await home.detail(run.id)).status, 'CancelRequested');
    await far.weather({ delay: 0 });
    await far.mend();
    assert.equal((await home.ended(run.id)).status, 'Canceled');
    await until('nothing of it lives', () => far.processes(`RUNYARD_MARK=${run.id}`).length === 0);
    const status = readFileSync(path.join(runFolder(run.id, far), 'attempts/1/status.json'), 'utf8');
    assert.equal((JSON.parse(status) as { state: string }).state, 'Canceled');
  },
);

test(
  'a target that is gone from the file while its runs live: the rest works, and they are collected when it is back',
  { skip },
  async () => {
    const run = await submit('import time\nprint("on", flush=True)\ntime.sleep(600)');
    await home.reaches(run.id, 'Running');
    const file = path.join(home.dir, 'computes.json');
    const text = readFileSync(file, 'utf8');
    for (const damaged of ['{"version": 1, "computes": []}\n', 'no json']) {
      await home.killServer();
      writeFileSync(file, damaged);
      const detail = await home.detail(run.id);
      assert.deepEqual([detail.status, detail.hostReachable], ['Running', false]);
      const local = await home.script('print("here")');
      assert.equal((await home.ended(local.id)).status, 'Completed');
    }
    await home.killServer();
    writeFileSync(file, text);
    await home.until(run.id, 'heard of again', ({ hostReachable }) => hostReachable);
    await home.cancel(run.id);
    assert.equal((await home.ended(run.id)).status, 'Canceled');
    assert.ok(statSync(file).size > 10);
  },
);
