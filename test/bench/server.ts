import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TestHome } from '../support/home.ts';
import { openForWriting, Statements } from '../../src/store/database.ts';
import { storeMigrations, type Transaction } from '../../src/store/writer-loop.ts';
import { appendPoints } from '../../src/runs/metrics/series-writer.ts';
import { runMigrations } from '../../src/runs/migrations.ts';
import { median, ms, quantile, residentMegabytes, type Figure } from './measure.ts';

const lines = 3_000_000;

/**
 * A script whose journal grows as fast as the disk takes it, one point a line: how fast the points come to
 * be in the store, and how long other requests wait meanwhile.
 */
export async function benchIngest(): Promise<Figure[]> {
  const home = new TestHome();
  try {
    await home.client.ready();
    // The lines are made before they are written: making them would cost a core of its own.
    const script = `
import os
lines = ${lines}
parts = []
for start in range(0, lines, 10000):
    parts.append(''.join('{"n":%d,"t":1763712000123,"m":{"loss%d":%.6f},"s":%d}\\n' % (i, i % 10, i * 1e-6, i) for i in range(start, start + 10000)))
with open(os.path.join(os.environ['RUNYARD_JOURNAL'], 'bulk.jsonl'), 'w') as f:
    for part in parts:
        f.write(part)
`;
    const run = await home.script(script);
    const params = { workspace: 'default', run: run.id };
    await home.reaches(run.id, 'Running');
    const waits: number[] = [];
    const count = async () => {
      const { series } = await home.client.call('listSeries', { params });
      return series.reduce((sum, one) => sum + one.count, 0);
    };
    while ((await count()) === 0) await sleep(20);
    let first: { at: number; points: number } | undefined;
    let last = { at: 0, points: 0 };
    while (last.points < lines) {
      const start = performance.now();
      const points = await count();
      const at = performance.now();
      waits.push(at - start);
      if (points > 0) first ??= { at, points };
      last = { at, points };
      const other = performance.now();
      await home.client.call('listRuns', { params });
      waits.push(performance.now() - other);
      const third = performance.now();
      await home.client.call('getWindows', { params, body: { names: ['loss1', 'loss2'] } });
      waits.push(performance.now() - third);
      await sleep(5);
    }
    const rate = (last.points - first!.points) / ((last.at - first!.at) / 1000);
    const reference = parseRate();
    const p99 = quantile(waits, 0.99);
    await home.ended(run.id);
    return [
      {
        what: "points from a script's journal through the agent into the store, one a line",
        measured: `${Math.round(rate).toLocaleString('en')}/s`,
        reference: `JSON.parse alone of the same lines: ${Math.round(reference).toLocaleString('en')}/s (ratio ${(rate / reference).toFixed(2)})`,
        limit: 'at least 500,000/s',
        reached: rate >= 500_000,
      },
      {
        what: `other requests meanwhile (${waits.length})`,
        measured: `median ${ms(median(waits))}, 99 % ${ms(p99)}`,
        reference: '',
        limit: '99 % within 50 ms',
        reached: p99 <= 50,
      },
    ];
  } finally {
    await home.close();
  }
}

function parseRate(): number {
  const text = Array.from(
    { length: 200_000 },
    (_, i) => `{"n":${i},"t":1763712000123,"m":{"loss${i % 10}":${(i * 1e-6).toFixed(6)}},"s":${i}}`,
  );
  const start = performance.now();
  for (const line of text) JSON.parse(line);
  return text.length / ((performance.now() - start) / 1000);
}

/** From the submit to the first line of the log in the client, against starting the same script directly. */
export async function benchSubmit(): Promise<Figure[]> {
  const home = new TestHome();
  try {
    const folder = home.folder('first-line', { 'train.py': `print('hello')\n` });
    const script = path.join(folder, 'train.py');
    const direct = () =>
      new Promise<number>((resolve, reject) => {
        const start = performance.now();
        const child = spawn('python3', ['-u', script], { stdio: ['ignore', 'pipe', 'ignore'] });
        child.on('error', reject);
        child.stdout.once('data', () => resolve(performance.now() - start));
      });
    let onLog: (runId: string) => void = () => {};
    let joined = () => {};
    const connected = new Promise<void>((resolve) => (joined = resolve));
    const subscription = home.client.events('default', {
      onEvent: (event) => {
        if (event.type === 'hello') joined();
        else if (event.type === 'log') onLog(event.runId);
      },
    });
    await connected;
    const submitted = async () => {
      const start = performance.now();
      let id = '';
      const seen = new Set<string>();
      const line = new Promise<void>((resolve) => {
        onLog = (runId) => {
          seen.add(runId);
          if (runId === id) resolve();
        };
      });
      ({ id } = await home.submit(folder, { configuration: { script: 'train.py' } }));
      if (!seen.has(id)) await line;
      const log = await home.log(id);
      const took = performance.now() - start;
      if (log.toString() !== 'hello\n') throw new Error('not the line');
      await home.ended(id);
      return took;
    };
    for (let i = 0; i < 3; i++) await submitted();
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let i = 0; i < 15; i++) {
      theirs.push(await direct());
      ours.push(await submitted());
    }
    subscription.close();
    const above = median(ours) - median(theirs);
    return [
      {
        what: 'submit to first log line in the client',
        measured: `median ${ms(median(ours))}: ${ms(above)} above`,
        reference: `python3 -u script started directly: ${ms(median(theirs))} (ratio ${(median(ours) / median(theirs)).toFixed(1)})`,
        limit: 'at most 250 ms above',
        reached: above <= 250,
      },
    ];
  } finally {
    await home.close();
  }
}

