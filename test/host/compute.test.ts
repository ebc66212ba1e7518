import assert from 'node:assert/strict';
import * as vscode from 'vscode';
import { after, test } from '../rig/host-suite.ts';
import { parseAddress } from '../../src/extension/computes/address.ts';
import { suggestName } from '../../src/extension/computes/add.ts';
import { Computes } from '../../src/extension/computes/computes.ts';
import { Connector } from '../../src/extension/computes/connect.ts';
import { Prompts } from '../../src/extension/computes/prompts.ts';
import { reportHtml, summary } from '../../src/extension/computes/report-html.ts';
import { SecretStore } from '../../src/extension/computes/secret-store.ts';
import { setupUri } from '../../src/extension/computes/setup-document.ts';
import { sshArguments } from '../../src/extension/computes/terminal.ts';
import { settingsThatCount, settingValue, textChange } from '../../src/extension/computes/settings.ts';
import { partitionItems } from '../../src/extension/computes/partition-pick.ts';
import { ComputeTree } from '../../src/extension/computes/tree.ts';
import { Connection } from '../../src/extension/connection.ts';
import { RemedyError } from '../../src/extension/errors.ts';
import { schedulerLines } from '../../src/extension/scheduler.ts';
import { Live } from '../../src/extension/live.ts';
import { Log } from '../../src/extension/log.ts';
import { WorkspaceChoice } from '../../src/extension/workspace-choice.ts';
import {
  computeSettingsSchema,
  type Compute,
  type ConnectionTest,
  type Partition,
} from '../../src/api/compute.ts';

const extensionPath = () => vscode.extensions.getExtension('runyard.runyard')!.extensionPath;

/** The parts as a second window would have them. */
function parts() {
  const log = new Log();
  const connection = new Connection(extensionPath(), log);
  const choice = new WorkspaceChoice(connection);
  const live = new Live(connection, log);
  const computes = new Computes(connection, live, log);
  const store = new SecretStore(memorySecrets(), memoryState());
  const prompts = new Prompts(connection, live, choice, computes, store, log);
  for (const part of [log, connection, choice, live, computes, prompts]) after(() => part.dispose());
  return { connection, computes, connector: new Connector(connection, prompts, computes, log) };
}

/** A secret store of this test, as the editor gives its own to the extension only. */
function memorySecrets(): vscode.SecretStorage {
  const values = new Map<string, string>();
  return {
    keys: async () => [...values.keys()],
    get: async (key) => values.get(key),
    store: async (key, value) => void values.set(key, value),
    delete: async (key) => void values.delete(key),
    onDidChange: new vscode.EventEmitter<vscode.SecretStorageChangeEvent>().event,
  };
}

function memoryState(): vscode.Memento {
  const values = new Map<string, unknown>();
  return {
    keys: () => [...values.keys()],
    get: <T>(key: string, fallback?: T) => (values.has(key) ? values.get(key) : fallback) as T,
    update: async (key, value) => void (value === undefined ? values.delete(key) : values.set(key, value)),
  };
}

const gone = 'nobody-listens';

test('addresses as people type and paste them', () => {
  const at = (host: string, user: string | null = null, port: number | null = null) => ({ host, user, port });
  assert.deepEqual(parseAddress('gpu'), at('gpu'));
  assert.deepEqual(parseAddress(' mia@gpu.example.org:2222 '), at('gpu.example.org', 'mia', 2222));
  assert.deepEqual(parseAddress('ssh://mia@gpu'), at('gpu', 'mia'));
  assert.deepEqual(parseAddress('ssh -p 2222 mia@gpu'), at('gpu', 'mia', 2222));
  assert.deepEqual(parseAddress('ssh mia@gpu -p2222'), at('gpu', 'mia', 2222));
  assert.deepEqual(parseAddress('ssh -l mia gpu'), at('gpu', 'mia'));
  assert.deepEqual(parseAddress('mia@[2001:db8::1]:22'), at('2001:db8::1', 'mia', 22));
  assert.deepEqual(parseAddress('2001:db8::1'), at('2001:db8::1'));
  for (const wrong of [
    '',
    '-oProxyCommand=x',
    'mia@-x',
    'a b',
    'gpu:0',
    'gpu:70000',
    '@gpu',
    'ssh -i key gpu',
  ])
    assert.equal(parseAddress(wrong), undefined, wrong);
});

