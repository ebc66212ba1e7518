import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SshHosts, skipWithoutSshHosts, type SshHost } from '../rig/ssh-hosts.ts';
import { TestHome } from '../support/home.ts';
import { addCompute } from '../support/person.ts';

// Some hosts end what a session leaves (KillUserProcesses of systemd-logind).
const skip = skipWithoutSshHosts();
const home = new TestHome();
let hosts: SshHosts;
let host: SshHost;

/** What logind does when the last session of a user is over: all that it has left is ended. */
const killer = `#!/usr/bin/python3
import os, signal, subprocess
subprocess.call(['/bin/sh', '-c', os.environ.get('SSH_ORIGINAL_COMMAND', '')])
for name in os.listdir('/proc'):
    if not name.isdigit() or int(name) in (os.getpid(), os.getppid()):
        continue
    try:
        if os.stat('/proc/' + name).st_uid == os.getuid():
            os.kill(int(name), signal.SIGKILL)
    except OSError:
        pass
`;

before(async () => {
  if (skip) return;
  hosts = await SshHosts.open();
  host = await hosts.start({
    name: 'strict',
    files: { '/opt/kill-after': { content: killer, mode: 0o755 } },
    sshd: ['ForceCommand /opt/kill-after'],
  });
});
after(async () => {
  await home.close();
  await hosts?.close();
});

test('a host that ends what a session leaves is found out, with what to do', { skip }, async () => {
  await addCompute(home.client, host, hosts.sshConfig());
  const { ok, steps } = await home.client.call('testCompute', { params: { compute: host.name }, body: {} });
  assert.equal(ok, false);
  const step = steps.find(({ id }) => id === 'survival')!;
  assert.equal(step.state, 'failed', JSON.stringify(steps, null, 1));
  assert.match(step.detail, /ends what a session leaves/);
  assert.ok(step.action);
  assert.deepEqual(
    steps.filter(({ state }) => state === 'failed').map(({ id }) => id),
    ['survival'],
  );
});
