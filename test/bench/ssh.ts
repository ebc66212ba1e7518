import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SshHosts, sshRigProblem, type SshConfig, type SshHost } from '../rig/ssh-hosts.ts';
import { TestHome } from '../support/home.ts';
import { addCompute } from '../support/person.ts';
import { FirstLines } from './first-lines.ts';
import { median, ms, quantile, type Figure } from './measure.ts';

const files = 10_000;
const fileBytes = 5000;
const submits = 7;
const uploadFiles = 500;
const uploadBytes = 1_000_000;
const uploads = 3;
const liveRuns = 50;
const liveSeconds = 20;
const farMs = 50;
const params = { workspace: 'default' };

/** SSH hosts beside `ssh` and `tar | ssh` to the same hosts: on loopback, and with 50 ms of round-trip time. */
export async function benchSsh(): Promise<Figure[]> {
  const problem = sshRigProblem();
  if (problem) {
    console.log(`  left out: ${problem}`);
    return [];
  }
  const hosts = await SshHosts.open();
  try {
    const near = await hosts.start({ name: 'near' });
    const far = await hosts.start({ name: 'far', link: 'tun', weather: { delay: farMs / 2000 } });
    const config = hosts.sshConfig();
    const figures: Figure[] = [];
    for (const [host, rtt] of [
      [near, 0],
      [far, farMs],
    ] as const) {
      figures.push(...(await onHost(hosts, host, config, rtt)));
    }
    return figures;
  } finally {
    await hosts.close();
  }
}

async function onHost(hosts: SshHosts, host: SshHost, config: SshConfig, rtt: number): Promise<Figure[]> {
  const home = new TestHome();
  try {
    await addCompute(home.client, host, config, { slots: liveRuns });
    await home.client.call('connectCompute', { params: { compute: host.name }, body: {} });
    const where = rtt === 0 ? 'loopback' : `${rtt} ms away`;
    return [
      await submitOneChanged(home, hosts, host, config, where, rtt),
      await uploadNew(home, hosts, host, config, where),
      ...(await latency(home, host, where, rtt)),
    ];
  } finally {
    await home.close();
  }
}

/** From the submit of a folder with one changed file in 10,000 to the first line of the log in the client. */
async function submitOneChanged(
  home: TestHome,
  hosts: SshHosts,
  host: SshHost,
  config: SshConfig,
  where: string,
  rtt: number,
): Promise<Figure> {
  const folder = home.folder('many', { 'train.py': `print('hello')\n` });
  for (let i = 0; i < files; i++) {
    const file = path.join(folder, `d${Math.floor(i / 100)}`, `file${i}.txt`);
    if (i % 100 === 0) mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, randomBytes(fileBytes));
  }
  const script = path.posix.join(host.homePath, 'hello.py');
  await host.shell(`echo "print('hello')" > ${script}`);
  const direct = () =>
    new Promise<number>((resolve, reject) => {
      const start = performance.now();
      const child = hosts.spawnSsh(config, host, ['python3', '-u', script]);
      child.on('error', reject);
      child.stdout!.once('data', () => resolve(performance.now() - start));
    });
  const lines = new FirstLines(home);
  const submitted = () =>
    lines.after(() => home.submit(folder, { configuration: { script: 'train.py', target: host.name } }));
  await submitted();
  await submitted();
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i < submits; i++) {
    theirs.push(await direct());
    // What changed less than two seconds ago is read again.
    await sleep(2500);
    writeFileSync(path.join(folder, `d${i}`, `file${i * 100}.txt`), randomBytes(fileBytes));
    ours.push(await submitted());
  }
  lines.close();
  const above = median(ours) - median(theirs);
  const limit = 1000 + 4 * rtt;
  return {
    what: `submit of one changed file in ${files.toLocaleString('en')} to first log line, host ${where}`,
    measured: `median ${ms(median(ours))}: ${ms(above)} above`,
    reference: `ssh host python3 -u script: ${ms(median(theirs))} (ratio ${(median(ours) / median(theirs)).toFixed(1)})`,
    limit: `at most 1 s and 4 round trips (${limit} ms) above`,
    reached: above <= limit,
  };
}

/** A new snapshot of 500 MB on its way to the host, beside `tar | ssh`; by turns. */
async function uploadNew(
  home: TestHome,
  hosts: SshHosts,
  host: SshHost,
  config: SshConfig,
  where: string,
): Promise<Figure> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let turn = 0; turn < uploads; turn++) {
    const folder = home.folder(`large-${turn}`, { 'train.py': '' });
    for (let i = 0; i < uploadFiles; i++)
      writeFileSync(path.join(folder, `part${i}.bin`), randomBytes(uploadBytes));
    theirs.push(await tarOverSsh(hosts, host, config, folder));
    // Kept first, so that only the way to the host is measured.
    await home.client.call('createSnapshot', { params, body: { folder } });
    ours.push(await sending(home, folder, host.name));
    await host.shell('rm -rf ~/tar');
  }
  const megabytes = (uploadFiles * uploadBytes) / 1e6;
  const rate = megabytes / (median(ours) / 1000);
  const reference = megabytes / (median(theirs) / 1000);
  return {
    what: `upload of a new snapshot of 500 MB, host ${where}`,
    measured: `${rate.toFixed(0)} MB/s (${ours.map((one) => (one / 1000).toFixed(1)).join(', ')} s)`,
    reference: `tar | ssh: ${reference.toFixed(0)} MB/s (ratio ${(rate / reference).toFixed(2)})`,
    limit: 'at least 0.8 times',
    reached: rate >= 0.8 * reference,
  };
}

