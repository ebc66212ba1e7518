import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import { until, test, after } from '../rig/host-suite.ts';
import type { Run } from '../../src/api/entities.ts';
import { Connection } from '../../src/extension/connection.ts';
import { ExperimentsModel } from '../../src/extension/experiments/model.ts';
import { ExperimentsTree } from '../../src/extension/experiments/tree.ts';
import { ArtifactFetcher } from '../../src/extension/files/fetch.ts';
import { RunFiles } from '../../src/extension/files/run-files.ts';
import { Live } from '../../src/extension/live.ts';
import { Log } from '../../src/extension/log.ts';
import { RunPage } from '../../src/extension/run-page/run-page.ts';
import { RunEnvironmentActions } from '../../src/extension/environments-view/run-environment.ts';
import { WorkspaceChoice } from '../../src/extension/workspace-choice.ts';
import type { ToExtension, ToPage } from '../../webview/run/contract.ts';

const extensionPath = () => vscode.extensions.getExtension('runyard.runyard')!.extensionPath;

/** The parts as a second window would have them. */
function parts() {
  const log = new Log();
  const connection = new Connection(extensionPath(), log);
  const choice = new WorkspaceChoice(connection);
  const live = new Live(connection, log);
  for (const part of [log, connection, choice, live]) after(() => part.dispose());
  return { log, connection, choice, live };
}

function project(name: string, script: string): vscode.Uri {
  const folder = path.join(vscode.workspace.workspaceFolders![0]!.uri.fsPath, name);
  mkdirSync(path.join(folder, '.runyard'), { recursive: true });
  writeFileSync(path.join(folder, 'train.py'), script);
  writeFileSync(path.join(folder, '.runyard/train.runconfig'), 'script: train.py\narguments: ["--n", "3"]\n');
  return vscode.Uri.file(folder);
}

/** Runs *Submit Run* and answers its one question with Enter. */
async function submit(folder: vscode.Uri): Promise<Run> {
  let run: Run | undefined;
  let done = false;
  const command = vscode.commands.executeCommand<Run>('runyard.submitRun', folder).then(
    (result) => ((run = result), (done = true)),
    (error: unknown) => ((done = true), Promise.reject(error)),
  );
  while (!done) {
    await vscode.commands.executeCommand('workbench.action.acceptSelectedQuickOpenItem');
    await Promise.race([command, new Promise((resolve) => setTimeout(resolve, 300))]);
  }
  await command;
  assert.ok(run, 'the command gives the run');
  return run;
}

const logging = `
import runyard
print("hello from the run")
runyard.log("loss", 0.5, step=1)
runyard.log("loss", float("nan"), step=2)
runyard.log("loss", 0.25, step=3)
`;

let submitted: Run | undefined;

test('Submit Run from the command to Completed; the tree shows it', async () => {
  const { connection, choice } = parts();
  submitted = await submit(project('through the command', logging));
  const client = await connection.client();
  const params = { workspace: 'default', run: submitted.id };
  const ended = await until('the run has ended', async () => {
    const run = await client.call('getRun', { params });
    return run.endedAt === null ? undefined : run;
  });
  assert.equal(ended.status, 'Completed', ended.error?.message);
  assert.deepEqual(ended.configuration.arguments, ['--n', '3']);

  const model = new ExperimentsModel(connection, choice);
  const tree = new ExperimentsTree(model);
  after(() => (tree.dispose(), model.dispose()));
  const roots = await tree.getChildren();
  const experiment = roots.find((node) => tree.getTreeItem(node).label === 'through the command');
  assert.ok(experiment, 'the experiment, named after the folder');
  const [run] = await tree.getChildren(experiment);
  const item = tree.getTreeItem(run!);
  assert.equal(item.label, 'through the command 1');
  assert.equal((item.iconPath as vscode.ThemeIcon).id, 'pass');
  assert.equal(item.contextValue, 'run.completed');
  assert.match(item.accessibilityInformation?.label ?? '', /Completed/);
});

