import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestHome } from '../support/home.ts';
import { type Figure, median, quantile } from './measure.ts';

/** Files are of the same size; half of each is random. */
interface Shape {
  what: string;
  files: number;
  bytes: number;
}

const shapes: Shape[] = [
  { what: '10,000 files, 500 MB', files: 10_000, bytes: 50_000 },
  { what: '100,000 files of 400 bytes', files: 100_000, bytes: 400 },
];
const repetitions = 7;
/** A commit must not leave a collection running behind what is measured next. */
const settings = ['user.name=a', 'user.email=a@example.com', 'gc.auto=0', 'maintenance.auto=false'].flatMap(
  (setting) => ['-c', setting],
);
const params = { workspace: 'default' };

/** Snapshots through a real server, beside git on the same tree. */
export async function benchSnapshot(): Promise<Figure[]> {
  const base = mkdtempSync(path.join(os.tmpdir(), 'ry-bench-'));
  try {
    const figures: Figure[] = [];
    for (const shape of shapes) figures.push(...(await benchShape(base, shape)));
    return figures;
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
}

async function benchShape(base: string, { what, files, bytes }: Shape): Promise<Figure[]> {
  const folder = path.join(base, `tree-${files}`);
  writeTree(folder, files, bytes);
  const git = (...args: string[]) => execFileSync('git', [...settings, ...args], { cwd: folder });
  const adding: number[] = [];
  const firsts: number[] = [];
  const late: number[] = [];
  let most = 0;
  const addAll = () => {
    rmSync(path.join(folder, '.git'), { recursive: true, force: true });
    // Neither is to wait for the disk to take what was written before.
    execFileSync('sync');
    adding.push(
      timed(() => {
        git('init', '-q');
        git('add', '-A');
      }),
    );
    git('commit', '-qm', 'all');
  };
  const takeFirst = async () => {
    const home = new TestHome();
    try {
      await home.client.call('listSnapshots', { params });
      execFileSync('sync');
      const watch = watchServer(home);
      firsts.push(await timedAsync(() => home.client.call('createSnapshot', { params, body: { folder } })));
      const seen = await watch.end();
      most = Math.max(most, seen.most);
      late.push(...seen.late);
    } finally {
      await home.close();
    }
  };
  // Where on the disk files come to lie changes as others come and go: by turns, each first once.
  addAll();
  await takeFirst();
  await takeFirst();
  addAll();
  await takeFirst();
  addAll();
  const adds = median(adding);
  const first = median(firsts);
  // What changed less than two seconds ago is read again, here as in git.
  await sleep(2500);
  const home = new TestHome();
  try {
    const take = () => home.client.call('createSnapshot', { params, body: { folder } });
    await take();
    await sleep(2500);
    await take();
    const again: number[] = [];
    const status: number[] = [];
    for (let i = 0; i < repetitions; i++) {
      status.push(timed(() => git('status', '--porcelain')));
      again.push(await timedAsync(take));
    }
    const changed: number[] = [];
    for (let i = 0; i < repetitions; i++) {
      writeFileSync(path.join(folder, name(i)), randomBytes(bytes));
      changed.push(await timedAsync(take));
    }
    const ratio = (a: number, b: number) => (a / b).toFixed(2);
    return [
      {
        what: `first snapshot of ${what}`,
        measured: `median ${(first / 1000).toFixed(1)} s of ${seconds(firsts)}`,
        reference: `git add -A into a fresh repository: ${(adds / 1000).toFixed(1)} s of ${seconds(adding)} (ratio ${ratio(first, adds)})`,
        limit: 'at most 1 times',
        reached: first <= adds,
      },
      {
        what: `snapshot of the same tree unchanged (${what})`,
        measured: `median ${Math.round(median(again))} ms`,
        reference: `git status: ${Math.round(median(status))} ms (ratio ${ratio(median(again), median(status))})`,
        limit: 'at most 1.5 times',
        reached: median(again) <= 1.5 * median(status),
      },
      {
        what: `snapshot with one changed file (${what})`,
        measured: `median ${Math.round(median(changed))} ms`,
        reference: `unchanged: ${Math.round(median(again))} ms`,
        limit: '',
        reached: true,
      },
      {
        what: `server's memory during the first snapshot (${what})`,
        measured: `${Math.round(most / 1e6)} MB`,
        reference: '',
        limit: 'under 200 MB',
        reached: most < 200e6,
      },
      {
        what: `other requests meanwhile (${what}; ${late.length})`,
        measured: `median ${median(late).toFixed(1)} ms, 99 % ${Math.round(quantile(late, 0.99))} ms, most ${Math.round(Math.max(...late))} ms`,
        reference: '',
        limit: '99 % within 50 ms',
        reached: quantile(late, 0.99) <= 50,
      },
    ];
  } finally {
    await home.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function seconds(values: readonly number[]): string {
  return values.map((value) => (value / 1000).toFixed(1)).join(', ');
}

function writeTree(folder: string, files: number, bytes: number): void {
  for (let i = 0; i < files; i++) {
    const file = path.join(folder, name(i));
    if (i % 100 === 0) mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, Buffer.concat([randomBytes(bytes / 2), Buffer.alloc(bytes / 2, `line ${i}\n`)]));
  }
}

/** A hundred files a folder, ten folders in each. */
function name(i: number): string {
  const folder = Math.floor(i / 100);
  return `d${Math.floor(folder / 100)}/e${Math.floor(folder / 10) % 10}/f${folder % 10}/file${i}.txt`;
}

/** Asks the server for itself every few milliseconds: its memory, and how long the answer takes. */
function watchServer(home: TestHome): { end(): Promise<{ most: number; late: number[] }> } {
  const client = home.newClient();
  const late: number[] = [];
  let most = 0;
  let on = true;
  const done = (async () => {
    while (on) {
      const start = performance.now();
      const { memoryBytes } = await client.call('getServer');
      late.push(performance.now() - start);
      most = Math.max(most, memoryBytes);
      await sleep(10);
    }
    client.close();
  })();
  return {
    end: async () => {
      on = false;
      await done;
      return { most, late };
    },
  };
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

async function timedAsync(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}
