import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '../support/home.ts';
import { passphrase, SshHosts, skipWithoutSshHosts, type SshHost } from '../rig/ssh-hosts.ts';

const skip = skipWithoutSshHosts();
const longestMs = 60_000;
const boot = '/proc/sys/kernel/random/boot_id';

let rig: SshHosts;
before(async () => {
  if (skip === false) rig = await SshHosts.open();
});
after(() => rig?.close());

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + longestMs;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `it never came that ${what}`);
    await sleep(20);
  }
}

/** Whether a connection is answered, refused or heard nothing of for a while. */
async function knock(host: SshHost, ms = longestMs): Promise<string> {
  const socket = net.connect(host.port, host.address);
  const timer = setTimeout(() => socket.destroy(new Error('silence')), ms);
  try {
    await once(socket, 'data');
    return 'answered';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

/** A connection that is kept: what is written comes back. */
class Echo {
  readonly child: ChildProcess;
  readonly closed: Promise<number | null>;
  stderr = '';
  private heard = '';

  constructor(host: SshHost, lines: string[] = []) {
    this.child = rig.spawnSsh(rig.sshConfig({ lines }), host, ['cat']);
    this.child.stdout!.on('data', (data: Buffer) => (this.heard += data.toString()));
    this.child.stderr!.on('data', (data: Buffer) => (this.stderr += data.toString()));
    this.child.stdin!.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.child.once('close', resolve));
  }

  say(text: string): void {
    this.child.stdin!.write(text);
  }

  hears(text: string): boolean {
    return this.heard.includes(text);
  }

  async echo(text: string): Promise<void> {
    this.say(text);
    await until(`${text} comes back (${this.stderr})`, () => this.hears(text));
  }

  async end(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.closed;
  }
}

test('keys: three kinds and an agent are let in, a stranger is not', { skip }, async () => {
  const { keys } = rig;
  for (const user of ['mia', 'root'] as const) {
    const host = await rig.start({ user, name: `keys-${user}` });
    for (const key of [keys.ed25519, keys.rsa]) {
      const { stdout, stderr } = await rig.ssh(
        rig.sshConfig({ identities: [key] }),
        host,
        'id -un; hostname; pwd',
      );
      assert.equal(stdout, `${user}\n${host.name}\n${host.homePath}\n`, stderr);
    }
    const locked = rig.sshConfig({ identities: [keys.locked] });
    assert.equal((await rig.ssh(locked, host, 'true', { answer: passphrase })).code, 0);
    assert.equal((await rig.ssh(locked, host, 'true', { answer: 'wrong' })).code, 255);
    const stranger = await rig.ssh(rig.sshConfig({ identities: [keys.stranger] }), host, 'true');
    assert.match(stranger.stderr, /Permission denied \(publickey\)/);
    const agent = await rig.agent([keys.ed25519]);
    assert.equal((await rig.ssh(rig.sshConfig({ identities: [], agent }), host, 'true')).code, 0);
    assert.equal((await rig.ssh(rig.sshConfig({ identities: [] }), host, 'true')).code, 255);
  }
});

for (const signIn of ['password', 'keyboard-interactive'] as const) {
  test(`${signIn} only: the right answer is let in, a wrong one and a key are not`, { skip }, async () => {
    const host = await rig.start({ signIn: [signIn], password: `it's "a" ${signIn}` });
    const config = rig.sshConfig();
    const right = await rig.ssh(config, host, 'id -un', { answer: host.password });
    assert.equal(right.stdout, 'mia\n', right.stderr + host.log());
    assert.equal((await rig.ssh(config, host, 'true', { answer: 'wrong' })).code, 255);
    const key = await rig.ssh(config, host, 'true');
    assert.match(key.stderr, new RegExp(`Permission denied \\(${signIn}\\)`));
  });
}

test('a key and then a question, where the server wants both', { skip }, async () => {
  const sshd = ['AuthenticationMethods publickey,keyboard-interactive'];
  const host = await rig.start({ signIn: ['key', 'keyboard-interactive'], sshd });
  const both = await rig.ssh(rig.sshConfig(), host, 'echo in', { answer: host.password });
  assert.equal(both.stdout, 'in\n', both.stderr);
  assert.equal((await rig.ssh(rig.sshConfig(), host, 'true')).code, 255);
});

test('certificates of users and hosts', { skip }, async () => {
  const host = await rig.start({ signIn: ['certificate'], hostCertificate: true });
  const certified = rig.sshConfig({ identities: [rig.keys.certified] });
  assert.match(readFileSync(certified.knownHosts, 'utf8'), /^@cert-authority /m);
  const { stdout, stderr } = await rig.ssh(certified, host, 'id -un');
  assert.equal(stdout, 'mia\n', stderr);
  assert.equal((await rig.ssh(rig.sshConfig(), host, 'true')).code, 255);
});

test('host keys: unknown, known, changed, of two kinds', { skip }, async () => {
  const host = await rig.start({ hostKeys: ['ed25519', 'rsa'] });
  const strict = rig.sshConfig({ known: false, lines: ['StrictHostKeyChecking yes'] });
  assert.match((await rig.ssh(strict, host, 'true')).stderr, /Host key verification failed/);
  const known = rig.sshConfig({ lines: ['StrictHostKeyChecking yes'] });
  assert.equal((await rig.ssh(known, host, 'true')).code, 0);
  const lines = ['HostKeyAlgorithms rsa-sha2-512', 'StrictHostKeyChecking accept-new'];
  const rsa = rig.sshConfig({ known: false, lines });
  assert.equal((await rig.ssh(rsa, host, 'true')).code, 0);
  assert.match(readFileSync(rsa.knownHosts, 'utf8'), / ssh-rsa /);
  const asked = await rig.ssh(rig.sshConfig({ known: false }), host, 'true', { answer: 'no' });
  assert.match(asked.stderr, /Host key verification failed/);
  assert.match(await host.fingerprint('rsa'), /^SHA256:/);
  await host.changeHostKeys();
  const changed = await rig.ssh(known, host, 'true');
  assert.match(changed.stderr, /REMOTE HOST IDENTIFICATION HAS CHANGED/);
  assert.ok(changed.stderr.includes(await host.fingerprint()), changed.stderr);
});

test('behind a jump host: through it only, also after the jump host has rebooted', { skip }, async () => {
  const jump = await rig.start({ name: 'jump' });
  const inner = await rig.start({ name: 'inner', behind: jump });
  const through = await rig.ssh(rig.sshConfig(), inner, 'hostname');
  assert.equal(through.stdout, 'inner\n', through.stderr);
  assert.match(
    inner.log(),
    new RegExp(`Accepted publickey for mia from ${inner.address.replace(/\d+$/, '')}`),
  );
  const direct = rig.spawnSsh(rig.sshConfig(), inner, ['-o', 'ProxyJump=none', 'true']);
  assert.equal((await once(direct, 'exit'))[0], 255);
  assert.match(await knock(inner), /^(EHOSTUNREACH|ENETUNREACH)$/);
  await jump.reboot();
  assert.equal((await rig.ssh(rig.sshConfig(), inner, 'true')).code, 0);
  await inner.cut();
  const cut = await rig.ssh(rig.sshConfig({ lines: ['ConnectTimeout 1'] }), inner, 'true');
  assert.equal(cut.code, 255, cut.stderr);
  await inner.mend();
  assert.equal((await rig.ssh(rig.sshConfig(), inner, 'true')).code, 0);
});

test('a noisy host writes before the command, to both outputs', { skip }, async () => {
  for (const user of ['mia', 'root'] as const) {
    const host = await rig.start({ noisy: true, user });
    const { stdout, stderr } = await rig.ssh(rig.sshConfig(), host, 'echo mine');
    assert.equal(stdout, 'Welcome to the cluster! {"type": 1}\nno end of linemine\n');
    assert.match(stderr, /Authorised people only[^]*quota: 93% used/);
  }
});

test('Python: usual, after a set-up line, none, too old', { skip }, async () => {
  const ask = `python3 -S -E -c 'import sys; print("%d.%d" % sys.version_info[:2], sys.argv[1:])' a 'b c'`;
  const find =
    'for p in python3 python python2 pypy3; do command -v $p; done; ls /usr/bin | grep -Ex "python[0-9.]*"';
  const usual = await rig.start();
  assert.match((await rig.ssh(rig.sshConfig(), usual, ask)).stdout, /^3\.\d+ \['a', 'b c'\]\n$/);
  const setup = await rig.start({ python: 'setup' });
  assert.equal((await rig.ssh(rig.sshConfig(), setup, ask)).code, 127);
  assert.equal((await rig.ssh(rig.sshConfig(), setup, find)).stdout, '');
  const line = `${setup.setup}; ${ask}; python3 -c 'import sys, hashlib, json, zipimport; print(sys.executable)'`;
  assert.match(
    (await rig.ssh(rig.sshConfig(), setup, line)).stdout,
    /^3\.\d+ \['a', 'b c'\]\n\/opt\/tools\/bin\/python3\n$/,
  );
  const none = await rig.start({ python: 'none' });
  assert.equal((await rig.ssh(rig.sshConfig(), none, `${setup.setup}; ${ask}`)).code, 127);
  assert.equal((await rig.ssh(rig.sshConfig(), none, find)).stdout, '');
  const old = await rig.start({ python: 'old' });
  assert.equal((await rig.ssh(rig.sshConfig(), old, ask)).stdout, `3.5 ['a', 'b c']\n`);
  const byInput = await rig.ssh(rig.sshConfig(), old, 'python3 - x', {
    input: 'import sys\nprint(sys.argv)\n',
  });
  assert.equal(byInput.stdout, "['-', 'x']\n", byInput.stderr);
  assert.equal((await rig.ssh(rig.sshConfig(), old, 'python3 --version')).stdout, 'Python 3.5.10\n');
  assert.ok(existsSync('/usr/bin/python3'));
});

test('a root folder that cannot be written', { skip }, async () => {
  const host = await rig.start({ readOnlyRoot: true });
  const { code, stderr } = await rig.ssh(rig.sshConfig(), host, 'mkdir ~/.runyard/host');
  assert.equal(code, 1);
  assert.match(stderr, /Permission denied/);
  assert.equal((await rig.ssh(rig.sshConfig(), host, 'touch ~/elsewhere')).code, 0);
});

for (const shell of ['/bin/dash', '/usr/bin/fish', '/usr/bin/tcsh', '/usr/bin/zsh']) {
  const without = skipWithoutSshHosts({ shell });
  test(`login shell ${shell}`, { skip: without }, async () => {
    const host = await rig.start({ shell });
    const { stdout, stderr } = await rig.ssh(rig.sshConfig(), host, 'echo $0 $SHELL; ps -o comm= -p $PPID');
    const real = await rig.ssh(rig.sshConfig(), host, "exec /bin/sh -c 'echo $SHELL'");
    assert.equal(real.stdout, `${shell}\n`, stdout + stderr);
  });
}

test('a host is a system of its own', { skip }, async () => {
  const host = await rig.start({
    files: {
      '/etc/profile.d/modules.sh': 'export FROM_PROFILE=yes\n',
      '/home/mia/mine': { content: 'x', mode: 0o600, user: 'mia' },
    },
  });
  const config = rig.sshConfig();
  const said = await rig.ssh(
    config,
    host,
    '. /etc/profile; echo $FROM_PROFILE; stat -c "%U %a" ~/mine; ls /tmp',
  );
  assert.equal(said.stdout, 'yes\nmia 600\n');
  writeFileSync(path.join(host.homeDir, 'from-here'), 'here');
  assert.equal((await rig.ssh(config, host, 'cat from-here; echo there > from-there')).stdout, 'here');
  assert.equal(readFileSync(path.join(host.homeDir, 'from-there'), 'utf8'), 'there\n');
  assert.equal(readFileSync(host.path('/home/mia/from-there'), 'utf8'), 'there\n');
  assert.equal((await rig.ssh(config, host, `cat ${process.cwd()}/package.json`)).code, 1);
  assert.equal(readFileSync('/etc/passwd', 'utf8').includes('/home/mia'), false);
  assert.equal(existsSync('/etc/profile.d/modules.sh'), false);
  const ask = `nohup setsid env MARK=stray-${process.pid} sleep 1000 > /dev/null 2>&1 & echo $!`;
  const inside = Number((await rig.ssh(config, host, ask)).stdout);
  await until('the stray process is there', () => host.processes(`MARK=stray-${process.pid}`).length === 1);
  await until('no connection is left', () => host.sessions().length === 0);
  const [stray] = host.processes();
  assert.equal(host.outer(inside), stray);
  assert.deepEqual(host.processes('no such mark'), []);
  process.kill(stray!, 'SIGKILL');
  await until('it is gone', () => host.processes().length === 0 && host.outer(inside) === undefined);
  const sftp = execFileSync('sftp', ['-q', '-F', config.file, '-b', '-', host.name], { input: 'ls mine\n' });
  assert.match(sftp.toString(), /mine/);
  assert.equal((await host.shell('id -un; echo $HOME')).stdout.split('\n')[0], 'mia');
});

for (const link of ['veth', 'tun'] as const) {
  const without = skipWithoutSshHosts({ tun: link === 'tun' });
  test(
    `${link}: a cut drops packets and tells nobody, and what was sent arrives later`,
    { skip: without },
    async () => {
      const host = await rig.start({ link });
      const live = new Echo(host);
      try {
        await live.echo('before');
        await host.cut();
        live.say('during');
        assert.equal(await knock(host, 1500), 'silence');
        assert.equal(live.hears('during'), false);
        assert.equal(live.child.exitCode, null);
        await host.mend();
        await until('what was said arrives', () => live.hears('during'));
        assert.equal(await knock(host), 'answered');
      } finally {
        await live.end();
      }
    },
  );
}

test('a reset ends connections, and so does the end of what serves them', { skip }, async () => {
  const host = await rig.start();
  for (const end of [() => host.reset(), () => host.killSessions()]) {
    const live = new Echo(host);
    await live.echo('before');
    assert.ok(host.sessions().length > 0);
    await end();
    assert.equal(await live.closed, 255);
    assert.match(live.stderr, /reset by peer|closed by remote host|broken pipe/i);
    await until('the server knows', () => host.sessions().length === 0);
    assert.equal(await knock(host), 'answered');
  }
  const socket = net.connect(host.port, host.address);
  await once(socket, 'data');
  const ended = once(socket, 'close').catch((error: NodeJS.ErrnoException) => error.code);
  await host.reset();
  assert.equal(await ended, 'ECONNRESET');
});

test('the server stops and starts: the live connection stays, a new one is refused', { skip }, async () => {
  const host = await rig.start();
  const live = new Echo(host);
  try {
    await live.echo('before');
    await host.stopSshd();
    assert.equal(await knock(host), 'ECONNREFUSED');
    await live.echo('after');
    await host.startSshd();
    assert.equal(await knock(host), 'answered');
    await host.restartSshd();
    await live.echo('still');
  } finally {
    await live.end();
  }
});

test('a reboot ends every process, changes the boot id and keeps the homes', { skip }, async () => {
  const host = await rig.start();
  const config = rig.sshConfig();
  const first = (await rig.ssh(config, host, `cat ${boot}; echo kept > file`)).stdout;
  await rig.ssh(config, host, 'setsid sleep 1000 > /dev/null 2>&1 &');
  await until('it runs', () => host.processes('sleep').length === 1);
  const [pid] = host.processes('sleep');
  const live = new Echo(host, ['ServerAliveInterval 1', 'ServerAliveCountMax 2']);
  await live.echo('before');
  await host.reboot();
  assert.equal(isAlive(pid!), false);
  assert.deepEqual(host.processes(), []);
  const second = await rig.ssh(config, host, `cat ${boot} file`);
  assert.match(second.stdout, /^[0-9a-f-]{36}\nkept\n$/, second.stderr);
  assert.notEqual(second.stdout.split('\n')[0], first.trim());
  assert.notEqual(second.stdout.split('\n')[0], readFileSync(boot, 'utf8').trim());
  assert.equal(await live.closed, 255);
  await host.stop();
  assert.match(await knock(host), /^(EHOSTUNREACH|ENETUNREACH)$/);
  await host.resume();
  assert.equal((await rig.ssh(config, host, 'cat file')).stdout, 'kept\n');
});

test(
  'a slow link takes as long as asked, a lossy one loses',
  { skip: skipWithoutSshHosts({ tun: true }) },
  async () => {
    const host = await rig.start({ link: 'tun', weather: { delay: 0.025 } });
    const round = async (): Promise<number> => {
      const began = performance.now();
      assert.equal(await knock(host), 'answered');
      return performance.now() - began;
    };
    // One round to connect, and the server's first line half of another.
    assert.ok((await round()) >= 75);
    await host.weather({ delay: 0.1 });
    assert.ok((await round()) >= 300);
    await host.weather({ delay: 0, loss: 1 });
    assert.equal(await knock(host, 1000), 'silence');
    await host.weather({ loss: 0.1 });
    const input = Buffer.alloc(300_000, 'some text ');
    const { stdout } = await rig.ssh(rig.sshConfig(), host, 'sha256sum; cat /dev/null', { input });
    const expected = execFileSync('sha256sum', { input }).toString();
    assert.equal(stdout, expected);
    await host.weather({ loss: 0, rate: 1_000_000 });
    const began = performance.now();
    const slow = await rig.ssh(rig.sshConfig(), host, 'wc -c', { input: Buffer.alloc(1_000_000) });
    assert.equal(slow.stdout.trim(), '1000000');
    assert.ok(performance.now() - began >= 1000);
    await assert.rejects((await rig.start()).weather({ delay: 1 }), /link: 'tun'/);
  },
);

/** What a rig leaves that is not there any more. */
function leftovers(base: string, prefix: string): string[] {
  const command = (pid: string): string => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'latin1') + readFileSync(`/proc/${pid}/environ`, 'latin1');
    } catch {
      return '';
    }
  };
  const lines = (text: string): string[] => text.split('\n').filter((line) => line.includes(prefix));
  return [
    ...(existsSync(base) ? [base] : []),
    ...lines(execFileSync('ip', ['-4', 'route'], { encoding: 'utf8' })),
    ...lines(execFileSync('ip', ['-4', '-o', 'addr'], { encoding: 'utf8' })),
    ...lines(readFileSync('/proc/self/mountinfo', 'utf8')),
    ...readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && command(pid).includes(base)),
  ];
}

