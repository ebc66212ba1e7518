import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  lostHome,
  mountLine,
  mountOf,
  type Surroundings,
} from '../../../src/extension/dev-container/decide.ts';

const root = '600 500 0:53 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/l\n';
const volume = '610 600 8:1 /v/_data /home/mia/.runyard rw - ext4 /dev/sda1 rw\n';
const workspaces = '611 600 8:1 /code /workspaces rw - ext4 /dev/sda1 rw\n';

const inContainer: Surroundings = {
  env: { REMOTE_CONTAINERS: 'true' },
  remoteName: 'dev-container',
  dockerenv: true,
  home: '/home/mia/.runyard',
  existing: '/home/mia',
  homeDevice: 53,
  rootDevice: 53,
  mountinfo: root,
};
const decide = (changes: Partial<Surroundings>) => lostHome({ ...inContainer, ...changes });

test('a home on the file system of a dev container or a codespace would be lost', () => {
  assert.equal(decide({}), 'dev-container');
  assert.equal(decide({ env: {} }), 'dev-container');
  assert.equal(decide({ remoteName: undefined }), 'dev-container');
  assert.equal(decide({ env: { CODESPACES: 'true' }, remoteName: 'codespaces' }), 'codespaces');
  assert.equal(decide({ env: { CODESPACES: 'true', REMOTE_CONTAINERS: 'true' } }), 'codespaces');
  assert.equal(decide({ env: {}, remoteName: 'attached-container' }), 'dev-container');
});

test('a volume or a folder from outside stays', () => {
  const existing = '/home/mia/.runyard';
  assert.equal(decide({ existing, homeDevice: 2049, mountinfo: root + volume }), undefined);
  // A mount of the same device, as with a file system that is shared between both.
  assert.equal(decide({ existing, mountinfo: root + volume }), undefined);
  const home = '/workspaces/.runyard';
  const below = { home, existing: '/workspaces', mountinfo: root + workspaces };
  assert.equal(decide({ ...below, env: { CODESPACES: 'true' }, remoteName: 'codespaces' }), undefined);
  assert.equal(decide({ ...below, home: '/workspaces2/x', existing: '/workspaces2' }), 'dev-container');
});

test("elsewhere nothing is said: a machine, SSH, WSL, a container that is somebody's machine", () => {
  for (const remoteName of [undefined, 'ssh-remote', 'wsl'])
    assert.equal(decide({ env: {}, remoteName }), undefined, String(remoteName));
  assert.equal(decide({ env: {}, remoteName: 'attached-container', dockerenv: false }), undefined);
});

test('mount points: the longest that covers a path, with the names as the kernel writes them', () => {
  const spaced = '612 600 8:1 / /home/mia/my\\040runs rw - ext4 /dev/sda1 rw\n';
  assert.equal(mountOf('/home/mia/my runs/x', root + spaced), '/home/mia/my runs');
  assert.equal(mountOf('/home/mia/my', root + spaced), '/');
  assert.equal(mountOf('/anything', ''), '/');
  assert.equal(
    mountLine('/home/mia/.runyard'),
    '"mounts": ["source=runyard-home,target=/home/mia/.runyard,type=volume"]',
  );
});
