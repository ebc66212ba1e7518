import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { repository } from '../support/home.ts';
import { median, ms, type Figure } from './measure.ts';

const tries = 5;

interface Measured {
  ours: { load: number; call: number };
  /** What our `activate` took by itself, ms. */
  activationMs: number;
  others: Record<string, { load: number; call: number }>;
}

/** `activate()` with the loading of the code, in a real extension host, each time a new one. */
export function benchActivation(): Figure[] {
  const dir = mkdtempSync(path.join(os.tmpdir(), 'ry-bench-'));
  const file = path.join(dir, 'activation.json');
  const ours: number[] = [];
  const calls: number[] = [];
  const others: Record<string, number[]> = {};
  for (let i = 0; i < tries; i++) {
    execFileSync(process.execPath, ['test/rig/extension-host.ts', '--tests', 'test/bench/host'], {
      cwd: repository,
      env: { ...process.env, RUNYARD_BENCH_FILE: file },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const measured = JSON.parse(readFileSync(file, 'utf8')) as Measured;
    ours.push(measured.ours.load + measured.activationMs);
    calls.push(measured.ours.call);
    for (const [id, { load, call }] of Object.entries(measured.others)) (others[id] ??= []).push(load + call);
  }
  rmSync(dir, { recursive: true });
  const reference = Object.entries(others).map(([id, values]) => `${id} ${ms(median(values))}`);
  return [
    {
      what: `activate() with code load, ${tries} extension hosts`,
      measured: `median ${ms(median(ours))}, most ${ms(Math.max(...ours))}`,
      reference:
        `with the editor's messages around it ${ms(median(ours) + median(calls))}; ` +
        `VS Code's own, likewise, in the same hosts: ${reference.join(', ')}`,
      limit: 'at most 60 ms',
      reached: median(ours) <= 60,
    },
  ];
}
