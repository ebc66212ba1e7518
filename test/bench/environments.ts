import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { component } from '../../scripts/system-packages.mjs';
import { DockerEngine, dockerRigProblem, testImage } from '../rig/docker/engine.ts';
import { TestHome } from '../support/home.ts';
import { makeWheel, systemPython } from '../support/wheels.ts';
import { FirstLines } from './first-lines.ts';
import { median, ms, type Figure } from './measure.ts';

const submits = 15;
const params = { workspace: 'default' };
const script = 'train.py';

/** Containers beside `docker run`, and what an environment that is built already costs a submit. */
export async function benchEnvironments(): Promise<Figure[]> {
  const home = new TestHome();
  const folder = home.folder('hello', { [script]: `print('hello', flush=True)\n` });
  const lines = new FirstLines(home);
  try {
    const figures = await cached(home, folder, lines);
    const problem = dockerRigProblem();
    if (problem) console.log(`  left out: ${problem}`);
    else figures.push(...(await containers(home, folder, lines)));
    return figures;
  } finally {
    lines.close();
    await home.close();
  }
}

/** By turns: the same interpreter, once as the environment that was built, once named by its path. */
async function cached(home: TestHome, folder: string, lines: FirstLines): Promise<Figure[]> {
  const source = home.folder('packages', { 'requirements.txt': '--no-index\n--find-links ./wheels\ntiny\n' });
  makeWheel(path.join(source, 'wheels'), 'tiny', '1.0');
  const body = { name: 'tiny', file: path.join(source, 'requirements.txt'), interpreter: systemPython };
  await home.client.call('createEnvironment', { params, body });
  const built = () =>
    lines.after(() => home.submit(folder, { useEnvironment: 'tiny', configuration: { script } }));
  await built();
  const { runs } = await home.client.call('listRuns', { params, query: { limit: 1 } });
  const run = runs[0]!.id;
  const { facts } = await home.client.call('getRunEnvironment', { params: { ...params, run } });
  const named = () =>
    lines.after(() => home.submit(folder, { interpreter: facts!.interpreter!, configuration: { script } }));
  const ours: number[] = [];
  const theirs: number[] = [];
  const waited: number[] = [];
  for (let i = 0; i < submits; i++) {
    theirs.push(await named());
    ours.push(await built());
    const [last] = (await home.client.call('listRuns', { params, query: { limit: 1 } })).runs;
    const found = await home.client.call('getRunEnvironment', { params: { ...params, run: last!.id } });
    waited.push(found.facts!.waited_ms ?? NaN);
  }
  const more = median(ours) - median(theirs);
  return [
    {
      what: 'second submit with an unchanged environment: time spent on it',
      measured: `median ${ms(median(waited))} in the supervisor; to the first log line ${ms(Math.max(0, more))} more`,
      reference: `the same interpreter by its path: ${ms(median(theirs))}`,
      limit: 'under 20 ms',
      reached: median(waited) < 20 && more < 20,
    },
  ];
}

async function containers(home: TestHome, folder: string, lines: FirstLines): Promise<Figure[]> {
  const engine = await DockerEngine.start();
  try {
    const configuration = { script, docker: { useDocker: true, baseImage: testImage } };
    const environment = { PATH: process.env['PATH']!, DOCKER_HOST: engine.address };
    const submitted = () => lines.after(() => home.submit(folder, { configuration, environment }));
    const mounted = path.join(home.folders, 'mounted');
    mkdirSync(mounted);
    writeFileSync(path.join(mounted, script), `print('hello', flush=True)\n`);
    const direct = () =>
      new Promise<number>((resolve, reject) => {
        const start = performance.now();
        let took = 0;
        const options = [
          '--rm',
          '--init',
          '--user',
          `${process.getuid!()}:${process.getgid!()}`,
          '-v',
          `${mounted}:${mounted}`,
        ];
        const argv = ['run', ...options, '-w', mounted, testImage, 'python3', '-u', script];
        const child = spawn(component('docker').path, argv, { env: { ...process.env, ...environment } });
        child.on('error', reject);
        child.stdout.once('data', () => (took = performance.now() - start));
        child.once('close', () => resolve(took));
      });
    for (let i = 0; i < 3; i++) {
      await submitted();
      await direct();
    }
    const ours: number[] = [];
    const theirs: number[] = [];
    for (let i = 0; i < submits; i++) {
      theirs.push(await direct());
      ours.push(await submitted());
    }
    const above = median(ours) - median(theirs);
    return [
      {
        what: 'submit with a cached image to first log line',
        measured: `median ${ms(median(ours))}: ${ms(above)} above`,
        reference: `docker run of the same command: ${ms(median(theirs))} (ratio ${(median(ours) / median(theirs)).toFixed(2)})`,
        limit: 'at most 300 ms above',
        reached: above <= 300,
      },
    ];
  } finally {
    await engine.close();
  }
}