test('files of a run open as read-only documents', async () => {
  const root = vscode.Uri.parse(`runyard:/default/${submitted!.id}/`);
  const names = (await vscode.workspace.fs.readDirectory(root)).map(([name]) => name);
  assert.ok(names.includes('user_logs'), names.join());
  const file = vscode.Uri.joinPath(root, 'user_logs/std_log.txt');
  const text = Buffer.from(await vscode.workspace.fs.readFile(file)).toString();
  assert.match(text, /hello from the run/);
  await assert.rejects(async () => vscode.workspace.fs.writeFile(file, Buffer.from('x')));
  await assert.rejects(async () => vscode.workspace.fs.readFile(vscode.Uri.joinPath(root, 'nothing.txt')));
});

test('the page and the extension: silence until ready, a snapshot, answers, a snapshot again', async () => {
  const services = parts();
  const panel = new FakePanel();
  const uri = vscode.Uri.file(extensionPath());
  const page = new RunPage(
    panel as unknown as vscode.WebviewPanel,
    { workspace: 'default', runId: submitted!.id, tab: 'log' },
    {
      ...services,
      files: new RunFiles(services.connection, new ArtifactFetcher(services.connection, services.live)),
      environments: new RunEnvironmentActions(
        services.connection,
        { ask: async () => undefined },
        async () => undefined,
      ),
      assets: vscode.Uri.joinPath(uri, 'dist/webview'),
      icon: { light: uri, dark: uri },
    },
  );
  after(() => page.dispose());
  assert.match(panel.webview.html, /default-src 'none'/);
  assert.match(panel.webview.html, /connect-src 'none'/);
  assert.doesNotMatch(panel.webview.html, /unsafe/);
  await until('the events flow', () => services.live.state('default') === 'connected');
  assert.equal(panel.sent.length, 0, 'nothing is said before the page is ready');

  panel.say({ type: 'ready' });
  const snapshot = await panel.answer('snapshot');
  assert.equal(panel.sent.map((message) => message.type)[0], 'init');
  assert.equal(snapshot.snapshot.run.id, submitted!.id);
  assert.deepEqual(
    snapshot.snapshot.run.series.map(({ name, count }) => [name, count]),
    [['loss', 3]],
  );

  panel.say({ type: 'request', id: 1, name: 'windows', params: { names: ['loss'], points: 100 } });
  const windows = (await panel.answer('answer')).result as { values: unknown[] }[];
  assert.deepEqual(windows[0]?.values, [0.5, 'NaN', 0.25]);

  panel.sent.length = 0;
  const params = { path: 'user_logs/std_log.txt', offset: 6, length: 4 };
  panel.say({ type: 'request', id: 2, name: 'read', params });
  const read = (await panel.answer('answer')).result as { data: Uint8Array; size: number };
  assert.equal(Buffer.from(read.data).toString(), 'from');
  assert.ok(read.data.buffer.byteLength === 4, 'no more bytes than asked for cross over');

  panel.say({ type: 'request', id: 3, name: 'read', params: { ...params, path: 'no/such' } });
  assert.equal((await panel.answer('refusal')).id, 3);

  panel.show(false);
  panel.sent.length = 0;
  panel.show(true);
  panel.say({ type: 'ready' });
  await panel.answer('snapshot');
});

/** A webview panel whose page is this test. */
class FakePanel {
  readonly sent: ToPage[] = [];
  visible = true;
  active = true;
  title = 'run';
  iconPath: unknown;
  private readonly messages = new vscode.EventEmitter<ToExtension>();
  private readonly states = new vscode.EventEmitter<void>();
  readonly onDidChangeViewState = this.states.event;
  readonly webview = {
    html: '',
    options: {},
    cspSource: 'https://pages.example',
    asWebviewUri: (uri: vscode.Uri) => uri,
    onDidReceiveMessage: this.messages.event,
    postMessage: async (message: ToPage) => this.sent.push(message) > 0,
  };

  say(message: ToExtension): void {
    this.messages.fire(message);
  }

  show(visible: boolean): void {
    this.visible = visible;
    this.states.fire();
  }

  /** Waits for a message of a type. */
  answer<T extends ToPage['type']>(type: T): Promise<Extract<ToPage, { type: T }>> {
    return until(`a message of type ${type}`, () =>
      this.sent.find((message): message is Extract<ToPage, { type: T }> => message.type === type),
    );
  }

  dispose(): void {
    this.messages.dispose();
  }
}
