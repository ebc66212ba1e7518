import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Compute, ConnectionTest } from '../../src/api/compute.ts';
import { SshHosts, skipWithoutSshHosts, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { dist, repository, runCli, TestHome } from '../support/home.ts';

const skip = skipWithoutSshHosts();
const home = new TestHome();
let hosts: SshHosts;
let plain: SshHost;
let secret: SshHost;
let config: SshConfig;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  plain = await hosts.start({ name: 'gpu' });
  secret = await hosts.start({ name: 'secret', signIn: ['password'] });
  config = hosts.sshConfig();
});
after(async () => {
  await home.close();
  await hosts?.close();
});

async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await runCli(home.dir, [...args, '--json']);
  assert.equal(code, 0, stderr + stdout);
  return JSON.parse(stdout) as T;
}

/** A command at a terminal of its own (Python's pty), where every line that is asked for is typed. */
function atTerminal(args: string[], typed: string[]): Promise<{ code: number | null; shown: string }> {
  const program = `
import os, pty, sys, json
args, typed = json.loads(sys.argv[1]), json.loads(sys.argv[2])
pid, fd = pty.fork()
if pid == 0:
    os.execvp(args[0], args)
shown = b''
while True:
    try:
        part = os.read(fd, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
    if typed and (part.endswith(b': ') or part.endswith(b') ')):
        os.write(fd, typed.pop(0).encode() + b'\\r')
sys.stdout.buffer.write(shown)
sys.exit(os.waitpid(pid, 0)[1] >> 8)
`;
  const command = [process.execPath, path.join(dist, 'cli.mjs'), ...args];
  const child = spawn('/usr/bin/python3', ['-c', program, JSON.stringify(command), JSON.stringify(typed)], {
    env: { ...process.env, RUNYARD_HOME: home.dir },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let shown = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, shown })));
}

test('add, list, show, test, edit, submit, remove', { skip }, async () => {
  const candidates = await json<{ host: string; user: string }[]>(
    'compute',
    'hosts',
    '--ssh-config',
    config.file,
  );
  assert.deepEqual(candidates.map(({ host, user }) => [host, user]).sort(), [
    ['gpu', 'mia'],
    ['secret', 'mia'],
  ]);
  await json('compute', 'add', 'gpu', '--ssh-config', config.file, '--setup', 'export ONE=1', 'export TWO=2');
  const { settings } = await json<Compute>('compute', 'show', 'gpu');
  assert.deepEqual(settings!.setup, ['export ONE=1', 'export TWO=2']);
  const { ok, steps } = await json<ConnectionTest>('compute', 'test', 'gpu');
  assert.ok(ok, JSON.stringify(steps));
  const folder = path.join(repository, 'examples/hello');
  const { code, stdout, stderr } = await runCli(home.dir, [
    ...['run', 'submit', folder, '--compute', 'gpu', '--follow'],
    ...['--command', 'echo "$ONE$TWO on $(hostname)"'],
  ]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, '12 on gpu\n');
  const edited = await json<Compute>(
    'compute',
    'edit',
    'gpu',
    '--slots',
    '3',
    '--no-setup',
    '--keep-days',
    '2',
  );
  assert.deepEqual([edited.settings!.slots, edited.settings!.setup, edited.settings!.keep.days], [3, [], 2]);
  assert.equal(edited.settings!.keep.bytes, 50_000_000_000);
  const computes = await json<Compute[]>('compute', 'list');
  assert.deepEqual(
    computes.map(({ name, kind }) => [name, kind]),
    [
      ['local', 'local'],
      ['gpu', 'ssh'],
    ],
  );
  await json('compute', 'remove', 'gpu');
  assert.equal((await runCli(home.dir, ['compute', 'show', 'gpu'])).code, 1);
});

test(
  'a question at a terminal: the password is not shown; a submit asks before anything is written',
  { skip },
  async () => {
    await json('compute', 'add', 'secret', '--ssh-config', config.file);
    const folder = path.join(repository, 'examples/hello');
    const submit = ['run', 'submit', folder, '--compute', 'secret', '--wait', '--command', 'true'];
    const nobody = await runCli(home.dir, submit);
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /This is no terminal[^]*waits for you: Password of mia@/);
    const before = (await json<unknown[]>('run', 'list')).length;
    const { code, shown } = await atTerminal(submit, ['wrong', secret.password]);
    assert.equal(code, 0, shown);
    assert.match(shown, /Password of mia@/);
    assert.match(shown, /was not right/);
    assert.ok(!shown.includes(secret.password));
    assert.equal((await json<unknown[]>('run', 'list')).length, before + 1);
  },
);

