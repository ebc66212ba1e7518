import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Host } from '../../../src/compute/host.ts';
import { HostProblem } from '../../../src/compute/problem.ts';

test('those who wait for a person go on by themselves when the person finds the line broken', async () => {
  const problems: HostProblem[] = [
    new HostProblem('attention', 'a password is needed'),
    new HostProblem('unreachable', 'no line'),
  ];
  let tries = 0;
  let twice: () => void;
  const triedAgain = new Promise<void>((resolve) => (twice = resolve));
  const host = new Host({
    name: 'gpu',
    changed: () => {},
    transport: () => {
      if (++tries === 4) twice();
      return Promise.reject(problems[tries - 1] ?? new HostProblem('unreachable', 'no line'));
    },
  });
  let waits: (problem: HostProblem) => void;
  const rests = new Promise<HostProblem>((resolve) => (waits = resolve));
  const waiting = host.reconnect(
    () => true,
    (problem) => waits(problem),
  );
  assert.equal((await rests).kind, 'attention');
  await assert.rejects(host.connect({ person: true }), /no line/);
  await triedAgain;
  host.stop();
  assert.equal(await waiting, undefined);
});