/** Resident memory: the server with 10,000 runs of 10 series each, `serve` and a supervisor at work. */
export async function benchMemory(): Promise<Figure[]> {
  const home = new TestHome();
  try {
    fill(home.dir);
    const params = { workspace: 'default' };
    for (let cursor: string | undefined; ;) {
      const page = await home.client.call('listRuns', { params, query: { limit: 100, cursor } });
      for (const run of page.runs.slice(0, 2)) {
        await home.client.call('getRun', { params: { ...params, run: run.id } });
        await home.client.call('getWindows', {
          params: { ...params, run: run.id },
          body: { names: ['metric0', 'metric9'] },
        });
      }
      if (!page.cursor) break;
      cursor = page.cursor;
    }
    await home.client.call('listExperiments', { params });
    const run = await home.script(
      `import runyard, time\nfor i in range(200):\n    runyard.log('m', i)\n    time.sleep(0.05)\n`,
    );
    await home.reaches(run.id, 'Running');
    await sleep(3000);
    const server = residentMegabytes(await home.serverPid());
    const rss = (word: string) => {
      const pids = home.processes(home.dir).filter((pid) => commandLine(pid).includes(word));
      return Math.max(...pids.map(residentMegabytes));
    };
    const serve = rss('serve');
    const supervisor = rss('supervise');
    const bare = await bareNode();
    return [
      {
        what: 'server, 10,000 runs of 10 series each, all listed once',
        measured: `${server.toFixed(0)} MB resident`,
        reference: `node that does nothing: ${bare.toFixed(0)} MB`,
        limit: 'under 150 MB',
        reached: server < 150,
      },
      {
        what: 'agent `serve`',
        measured: `${serve.toFixed(1)} MB`,
        reference: '',
        limit: 'at most 30 MB',
        reached: serve <= 30,
      },
      {
        what: 'agent `supervise`',
        measured: `${supervisor.toFixed(1)} MB`,
        reference: '',
        limit: 'at most 18 MB',
        reached: supervisor <= 18,
      },
    ];
  } finally {
    await home.close();
  }
}

function commandLine(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
}

function fill(dir: string): void {
  const workspace = path.join(dir, 'workspaces/default');
  mkdirSync(workspace, { recursive: true });
  const db = openForWriting(path.join(workspace, 'workspace.db'), [storeMigrations, runMigrations]);
  const tx = Object.assign(new Statements(db), {
    emit() {},
    hint() {},
    onRollback() {},
  }) as unknown as Transaction;
  const steps = Float64Array.from({ length: 1000 }, (_, i) => i);
  db.exec(`BEGIN; INSERT INTO experiments (id, name, created_at) VALUES (1, 'many', 0)`);
  const insert =
    db.prepare(`INSERT INTO runs (seq, id, experiment_id, number, display_name, status, compute, script,
    created_at, started_at, ended_at, source_directory, configuration, launch)
    VALUES (?, ?, 1, ?, ?, 'Completed', 'local', 'train.py', ?, ?, ?, '/folder', '{}',
    '{"script":"train.py","command":["python3","train.py"],"shell":null,"interpreter":"python3","variables":{},"slots":1,"gpus":0,"maxSeconds":null}')`);
  for (let run = 1; run <= 10_000; run++) {
    insert.run(run, `many_${run}`, run, `many ${run}`, run, run, run + 1000);
    for (let metric = 0; metric < 10; metric++) {
      const n = run % 100 === 0 ? 1000 : 20;
      appendPoints(tx, run, `metric${metric}`, {
        steps: steps.slice(0, n),
        times: steps.slice(0, n),
        values: steps.slice(0, n),
      });
    }
  }
  db.exec('COMMIT');
  db.close();
}

async function bareNode(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 60000)'], { stdio: 'ignore' });
  await sleep(500);
  const resident = residentMegabytes(child.pid!);
  child.kill();
  return resident;
}
