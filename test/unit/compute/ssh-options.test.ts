import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { configHosts } from '../../../src/compute/ssh/config-hosts.ts';
import { parseHop, sshOptions } from '../../../src/compute/ssh/options.ts';
import { startText } from '../../../src/compute/ssh/start-agent.ts';

const dir = mkdtempSync(path.join(os.tmpdir(), 'ry-options-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const skip = spawnSync('ssh', ['-V']).error ? 'there is no ssh' : false;

function config(text: string): string {
  const file = path.join(dir, 'config');
  writeFileSync(file, text);
  return file;
}

test('the effective options are those of ssh -G', { skip }, async () => {
  const configFile = config(`
Host gpu
  HostName gpu.example.org
  User mia
  Port 2222
  IdentityFile ~/.ssh/%n-%r
  IdentityFile /keys/two
  IdentitiesOnly yes
  ProxyJump ann@first:1022,second
  UserKnownHostsFile /a /b
  HashKnownHosts yes
  ServerAliveInterval 7
  PreferredAuthentications password,publickey,hostbased
  KbdInteractiveAuthentication no
  StrictHostKeyChecking accept-new
Match originalhost other
  ProxyCommand nc %h %p
  IdentityAgent none
`);
  const address = { host: 'gpu', user: null, port: null, configFile };
  const found = await sshOptions(address, '/tmp/agent.sock');
  assert.equal(found.hostName, 'gpu.example.org');
  assert.deepEqual([found.user, found.port, found.keepAlive], ['mia', 2222, 7]);
  assert.deepEqual(found.identityFiles, [path.join(os.homedir(), '.ssh/gpu-mia'), '/keys/two']);
  assert.deepEqual(found.proxyJump, ['ann@first:1022', 'second']);
  assert.deepEqual(found.userKnownHosts, ['/a', '/b']);
  assert.deepEqual(
    [found.hashKnownHosts, found.identitiesOnly, found.agent],
    [true, true, '/tmp/agent.sock'],
  );
  assert.deepEqual(found.methods, ['password', 'publickey']);
  // An unknown key is asked about whatever the configuration says.
  assert.equal(found.strictHostKeyChecking, 'ask');
  const other = await sshOptions({ ...address, host: 'other', user: 'x', port: 5 }, '/tmp/agent.sock');
  assert.deepEqual([other.user, other.port, other.agent, other.proxyJump], ['x', 5, null, []]);
  assert.match(other.proxyCommand!, /^nc /);
});

test('a configuration that is not there or not right is said', { skip }, async () => {
  const address = { host: 'gpu', user: null, port: null };
  await assert.rejects(
    sshOptions({ ...address, configFile: path.join(dir, 'missing') }, undefined),
    /is not there/,
  );
  await assert.rejects(
    sshOptions({ ...address, configFile: config('Host x\n  NoSuchOption yes\n') }, undefined),
    /cannot be used: .*NoSuchOption|[Bb]ad configuration/i,
  );
});

test('hops of a ProxyJump', () => {
  assert.deepEqual(parseHop('gpu'), { host: 'gpu', user: null, port: null });
  assert.deepEqual(parseHop('mia@gpu:22'), { host: 'gpu', user: 'mia', port: 22 });
  assert.deepEqual(parseHop('ssh://mia@[fe80::1]:2222'), { host: 'fe80::1', user: 'mia', port: 2222 });
  assert.deepEqual(parseHop('[::1]'), { host: '::1', user: null, port: null });
  for (const hop of ['', '-oProxyCommand=x', '-x@gpu', '@']) assert.throws(() => parseHop(hop), /no host/);
});

test('hosts that a configuration names: includes, patterns left out, each once', async () => {
  mkdirSync(path.join(dir, 'conf.d'));
  writeFileSync(path.join(dir, 'conf.d/b.conf'), 'Host from-b "with-quotes"\n');
  writeFileSync(path.join(dir, 'conf.d/a.conf'), `Host from-a\nInclude ${dir}/config\n`);
  const file = config(`
# Host comment
host one two *.example.org !not
Host=three
Include ${dir}/conf.d/*.conf ${dir}/missing
HOST one four # five
`);
  assert.deepEqual(await configHosts(file), [
    'one',
    'two',
    'three',
    'from-a',
    'from-b',
    'with-quotes',
    'four',
  ]);
  assert.deepEqual(await configHosts(path.join(dir, 'nothing')), []);
});

test('the start is one line that any shell hands over, and set-up lines come as they are', () => {
  const odd = [`echo "it's $HOME \`id\`"`, 'a=\\', '# comment', 'x() { echo 測試; }'];
  const text = startText({
    setup: ['printf "%s\\n" ready >"$OUT"', ...odd.slice(0, 1), 'exit 0'],
    root: `~/a 'b' $c`,
    nonce: 'n1',
    hash: 'h',
    size: 1,
    bootstrap: 'import sys\nprint("never")\n',
  });
  const out = path.join(dir, 'out');
  const command = `exec /bin/sh -c 'IFS= read -r RUNYARD_START; eval "$RUNYARD_START"'`;
  const { status } = spawnSync('/bin/sh', ['-c', command], {
    input: text,
    env: { ...process.env, OUT: out },
  });
  assert.equal(status, 0);
  assert.equal(text.split('\n')[0]!.includes('\n'), false);
  assert.equal(spawnSync('cat', [out], { encoding: 'utf8' }).stdout, 'ready\n');
});