test('names are suggested from the host, and are none that is taken', () => {
  const taken = new Set(['local', 'gpu']);
  assert.equal(suggestName('gpu', taken), 'gpu-2');
  assert.equal(suggestName('login.cluster.example.org', taken), 'login');
  assert.equal(suggestName('192.0.2.7', taken), '192.0.2.7');
  assert.equal(suggestName('2001:db8::1', taken), '2001-db8-1');
  assert.equal(suggestName('_x', taken), 'x');
  assert.equal(suggestName('local', taken), 'local-2');
});

test('the terminal calls ssh with arguments, the host behind "--"', async () => {
  const { connection } = parts();
  const client = await connection.client();
  const body = { name: 'terminal', host: 'gpu', user: 'mia', port: 2222, configFile: '/tmp/a file' };
  const { settings } = await client.call('addCompute', { body });
  await client.call('removeCompute', { params: { compute: 'terminal' } });
  assert.deepEqual(sshArguments({ ...settings!, host: 'gpu' }), [
    '-F',
    '/tmp/a file',
    '-l',
    'mia',
    '-p',
    '2222',
    '--',
    'gpu',
  ]);
});

test('the tree: this machine with the offer to add; a host that does not answer, with its problem', async () => {
  const { connection, computes, connector } = parts();
  const tree = new ComputeTree(computes);
  after(() => tree.dispose());
  const labels = async () => (await tree.getChildren()).map((node) => tree.getTreeItem(node).label);
  assert.deepEqual(await labels(), ['local', 'Add Compute...']);

  const client = await connection.client();
  const body = { name: gone, host: '127.0.0.1', user: 'mia', port: 1, configFile: '/dev/null' };
  await client.call('addCompute', { body });
  after(() => client.call('removeCompute', { params: { compute: gone } }).then(() => undefined));
  await computes.refresh();
  assert.deepEqual(await labels(), ['local', gone]);

  await assert.rejects(connector.connect(gone), (error: unknown) => {
    assert.ok(error instanceof RemedyError, String(error));
    assert.match(error.message, /nobody-listens|127\.0\.0\.1/);
    assert.deepEqual(
      error.remedies.map(({ label }) => label),
      ['Test Connection', 'Edit...'],
    );
    return true;
  });
  await computes.refresh();
  const [, host] = await tree.getChildren();
  const item = tree.getTreeItem(host!);
  assert.equal(item.contextValue, 'compute.ssh.unreachable');
  assert.equal((item.iconPath as vscode.ThemeIcon).id, 'debug-disconnect');
  assert.match(item.accessibilityInformation?.label ?? '', /^nobody-listens, unreachable: /);
  const lines = (await tree.getChildren(host)).map((node) => tree.getTreeItem(node).label);
  for (const label of ['Test Connection', 'Set-up lines', 'Interpreter', 'Folder'])
    assert.ok(lines.includes(label), `${label} in ${lines.join()}`);
  const tooltip = tree.resolveTreeItem(item, host!).tooltip as vscode.MarkdownString;
  assert.match(tooltip.value, /`mia@127\.0\.0\.1:1`/);
});

const partition = (name: string, more: Partial<Partition>): Partition => ({
  name,
  default: false,
  state: 'UP',
  timeLimitSeconds: null,
  nodes: { total: 8, idle: 3, used: 4, unavailable: 1 },
  cpus: { total: 64, idle: 20, used: 36, unavailable: 8 },
  cpusPerNode: 8,
  memoryBytes: 64e9,
  gpus: [],
  ...more,
});

function clusterCompute(more: Partial<Compute> = {}): Compute {
  return {
    name: 'hpc',
    kind: 'ssh',
    settings: computeSettingsSchema.parse({ host: 'hpc', scheduler: 'slurm' }),
    address: 'mia@hpc',
    state: 'connected',
    problem: null,
    action: null,
    secretKey: null,
    transport: 'builtin',
    facts: null,
    load: null,
    cluster: {
      version: '22.05.8',
      name: 'lab',
      partitions: [
        partition('main', { default: true, timeLimitSeconds: 36 * 3600 }),
        partition('gpu', { state: 'DRAIN', gpus: [{ type: 'a100', total: 8, used: 5 }] }),
      ],
      running: 2,
      pending: 5,
      problem: null,
      action: null,
    },
    activeRuns: 0,
    ...more,
  };
}

