import assert from 'node:assert/strict';
import os from 'node:os';
import { test } from 'node:test';
import { parseOptions } from '../../../src/compute/ssh/options.ts';

const address = { host: 'gpu', user: null, port: null, configFile: null };

function parse(...lines: string[]) {
  return parseOptions(address, ['user mia', 'hostname gpu.example.org', ...lines].join('\n'), undefined);
}

test('names of files with spaces, tokens and variables', () => {
  process.env['RUNYARD_TEST_KEYS'] = '/keys of mine';
  const { userKnownHosts, identityFiles } = parse(
    'userknownhostsfile /a b/known_hosts ~/.ssh/known hosts2 C:\\Users\\Mia M/.ssh/known_hosts',
    'identityfile ${RUNYARD_TEST_KEYS}/%h',
    'identityfile ~/my keys/%r',
  );
  assert.deepEqual(userKnownHosts, [
    '/a b/known_hosts',
    `${os.homedir()}/.ssh/known hosts2`,
    'C:\\Users\\Mia M/.ssh/known_hosts',
  ]);
  assert.deepEqual(identityFiles, ['/keys of mine/gpu.example.org', `${os.homedir()}/my keys/mia`]);
});

test('what only the system client obeys is noticed when it is set', () => {
  assert.deepEqual(parse('hostbasedauthentication no', 'revokedhostkeys none').systemOnly, []);
  assert.deepEqual(parse('revokedhostkeys /etc/revoked', 'bindaddress 10.0.0.1').systemOnly, [
    'RevokedHostKeys',
    'BindAddress',
  ]);
});
