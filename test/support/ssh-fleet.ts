import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Run, RunDetail } from '../../src/api/entities.ts';
import { isTerminal } from '../../src/api/run-status.ts';
import type { SshHost } from '../rig/ssh-hosts.ts';
import type { TestHome } from './home.ts';

/** The long limit is for what hangs, not for speed. */
const mostMs = Number(process.env['RUNYARD_FAULT_LIMIT_MINUTES'] ?? 4) * 60_000;
const bigBytes = 6 * 1024 * 1024 + 4321;
const blockBytes = 65_536;
const smallFiles = 5;

/**
 * Logs three quarters of its points one after the other, waits to be released, logs the rest and writes its
 * outputs: it lives as long as the test wants, and everything it leaves is known beforehand.
 */
const script = `
import hashlib, os, sys, time
import runyard

who, count, pause, release, quiet = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5]
os.makedirs('logs', exist_ok=True)
side = open('logs/side.log', 'w', buffering=1)

def step(i):
    runyard.log('loss', i + 0.5, step=i)
    runyard.log('accuracy', 1 / (i + 1), step=i)
    runyard.log('deep/er name', -3 * i, step=i)
    if quiet == 'no':
        print('line', i, 'of', who, '.' * (i % 40))
        side.write('side %d of %s\\n' % (i, who))

early = count * 3 // 4
for i in range(early):
    step(i)
    time.sleep(pause)
while not os.path.exists(release):
    time.sleep(0.05)
for i in range(early, count):
    step(i)
os.makedirs('outputs/small', exist_ok=True)
for n in range(${smallFiles}):
    with open('outputs/small/%d.txt' % n, 'w') as file:
        file.write('%s %d\\n' % (who, n) * 100)
left = ${bigBytes}
with open('outputs/big.bin', 'wb') as file:
    n = 0
    while left:
        block = (hashlib.sha256(('%s-%d' % (who, n)).encode()).digest() * ${blockBytes / 32})[:left]
        file.write(block)
        left -= len(block)
        n += 1
`;

function sha256(data: Uint8Array | string): string {
  return createHash('sha256').update(data).digest('hex');
}

/** Path and hash of everything that the script writes into outputs. */
function outputsOf(who: string): Map<string, string> {
  const hash = createHash('sha256');
  for (let n = 0, left = bigBytes; left > 0; n++) {
    const digest = createHash('sha256').update(`${who}-${n}`).digest();
    const block = Buffer.alloc(Math.min(blockBytes, left), digest);
    hash.update(block);
    left -= block.length;
  }
  const found = new Map([['outputs/big.bin', hash.digest('hex')]]);
  for (let n = 0; n < smallFiles; n++)
    found.set(`outputs/small/${n}.txt`, sha256(`${who} ${n}\n`.repeat(100)));
  return found;
}

const series: Record<string, (i: number) => number> = {
  loss: (i) => i + 0.5,
  accuracy: (i) => 1 / (i + 1),
  'deep/er name': (i) => (i === 0 ? 0 : -3 * i),
};

export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  instead: () => string = () => '',
): Promise<void> {
  const deadline = Date.now() + mostMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`it never came that ${what} ${instead()}`.trim());
    await sleep(50);
  }
}

/** What was counted after a fault; each number is of points, lines and files together. */
export interface Tally {
  fault: string;
  tries: number;
  runs: number;
  lost: number;
  duplicated: number;
  orphaned: number;
  /** In words, what is not as it should be. */
  wrong: string[];
}

export class Tallies {
  readonly all: Tally[] = [];

  begin(fault: string): Tally {
    const tally = {
      fault,
      tries: 0,
      runs: 0,
      lost: 0,
      duplicated: 0,
      orphaned: 0,
      wrong: [],
    };
    this.all.push(tally);
    return tally;
  }

  print(): void {
    const columns = ['fault', 'tries', 'runs', 'lost', 'duplicated', 'orphaned', 'wrong'] as const;
    const rows = this.all.map((tally) =>
      columns.map((name) => String(name === 'wrong' ? tally.wrong.length : tally[name])),
    );
    const all = [[...columns], ...rows];
    const widths = columns.map((_, i) => Math.max(...all.map((row) => row[i]!.length)));
    for (const row of all)
      console.log(`# ${row.map((cell, i) => cell.padEnd(widths[i]!)).join('  ')}`.trimEnd());
  }
}