test('an unknown host key at a terminal: only yes accepts it, and it is recorded', { skip }, async () => {
  const unknown = hosts.sshConfig({ known: false });
  // A relative path counts from here, not from where the server is.
  const relative = path.relative(process.cwd(), unknown.file);
  await json('compute', 'add', 'unknown', 'gpu', '--ssh-config', relative);
  const no = await atTerminal(['compute', 'test', 'unknown'], ['no']);
  assert.equal(no.code, 1, no.shown);
  assert.match(no.shown, /was not accepted/);
  assert.equal((await readFile(unknown.knownHosts, 'utf8')).trim(), '');
  const yes = await atTerminal(['compute', 'test', 'unknown'], ['yes']);
  assert.equal(yes.code, 0, yes.shown);
  assert.ok(yes.shown.includes(await plain.fingerprint()));
  assert.match(await readFile(unknown.knownHosts, 'utf8'), new RegExp(plain.address.replaceAll('.', '\\.')));
  await json('compute', 'remove', 'unknown');
});

test('what stayed on its host is said at the end of a run, and what a fetch brought', { skip }, async () => {
  await json('compute', 'add', 'gpu', '--ssh-config', config.file);
  const folder = path.join(repository, 'examples/hello');
  const ran = await runCli(home.dir, [
    ...['run', 'submit', folder, '--compute', 'gpu', '--name', 'large', '--wait'],
    ...['--command', 'mkdir -p outputs && truncate -s 300000000 outputs/model.bin'],
  ]);
  assert.equal(ran.code, 0, ran.stderr);
  const run = /1 file \(300 MB\) stayed on gpu; .*: runyard run fetch (\S+)$/m.exec(ran.stderr)?.[1];
  assert.ok(run, ran.stderr);
  const list = await runCli(home.dir, ['run', 'list', '--limit', '1']);
  assert.match(list.stdout, new RegExp(`^${run} +large +hello +gpu +Completed `, 'm'));
  assert.equal((await runCli(home.dir, ['run', 'fetch', run])).stdout, 'fetched 1 file (300 MB)\n');
  assert.match((await runCli(home.dir, ['run', 'fetch', run])).stdout, /^nothing to fetch/);
  await json('compute', 'remove', 'gpu');
});

test(
  'a submit to a host that is away is refused, or waits for it when that is wanted',
  { skip },
  async () => {
    await json('compute', 'add', 'away', '127.0.0.1:1', '--ssh-config', config.file);
    const folder = path.join(repository, 'examples/hello');
    const submit = ['run', 'submit', folder, '--compute', 'away', '--command', 'true'];
    const before = (await json<unknown[]>('run', 'list')).length;
    const refused = await runCli(home.dir, submit);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /Nothing listens at 127.0.0.1[^]*--even-if-away/);
    assert.equal((await json<unknown[]>('run', 'list')).length, before);
    const { id } = await json<{ id: string }>(...submit, '--even-if-away');
    await home.until(id, 'waiting', ({ statusReason }) => /Nothing listens/.test(statusReason));
    await json('run', 'cancel', id, '--wait');
    await json('compute', 'remove', 'away');
  },
);

test('wrong use says what is wrong, and writes nothing', { skip }, async () => {
  const wrong: [string[], number, RegExp][] = [
    [['compute', 'add', 'x', '-oProxyCommand=true'], 2, /unknown option/],
    [['compute', 'add', 'x', '--', '-oProxyCommand=true'], 2, /host name/],
    [['compute', 'add', 'local'], 2, /this machine/],
    [['compute', 'add', 'x', 'h', '--port', 'many'], 2, /not a number/],
    [['compute', 'add', 'x', 'h', '--transport', 'pigeon'], 2, /transport/],
    [['compute', 'edit', 'nobody', '--slots', '2'], 1, /no compute target "nobody"/],
    [['compute', 'remove', 'local'], 2, /always a compute target/],
    [['compute', 'test', 'nobody'], 1, /no compute target/],
    [
      ['run', 'submit', path.join(repository, 'examples/hello'), '--command', 'true', '--compute', 'nobody'],
      1,
      /no compute target/,
    ],
  ];
  for (const [args, expected, message] of wrong) {
    const { code, stderr } = await runCli(home.dir, args);
    assert.match(stderr, message, args.join(' '));
    assert.equal(code, expected, args.join(' '));
  }
  assert.ok(!existsSync(path.join(home.dir, 'workspaces/default/runs/nobody')));
});