test('the tree: a Slurm cluster with its partitions, and one whose Slurm does not answer', async () => {
  const { computes } = parts();
  const tree = new ComputeTree(computes);
  after(() => tree.dispose());
  const show = async (compute: Compute) => {
    computes.take(compute);
    const node = (await tree.getChildren()).find(
      (one) => one.kind === 'target' && one.compute.name === compute.name,
    )!;
    const lines = (await tree.getChildren(node)).map((line) => tree.getTreeItem(line));
    return {
      item: tree.getTreeItem(node),
      lines,
      line: (label: string) => lines.find((l) => l.label === label),
    };
  };

  const { item, lines, line } = await show(clusterCompute());
  assert.equal(item.description, 'Slurm: 3 of 8 nodes idle, 2 jobs running, 5 waiting');
  assert.equal(item.contextValue, 'compute.ssh.connected');
  assert.deepEqual(
    lines.slice(0, 3).map(({ label, description }) => [label, description]),
    [
      ['Your jobs', '2 running, 5 waiting'],
      ['main', '3 of 8 nodes idle · default · at most 1d 12h'],
      ['gpu', 'DRAIN · 3 of 8 nodes idle · no time limit · 3 of 8 GPUs idle'],
    ],
  );
  assert.equal((line('main')!.iconPath as vscode.ThemeIcon).id, 'pass');
  assert.equal((line('gpu')!.iconPath as vscode.ThemeIcon).id, 'circle-slash');
  assert.match(line('gpu')!.tooltip as string, /a100: 3 of 8 idle\nLargest node: 8 CPUs, 64 GB\nTime limit/);
  assert.match(line('main')!.tooltip as string, /Runs of this target go here/);
  assert.equal(line('Jobs go to')!.description, "the cluster's default partition");
  assert.ok(!line('Runs'), 'the slots of the login node are not those of jobs');

  const cluster = clusterCompute().cluster!;
  const problem = { problem: 'Unable to contact slurm controller', action: 'Ask who runs it.' };
  const silent = await show(clusterCompute({ cluster: { ...cluster, partitions: [], ...problem } }));
  assert.equal(silent.item.description, problem.problem);
  assert.equal((silent.item.iconPath as vscode.ThemeIcon).id, 'warning');
  assert.deepEqual(
    silent.lines.slice(0, 3).map(({ label }) => label),
    [problem.problem, problem.action, 'Test Connection'],
  );

  // This machine as a login node: settings, but no host to open a terminal on.
  const here = computeSettingsSchema.parse({ host: null, scheduler: 'slurm' });
  const local = await show(clusterCompute({ kind: 'local', settings: here, address: null }));
  assert.equal(local.item.contextValue, 'compute.shell.connected');
  assert.match(local.item.description as string, /^this machine · Slurm: 3 of 8/);
  await computes.refresh();
});

test("a cluster's settings: those that count, as they are, and what a change leaves", () => {
  const direct = computeSettingsSchema.parse({ host: 'gpu' });
  assert.ok(settingsThatCount(direct).includes('slots'));
  assert.ok(!settingsThatCount(direct).includes('partition'));
  const slurm = { partition: 'main', account: 'team', options: ['--exclusive'] };
  const settings = computeSettingsSchema.parse({ host: null, scheduler: 'slurm', slurm });
  const count = settingsThatCount(settings);
  for (const setting of ['scheduler', 'partition', 'options', 'mpiLauncher'] as const)
    assert.ok(count.includes(setting), setting);
  for (const setting of ['slots', 'detach', 'port', 'transport'] as const)
    assert.ok(!count.includes(setting), setting);
  assert.equal(settingValue(settings, 'host'), 'this machine');
  assert.equal(settingValue(settings, 'options'), '--exclusive');
  const change = textChange(settings, 'partition', ' gpu ');
  assert.deepEqual([change.slurm?.partition, change.slurm?.account], ['gpu', 'team']);
  assert.equal(textChange(settings, 'account', '').slurm?.account, null);
  assert.equal(textChange(settings, 'cpusPerTask', '4').slurm?.cpusPerTask, 4);
});