function tarOverSsh(hosts: SshHosts, host: SshHost, config: SshConfig, folder: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const ssh = hosts.spawnSsh(config, host, ['mkdir -p tar && tar -C tar -x']);
    const tar = spawn('tar', ['-C', folder, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] });
    tar.stdout.pipe(ssh.stdin!);
    ssh.on('error', reject);
    ssh.on('close', (code) =>
      code === 0 ? resolve(performance.now() - start) : reject(new Error(`tar | ssh ended with ${code}`)),
    );
  });
}

/** From the first to the last byte that is sent, and until the host has the run. */
async function sending(home: TestHome, folder: string, target: string): Promise<number> {
  const events: { runId: string; at: number }[] = [];
  let joined = () => {};
  const connected = new Promise<void>((resolve) => (joined = resolve));
  const subscription = home.client.events('default', {
    onEvent: (event) => {
      if (event.type === 'hello') joined();
      if (event.type === 'progress' && event.stage === 'sending')
        events.push({ runId: event.runId, at: performance.now() });
    },
  });
  await connected;
  const { id } = await home.submit(folder, { configuration: { script: 'train.py', target } });
  const queued = await home.until(id, 'queued', ({ status }) => status !== 'NotStarted');
  const at = performance.now();
  const began = events.find(({ runId }) => runId === id)?.at ?? at;
  subscription.close();
  if (queued.status === 'Failed') throw new Error(queued.statusReason);
  await home.ended(id);
  return at - began;
}

/** From a script's write of a metric and of a line to the client, while 50 runs live on one host. */
async function latency(home: TestHome, host: SshHost, where: string, rtt: number): Promise<Figure[]> {
  const folder = home.folder('live', {
    'train.py': `
import runyard, time
for i in range(${liveSeconds * 2}):
    runyard.log('written', time.time() * 1000, step=i)
    print(i, time.time() * 1000)
    time.sleep(0.5)
`,
  });
  const arrived = { metric: [] as number[], log: [] as number[] };
  const seenSteps = new Map<string, number>();
  const seenBytes = new Map<string, number>();
  const looking = new Set<Promise<unknown>>();
  const look = (work: Promise<unknown>) => {
    const done = work.catch(() => undefined).finally(() => looking.delete(done));
    looking.add(done);
  };
  const subscription = home.client.events('default', {
    onEvent: (event) => {
      const now = Date.now();
      if (event.type === 'metrics') look(newPoints(event.runId, now));
      else if (event.type === 'log') look(newLines(event.runId, now));
    },
  });
  // The hint is when a client hears of it; what it is about is read afterwards.
  const newPoints = async (run: string, now: number) => {
    const { windows } = await home.client.call('getWindows', {
      params: { ...params, run },
      body: { names: ['written'] },
    });
    for (const [i, step] of (windows[0]?.steps ?? []).entries()) {
      if (step <= (seenSteps.get(run) ?? -1)) continue;
      seenSteps.set(run, step);
      arrived.metric.push(Math.max(now, 0) - Number(windows[0]!.values[i]));
    }
  };
  const newLines = async (run: string, now: number) => {
    const offset = seenBytes.get(run) ?? 0;
    const { data } = await home.client.bytes('readArtifact', {
      params: { ...params, run },
      query: { path: 'user_logs/std_log.txt', offset },
    });
    if ((seenBytes.get(run) ?? 0) !== offset) return;
    seenBytes.set(run, offset + data.byteLength);
    for (const line of Buffer.from(data).toString().split('\n')) {
      const written = Number(line.split(' ')[1]);
      if (written) arrived.log.push(now - written);
    }
  };
  const ids: string[] = [];
  for (let i = 0; i < liveRuns; i++) {
    const run = await home.submit(folder, { configuration: { script: 'train.py', target: host.name } });
    ids.push(run.id);
  }
  for (const id of ids) await home.until(id, 'live', ({ status }) => status === 'Running');
  arrived.metric.length = arrived.log.length = 0;
  await sleep((liveSeconds * 1000) / 2);
  const found = { metric: [...arrived.metric], log: [...arrived.log] };
  // sshd has two processes a connection; the connections themselves are counted.
  const established = ['ss', '-Htn', 'state', 'established', 'sport', '=', ':22'];
  const sessions = (await host.output(established)).trim().split('\n').filter(Boolean).length;
  const serves = host.processes().filter((pid) => isServe(pid)).length;
  for (const id of ids) await home.ended(id);
  await Promise.all(looking);
  subscription.close();
  const figure = (what: string, values: number[]): Figure => ({
    what: `${what} from write to client, ${liveRuns} live runs on one host ${where} (${values.length})`,
    measured: `median ${ms(median(values))}, 95 % ${ms(quantile(values, 0.95))}`,
    reference: rtt === 0 ? '' : `one way alone: ${rtt / 2} ms`,
    limit: 'median under 300 ms',
    reached: values.length > 0 && median(values) < 300,
  });
  return [
    figure('metrics', found.metric),
    figure('log lines', found.log),
    {
      what: `connections and \`serve\` processes for ${liveRuns} live runs, host ${where}`,
      measured: `${sessions} and ${serves}`,
      reference: '',
      limit: '1 and 1',
      reached: sessions === 1 && serves === 1,
    },
  ];
}

function isServe(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes('serve');
  } catch {
    return false;
  }
}