/** How many of the wanted are missing, and how many are there that should not be (again). */
function compare<T>(wanted: readonly T[], have: readonly T[]): { lost: number; duplicated: number } {
  const left = new Map<T, number>();
  for (const one of wanted) left.set(one, (left.get(one) ?? 0) + 1);
  let duplicated = 0;
  for (const one of have) {
    const count = left.get(one) ?? 0;
    if (count > 0) left.set(one, count - 1);
    else duplicated++;
  }
  const lost = [...left.values()].reduce((sum, count) => sum + count, 0);
  return { lost, duplicated };
}

export interface FleetMember {
  run: Run;
  host: SshHost;
  who: string;
}

/** How a run that is not left alone ends. */
export interface End {
  status: 'Failed' | 'Canceled';
  code?: string;
}

export interface FleetOptions {
  count?: number;
  pause?: number;
  /** Nothing is written but metrics and, in the end, outputs. */
  quiet?: boolean;
}

let fleets = 0;

/** Runs that are live at the same time on several hosts, and all that should be known of them in the end. */
export class Fleet {
  readonly members: FleetMember[] = [];
  readonly count: number;
  private readonly home: TestHome;
  private readonly hosts: readonly SshHost[];
  private readonly release: string;
  private readonly quiet: boolean;

  private constructor(
    home: TestHome,
    hosts: readonly SshHost[],
    { count = 240, quiet = false }: FleetOptions,
  ) {
    this.home = home;
    this.hosts = hosts;
    this.count = count;
    this.quiet = quiet;
    this.release = `/tmp/release-${process.pid}-${++fleets}`;
  }

  /** Submits `each` runs to every host; resolves when all of them run. */
  static async start(
    home: TestHome,
    hosts: readonly SshHost[],
    each: number,
    options: FleetOptions = {},
  ): Promise<Fleet> {
    const fleet = new Fleet(home, hosts, options);
    await fleet.submit(each, options);
    for (const { run } of fleet.members) {
      const detail = await home.reaches(run.id, 'Running');
      if (detail.status !== 'Running')
        throw new Error(`${run.id} is ${detail.status}: ${JSON.stringify(detail.error)}`);
    }
    return fleet;
  }

  private async submit(each: number, { pause = 0.02 }: FleetOptions): Promise<void> {
    const folder = this.home.folder(`fleet-${fleets}`, { 'train.py': script });
    for (let n = 0; n < each; n++) {
      for (const host of this.hosts) {
        const who = `${host.name}-${fleets}-${n}`;
        const args = [who, this.count, pause, this.release, this.quiet ? 'yes' : 'no'].map(String);
        const configuration = {
          script: 'train.py',
          arguments: args,
          target: host.name,
        };
        const run = await this.home.submit(folder, {
          configuration,
          experiment: 'faults',
        });
        this.members.push({ run, host, who });
      }
    }
  }

  /** Every run may go on to its end. */
  async go(): Promise<void> {
    for (const host of this.hosts) await host.output(['touch', this.release]);
  }

  async ended(): Promise<Map<string, RunDetail>> {
    const details = new Map<string, RunDetail>();
    const deadline = Date.now() + mostMs;
    for (const { run } of this.members) {
      for (;;) {
        const detail = await this.home.detail(run.id);
        details.set(run.id, detail);
        if (isTerminal(detail.status)) break;
        if (Date.now() > deadline) throw new Error(`${run.id} hangs: ${JSON.stringify(detail)}`);
        await sleep(100);
      }
    }
    return details;
  }

  /** The attempt's folder, as this machine sees it. */
  static attemptDir({ run, host }: Pick<FleetMember, 'run' | 'host'>): string {
    return path.join(hostRoot(host), 'runs', run.id, 'attempts/1');
  }

  /**
   * Waits for the end of all, then counts what is there: status, every point, every line, every output, and what is
   * left on the hosts. Runs in `broken` end before their time, in this way: what they had logged is there.
   */
  async verify(tally: Tally, broken: ReadonlyMap<string, End> = new Map()): Promise<void> {
    const details = await this.ended();
    for (const member of this.members) {
      const detail = details.get(member.run.id)!;
      tally.runs++;
      const end = broken.get(member.run.id);
      if (end) await this.countBroken(member, detail, end, tally);
      else await this.countCompleted(member, detail, tally);
      countEvents(detail, tally);
    }
    await this.connectAll(tally);
    await countLeft(
      this.hosts,
      this.members.map(({ run }) => run.id),
      tally,
    );
  }

