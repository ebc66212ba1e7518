import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import {
  fingerprint,
  KnownHosts,
  knownHostsName,
  recordHostKey,
} from '../../../src/compute/ssh/known-hosts.ts';

const dir = mkdtempSync(path.join(os.tmpdir(), 'ry-known-'));
const file = path.join(dir, 'known_hosts');
after(() => rmSync(dir, { recursive: true, force: true }));
const skip = spawnSync('ssh-keygen', ['-?']).error ? 'there is no ssh-keygen' : false;

/** A key of a type as it goes over the wire; which one is decided by a number. */
function key(n: number, type = 'ssh-ed25519'): Buffer {
  const part = (data: Buffer) => Buffer.concat([Buffer.from([0, 0, 0, data.length]), data]);
  return Buffer.concat([part(Buffer.from(type)), part(createHash('sha256').update(String(n)).digest())]);
}

/** Lines that ssh-keygen finds for a name. */
function oracle(name: string): number[] {
  const { stdout } = spawnSync('ssh-keygen', ['-F', name, '-f', file], { encoding: 'utf8' });
  return [...stdout.matchAll(/found: line (\d+)/g)].map(([, line]) => Number(line));
}

test('which keys are those of a host is what ssh-keygen says', { skip }, async () => {
  const names = ['gpu', 'gpu.example.org', 'other', '10.0.0.1', 'Gpu'];
  const pattern = fc.oneof(
    fc.constantFrom(
      ...names,
      '*',
      'gpu*',
      '*.example.org',
      'g?u',
      '[gpu]:2222',
      '[*]:2222',
      '10.0.0.?',
      'GPU',
    ),
    fc.constantFrom(...names).map((name) => `!${name}`),
  );
  const line = fc.array(pattern, { minLength: 1, maxLength: 3 }).map((patterns) => patterns.join(','));
  const asked = fc.tuple(fc.constantFrom('gpu', 'gpu.example.org', '10.0.0.1'), fc.constantFrom(22, 2222));
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { maxLength: 6 }),
      asked,
      fc.boolean(),
      async (lines, [host, port], hash) => {
        const text = lines.map((one, n) => `${one} ssh-ed25519 ${key(n).toString('base64')}\n`).join('');
        writeFileSync(file, text);
        if (hash) spawnSync('ssh-keygen', ['-H', '-f', file]);
        const known = await KnownHosts.read([file], host, port);
        // Hashing makes a line of each name, so keys are compared, not lines.
        const keys = readFileSync(file, 'utf8')
          .split('\n')
          .map((one) => one.trim().split(' ')[2] ?? '');
        const found = keys.filter((one) => one && known.check(Buffer.from(one, 'base64')).state === 'known');
        const expected = oracle(knownHostsName(host, port)).map((number) => keys[number - 1]!);
        assert.deepEqual(new Set(found), new Set(expected), readFileSync(file, 'utf8'));
      },
    ),
    { numRuns: Number(process.env['RUNYARD_PROPERTY_RUNS'] ?? 60) },
  );
});

test(
  'what is recorded is found again, by us and by ssh-keygen; a file without a last newline is not spoilt',
  { skip },
  async () => {
    writeFileSync(file, `other ssh-ed25519 ${key(1).toString('base64')}`);
    for (const [port, hashed] of [
      [22, false],
      [2222, true],
    ] as const) {
      await recordHostKey(file, key(2), { hostName: 'gpu', port, hashed });
      assert.equal((await KnownHosts.read([file], 'gpu', port)).check(key(2)).state, 'known');
      assert.equal(oracle(knownHostsName('gpu', port)).length, 1);
    }
    assert.equal((await KnownHosts.read([file], 'other', 22)).check(key(1)).state, 'known');
    assert.equal(readFileSync(file, 'utf8').split('\n').length, 4);
  },
);

test('changed, revoked, and unknown of another type are told apart', async () => {
  const line = (patterns: string, n: number, type?: string) =>
    `${patterns} ${type ?? 'ssh-ed25519'} ${key(n, type).toString('base64')}\n`;
  writeFileSync(
    file,
    `# a comment\n\nnonsense\n${line('gpu', 1)}@revoked ${line('*', 9)}${line('gpu', 4, 'ssh-rsa')}`,
  );
  const known = await KnownHosts.read([file, path.join(dir, 'missing')], 'gpu', 22);
  assert.equal(known.check(key(1)).state, 'known');
  assert.deepEqual(known.check(key(2)), { state: 'changed', file, line: 4, type: 'ssh-ed25519' });
  assert.equal(known.check(key(9)).state, 'revoked');
  assert.deepEqual(known.check(key(5, 'ecdsa-sha2-nistp256')), {
    state: 'unknown',
    others: ['ssh-ed25519', 'ssh-rsa'],
  });
  assert.equal(known.check(Buffer.from([1, 2])).state, 'unknown');
  assert.match(fingerprint(key(1)), /^SHA256:[A-Za-z0-9+/]{43}$/);
});