test('partitions to choose from: the default, those that there are, another one that is typed', () => {
  const { cluster } = clusterCompute();
  const labels = (typed: string) => partitionItems(cluster!, typed).map(({ label }) => label);
  assert.deepEqual(labels(''), [
    "$(server-environment) The cluster's default",
    '$(pass) main',
    '$(circle-slash) gpu',
  ]);
  assert.equal(partitionItems(cluster!, '')[0]!.description, 'main');
  assert.ok(labels('long').includes('$(add) long'));
  assert.ok(!labels('gpu').includes('$(add) gpu'));
});

test("what Slurm says of a run's job", () => {
  const job = {
    kind: 'slurm',
    job: 4711,
    state: 'RUNNING',
    reason: null,
    priority: 4294,
    partition: 'main',
    nodes: 'node[1-2]',
    position: null,
    expectedStart: null,
    timeLimitAt: null,
    restarts: 0,
  } as const;
  assert.deepEqual(schedulerLines(job, true), [['Slurm job', '4711, RUNNING on node[1-2], partition main']]);
  const waiting = { ...job, state: 'PENDING', reason: 'Priority', nodes: null, position: 4, restarts: 2 };
  assert.deepEqual(schedulerLines(waiting, true), [
    ['Slurm job', '4711, PENDING (Priority), partition main'],
    ['Queue', 'place 4 in main, priority 4294'],
    ['Requeued', '2 times'],
  ]);
  const [, queue, limit] = schedulerLines(
    { ...waiting, expectedStart: Date.now(), timeLimitAt: Date.now() },
    true,
  );
  assert.match(queue![1], /expected to start .*\d/);
  assert.equal(limit![0], 'Time limit');
  assert.deepEqual(schedulerLines({ ...job, state: 'PENDING', reason: 'Priority' }, false), [
    ['Slurm job', '4711, node[1-2], partition main'],
  ]);
});

test('set-up lines are read and saved as a document', async () => {
  const { connection } = parts();
  const uri = setupUri(gone);
  const text = async () => Buffer.from(await vscode.workspace.fs.readFile(uri)).toString();
  assert.match(await text(), /^# Shell lines that nobody-listens runs/);
  const lines = ['module load cuda', '# mine', 'conda activate ml'];
  await vscode.workspace.fs.writeFile(uri, Buffer.from((await text()) + lines.join('\r\n') + '\n\n'));
  const client = await connection.client();
  const { settings } = await client.call('getCompute', { params: { compute: gone } });
  assert.deepEqual(settings?.setup, lines);
  assert.ok((await text()).endsWith(`${lines.join('\n')}\n`));
  await assert.rejects(async () => vscode.workspace.fs.readFile(setupUri('no-such-target')));
});

test("a report shows what a host says as text, and a step's fix as a button", () => {
  const step = { action: null, ms: 12, fix: null, detail: '<img src=x>' };
  const result: ConnectionTest = {
    ok: false,
    steps: [
      { ...step, id: 'connect', title: 'Connect to <b>gpu</b>', state: 'ok' },
      {
        ...step,
        id: 'survival',
        title: 'Runs outlive the connection',
        state: 'failed',
        detail: 'The host ends what a session leaves.',
        action: 'Set detach to "systemd".',
        fix: { detach: 'systemd' },
      },
    ],
  };
  const webview = { cspSource: 'https://pages.example', asWebviewUri: (uri: vscode.Uri) => uri };
  const report = { name: 'gpu', address: 'mia@gpu', isOverSsh: true, time: 0, test: result };
  const html = reportHtml(webview as unknown as vscode.Webview, vscode.Uri.file('/media'), report);
  assert.doesNotMatch(html, /<img|<b>/);
  assert.match(html, /default-src 'none'/);
  assert.match(html, /data-action="fix" data-step="1">Change and Test Again: detach = systemd</);
  assert.equal(summary(report), 'gpu cannot be used yet. The host ends what a session leaves.');
});

test('secrets are kept by key, listed and forgotten', async () => {
  const store = new SecretStore(memorySecrets(), memoryState());
  await store.keep('password:mia@gpu', 'one');
  await store.keep('password:mia@gpu', 'two');
  assert.deepEqual(store.keys, ['password:mia@gpu']);
  assert.equal(await store.get('password:mia@gpu'), 'two');
  await store.forget('password:mia@gpu');
  assert.deepEqual(store.keys, []);
  assert.equal(await store.get('password:mia@gpu'), undefined);
});