  /** After the last run nobody needs the hosts: a broken line stays so until somebody comes. */
  private async connectAll(tally: Tally): Promise<void> {
    const { client } = this.home;
    for (const { name } of this.hosts) {
      const { state, problem } = await client.call('getCompute', {
        params: { compute: name },
      });
      if (state === 'attention') tally.wrong.push(`${name} waits for a person: ${problem}`);
      await until(`${name} lets us in`, () =>
        client.call('connectCompute', { params: { compute: name }, body: {} }).then(
          () => true,
          () => false,
        ),
      );
    }
  }

  private async countCompleted(member: FleetMember, detail: RunDetail, tally: Tally): Promise<void> {
    const { run } = member;
    if (detail.status !== 'Completed') {
      tally.wrong.push(`${run.id} is ${detail.status}: ${JSON.stringify(detail.error)}`);
    }
    if (detail.badJournalLines !== 0) tally.wrong.push(`${run.id} has bad journal lines`);
    const steps = Array.from({ length: this.count }, (_, i) => i);
    for (const [name, value] of Object.entries(series)) {
      const have = await this.home.points(run.id, name);
      const wanted = steps.map((i) => `${i} ${value(i)}`);
      add(
        tally,
        `${run.id} ${name}`,
        wanted,
        have.steps.map((step, i) => `${step} ${have.values[i]}`),
      );
    }
    await this.countText(member, tally);
    await this.countOutputs(member, tally);
  }

  private async countText({ run, who }: FleetMember, tally: Tally): Promise<void> {
    // What a journal has to say of a full disk is no line of the script's.
    const log = (await this.home.log(run.id)).toString().replace(/^runyard: the journal .*\n/gm, '');
    const side = (await this.read(run.id, 'logs/side.log')).toString();
    const steps = this.quiet ? [] : Array.from({ length: this.count }, (_, i) => i);
    addText(
      tally,
      `${run.id} log`,
      steps.map((i) => `line ${i} of ${who} ${'.'.repeat(i % 40)}\n`).join(''),
      this.quiet ? log : (await this.home.log(run.id)).toString(),
    );
    addText(tally, `${run.id} logs/side.log`, steps.map((i) => `side ${i} of ${who}\n`).join(''), side);
  }

  private async countOutputs({ run, who }: FleetMember, tally: Tally): Promise<void> {
    const { artifacts } = await this.home.client.call('listArtifacts', {
      params: { workspace: 'default', run: run.id },
    });
    const outputs = artifacts.filter((one) => one.path.startsWith('outputs/'));
    const wanted = outputsOf(who);
    add(
      tally,
      `${run.id} outputs`,
      [...wanted.keys()],
      outputs.map((one) => one.path),
    );
    for (const { path: name, stored } of outputs) {
      if (!stored) tally.wrong.push(`${run.id} ${name} is not here`);
      const hash = sha256(await this.read(run.id, name));
      if (hash !== wanted.get(name)) {
        tally.lost++;
        tally.wrong.push(`${run.id} ${name} has another content`);
      }
    }
  }

  /** What its journal on the host holds is here, once; nothing else can be known of it. */
  private async countBroken(
    member: FleetMember,
    detail: RunDetail,
    { status, code }: End,
    tally: Tally,
  ): Promise<void> {
    const { run } = member;
    if (detail.status !== status || (code !== undefined && detail.error?.code !== code))
      tally.wrong.push(`${run.id} is ${detail.status}: ${JSON.stringify(detail.error)}`);
    const journal = path.join(Fleet.attemptDir(member), 'journal');
    const lines = readdirSync(journal).flatMap((file) =>
      readFileSync(path.join(journal, file), 'utf8')
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { m?: Record<string, number>; s?: number }),
    );
    for (const name of Object.keys(series)) {
      const wanted = lines.filter(({ m }) => m && name in m).map(({ m, s }) => `${s} ${m![name]}`);
      const have = await this.home.points(run.id, name);
      add(
        tally,
        `${run.id} ${name}`,
        wanted,
        have.steps.map((step, i) => `${step} ${have.values[i]}`),
      );
    }
    const log = readFileSync(path.join(Fleet.attemptDir(member), 'user_logs/std_log.txt'), 'utf8');
    addText(tally, `${run.id} log`, log, (await this.home.log(run.id)).toString());
  }

  private async read(run: string, name: string): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let offset = 0; ;) {
      const { data } = await this.home.client.bytes('readArtifact', {
        params: { workspace: 'default', run },
        query: { path: name, offset, length: 4 * 1024 * 1024 },
      });
      if (data.byteLength === 0) return Buffer.concat(parts);
      parts.push(Buffer.from(data));
      offset += data.byteLength;
    }
  }
}