test('nothing is left after close, and others are untouched', { skip }, async () => {
  const other = await rig.start();
  const mine = await SshHosts.open();
  mkdirSync(path.join(mine.base, 'more'));
  const jump = await mine.start({ python: 'none' });
  const link = existsSync('/dev/net/tun') ? 'tun' : 'veth';
  const hosts = [jump, await mine.start({ behind: jump }), await mine.start({ link })];
  const prefix = jump.address.replace(/\d+$/, '');
  assert.notEqual(prefix, other.address.replace(/\d+$/, ''));
  await mine.agent([mine.keys.ed25519]);
  const config = mine.sshConfig();
  for (const host of hosts) await mine.ssh(config, host, 'setsid sleep 1000 > /dev/null 2>&1 &');
  const strays = hosts.flatMap((host) => host.processes('sleep'));
  assert.equal(strays.length, 3);
  assert.ok(leftovers(mine.base, prefix).length > 4);
  await mine.close();
  assert.deepEqual(leftovers(mine.base, prefix), []);
  assert.deepEqual(strays.filter(isAlive), []);
  assert.equal(await knock(other), 'answered');
});

test('nothing is left when the test itself was killed', { skip }, async () => {
  const source = `
    import { SshHosts } from ${JSON.stringify(path.join(import.meta.dirname, '../rig/ssh-hosts.ts'))};
    const rig = await SshHosts.open();
    const host = await rig.start();
    await rig.ssh(rig.sshConfig(), host, 'setsid sleep 1000 > /dev/null 2>&1 &');
    console.log(JSON.stringify([rig.base, host.address.replace(/\\d+$/, ''), ...host.processes('sleep')]));
    setInterval(() => undefined, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const [base, prefix, pid] = JSON.parse(line.toString()) as [string, string, number];
  assert.ok(isAlive(pid));
  child.kill('SIGKILL');
  await until('all is gone', () => leftovers(base, prefix).length === 0 && !isAlive(pid));
});