function add(tally: Tally, what: string, wanted: readonly string[], have: readonly string[]): void {
  const { lost, duplicated } = compare(wanted, have);
  tally.lost += lost;
  tally.duplicated += duplicated;
  if (lost + duplicated > 0) tally.wrong.push(`${what}: ${lost} lost, ${duplicated} too many`);
  else if (have.some((one, i) => one !== wanted[i]) && !what.endsWith(' outputs'))
    tally.wrong.push(`${what}: in another order`);
}

function addText(tally: Tally, what: string, wanted: string, have: string): void {
  if (wanted === have) return;
  const before = tally.wrong.length;
  add(tally, what, wanted.split('\n'), have.split('\n'));
  if (tally.wrong.length === before) tally.wrong.push(`${what}: not byte for byte the same`);
}

/** Every change of state is there once. */
function countEvents({ id, events }: RunDetail, tally: Tally): void {
  const ends = events.filter(({ status }) => isTerminal(status));
  const starts = events.filter(({ status }) => status === 'Starting');
  if (ends.length !== 1 || starts.length > 1) {
    tally.duplicated += Math.max(0, ends.length - 1) + Math.max(0, starts.length - 1);
    tally.wrong.push(`${id} has the states ${events.map(({ status }) => status).join(', ')}`);
  }
}

/** Agents that serve a channel on the host, as this machine numbers them. */
export function serves(host: SshHost): number[] {
  return host.processes('serve').filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return words.includes('serve') && words.includes('--nonce');
    } catch {
      return false;
    }
  });
}

/** Connections to the ssh server that live, as the host sees them. */
export async function connections(host: SshHost): Promise<number> {
  const filter = ['state', 'established', 'sport', '=', ':22'];
  const listed = await host.output(['ss', '-t', '-H', '-n', ...filter]);
  return listed.split('\n').filter(Boolean).length;
}

/** The agent's folder on a host, as this machine sees it. */
export function hostRoot(host: SshHost): string {
  return host.path(path.join(host.homePath, '.runyard/host'));
}

/** sshd has one process for root and two for others, with each connection. */
const perConnection = (host: SshHost) => (host.user === 'root' ? 1 : 2);

/** Waits until nothing of the runs is left on the hosts, and one agent and one connection for each; counts what stays. */
export async function countLeft(
  hosts: readonly SshHost[],
  runs: readonly string[],
  tally: Tally,
): Promise<void> {
  const settle = async (what: string, left: () => number | Promise<number>) => {
    await until(what, async () => (await left()) === 0).catch(async () => {
      const count = await left();
      tally.orphaned += Math.abs(count);
      tally.wrong.push(`it never came that ${what}: ${count}`);
    });
  };
  for (const host of hosts) {
    await settle(`no process of the runs is left on ${host.name}`, () =>
      runs.reduce((sum, run) => sum + host.processes(run).length, 0),
    );
    const queue = path.join(hostRoot(host), 'queue');
    await settle(`the queue of ${host.name} is empty`, () =>
      ['tickets', 'slots'].reduce((sum, name) => {
        const dir = path.join(queue, name);
        return sum + (existsSync(dir) ? readdirSync(dir).length : 0);
      }, 0),
    );
    await settle(`there is one agent on ${host.name}`, () => serves(host).length - 1);
    await settle(`there is one connection to ${host.name}`, async () => (await connections(host)) - 1);
    // One of the two may be gone without harm: the rig's reset kills what is just being made.
    await settle(`there is one session on ${host.name}`, () =>
      Math.max(0, host.sessions().length - perConnection(host)),
    );
  }
}
