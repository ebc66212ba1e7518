import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import { after, test, until } from '../rig/host-suite.ts';
import { Computes } from '../../src/extension/computes/computes.ts';
import { Connection } from '../../src/extension/connection.ts';
import { cleaner } from '../../src/extension/environments-view/build.ts';
import { definitionText, definitionUri } from '../../src/extension/environments-view/definition-document.ts';
import { describeEngine, isUsable } from '../../src/extension/environments-view/engine.ts';
import { Environments } from '../../src/extension/environments-view/environments.ts';
import { asksForPackages, fileKindOf, filesIn } from '../../src/extension/environments-view/files.ts';
import { imageItems } from '../../src/extension/environments-view/images.ts';
import { suggestName } from '../../src/extension/environments-view/reference.ts';
import { requirementsOf } from '../../src/extension/environments-view/run-environment.ts';
import { EnvironmentsTree } from '../../src/extension/environments-view/tree.ts';
import { Live } from '../../src/extension/live.ts';
import { Log } from '../../src/extension/log.ts';
import { EnvironmentChoices } from '../../src/extension/submit/environment-choices.ts';
import { WorkspaceChoice } from '../../src/extension/workspace-choice.ts';
import { environmentDefinitionSchema, type Engine } from '../../src/api/environment.ts';

const extensionPath = () => vscode.extensions.getExtension('runyard.runyard')!.extensionPath;
const params = { workspace: 'default' };

/** The parts as a second window would have them. */
function parts() {
  const log = new Log();
  const connection = new Connection(extensionPath(), log);
  const choice = new WorkspaceChoice(connection);
  const live = new Live(connection, log);
  const computes = new Computes(connection, live, log);
  const environments = new Environments(connection, choice, computes, live, log);
  for (const part of [log, connection, choice, live, computes, environments]) after(() => part.dispose());
  return { connection, live, environments };
}

function folder(name: string, files: Record<string, string>): vscode.Uri {
  const root = path.join(vscode.workspace.workspaceFolders![0]!.uri.fsPath, name);
  mkdirSync(root, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(root, file), text);
  return vscode.Uri.file(root);
}

const stopped: Engine = {
  kind: 'docker',
  version: null,
  rootless: false,
  running: false,
  problem: 'The Docker engine is not running.',
  action: 'Start Docker.',
  start: 'sudo systemctl start docker',
  images: [],
};

test('files that environments are made of, by their names', () => {
  assert.equal(fileKindOf('/a/requirements.txt'), 'pip');
  assert.equal(fileKindOf('/a/requirements-dev.txt'), 'pip');
  assert.equal(fileKindOf('/a/environment.yaml'), 'conda');
  assert.equal(fileKindOf('/a/conda_dependencies.yml'), 'conda');
  assert.equal(fileKindOf('/a/pyproject.toml'), 'project');
  assert.equal(fileKindOf('/a/Dockerfile.gpu'), 'dockerfile');
  assert.equal(fileKindOf('/a/azureml_environment.json'), 'azure');
  assert.equal(fileKindOf('/a/notes.txt'), undefined);
  assert.equal(asksForPackages(fileKindOf('Dockerfile')), false);
  assert.equal(asksForPackages(fileKindOf('pyproject.toml')), true);
  assert.equal(suggestName('my project ü!'), 'my project');
  assert.equal(suggestName('_'), 'environment');
});

test('a definition as a text: what is not said is left out, texts stand as they are', () => {
  const definition = environmentDefinitionSchema.parse({
    image: 'python:3.12-slim',
    requirements: 'numpy==1.26.4\ntorch\n',
    variables: { GREETING: 'two\nlines "quoted"' },
  });
  assert.equal(
    definitionText(definition),
    'image: python:3.12-slim\nrequirements: |\n  numpy==1.26.4\n  torch\nvariables:\n  GREETING: "two\\nlines \\"quoted\\""\n',
  );
  assert.equal(definitionText(environmentDefinitionSchema.parse({})), '{}\n');
});

test('a build log as text: pieces of lines, colours, lines that are written over', () => {
  let text = '';
  const clean = cleaner((piece) => (text += piece));
  for (const piece of ['Coll', 'ecting a\r\n\x1b[3', '2mdone\x1b[0m\n 10%\r 50%\r', '100%\nno end'])
    clean(piece);
  assert.equal(text, 'Collecting a\ndone\n100%\n');
});

test('installed packages as lines: what conda has installed is a comment', () => {
  const packages = [
    { name: 'numpy', version: '1.26.4', source: 'conda' },
    { name: 'torch', version: '2.2.0+cpu', source: 'pip' },
    { name: 'alpha', version: '1.0', source: 'pip' },
  ];
  assert.equal(
    requirementsOf(packages),
    'alpha==1.0\ntorch==2.2.0+cpu\n# installed by conda:\n# numpy==1.26.4\n',
  );
});

test('images to choose: those of the engine, the suggestion, what was typed; not what Runyard has built', () => {
  const image = (name: string) => ({ name, id: 'sha256:1', bytes: 1e9, createdAt: null });
  const engine = { ...stopped, running: true, images: [image('debian:12'), image('runyard/abc:1')] };
  const names = (typed: string) => imageItems(engine, typed).map((item) => item.image);
  assert.deepEqual(names(''), ['debian:12', 'python:3.12-slim']);
  // Last: it may have been typed to find another one.
  assert.deepEqual(names('registry:5000/team/x@sha256:ab'), [
    'debian:12',
    'python:3.12-slim',
    'registry:5000/team/x@sha256:ab',
  ]);
  assert.deepEqual(names('Capital'), ['debian:12', 'python:3.12-slim'], 'no image has such a name');
  assert.deepEqual(names('--rm'), ['debian:12', 'python:3.12-slim'], 'an option is no image');
  assert.equal(isUsable(stopped), false);
  assert.equal(describeEngine(stopped), 'Docker is not running');
  assert.equal(describeEngine({ ...stopped, kind: null }), 'not installed');
});

test('the tree: nothing at first; an environment with what it asks for, its versions, its definition', async () => {
  const { connection, live, environments } = parts();
  const tree = new EnvironmentsTree(environments);
  after(() => tree.dispose());
  const watch = live.watch('default');
  after(() => watch.dispose());
  assert.deepEqual(await tree.getChildren(), []);
  environments.shown = true;
  await until('the events flow', () => live.state('default') === 'connected');

  const client = await connection.client();
  const body = { name: 'trees', definition: { requirements: 'alpha==1.0\nbeta\n' } };
  await client.call('createEnvironment', { params, body });
  after(() =>
    client.call('deleteEnvironment', { params: { ...params, environment: 'trees' } }).then(() => {}),
  );
  await until('the event was followed', () => environments.list.some(({ name }) => name === 'trees'));
  const [node] = await tree.getChildren();
  const item = tree.getTreeItem(node!);
  assert.equal(item.label, 'trees');
  assert.equal(item.description, 'version 1 · venv with 2 packages');
  assert.equal(item.contextValue, 'environment.built');
  assert.equal((item.iconPath as vscode.ThemeIcon).id, 'package');
  const again = await client.call('createEnvironment', { params, body });
  assert.equal(again.created, false);

  const second = { name: 'trees', definition: { image: 'python:3.12-slim' } };
  await client.call('createEnvironment', { params, body: second });
  await until('the second version is known', () => environments.list[0]?.version === 2);
  const [latest] = await tree.getChildren();
  assert.equal((tree.getTreeItem(latest!).iconPath as vscode.ThemeIcon).id, 'vm');
  const below = await tree.getChildren(latest);
  const labels = below.map((one) => tree.getTreeItem(one).label);
  assert.deepEqual(labels, ['Image', 'Versions']);
  const versions = await tree.getChildren(below[1]);
  assert.deepEqual(
    versions.map((one) => [tree.getTreeItem(one).label, tree.getTreeItem(one).description]),
    [
      ['Version 2', 'latest'],
      ['Version 1', ''],
    ],
  );
  const uri = definitionUri({ ...params, environment: 'trees:1' });
  const document = await vscode.workspace.openTextDocument(uri);
  assert.match(document.getText(), /^# trees:1 \(venv with 2 packages\)\n/);
  assert.match(document.getText(), /requirements: \|\n {2}alpha==1\.0\n {2}beta\n/);
});

test('what a submit can choose: files of the folder, what is registered, what still fits', async () => {
  const { connection } = parts();
  const client = await connection.client();
  const body = { name: 'boxes', definition: { image: 'python:3.12-slim' } };
  await client.call('createEnvironment', { params, body });
  after(() =>
    client.call('deleteEnvironment', { params: { ...params, environment: 'boxes' } }).then(() => {}),
  );
  const uri = folder('choices', { 'requirements.txt': 'alpha\n', Dockerfile: 'FROM x\n', 'train.py': '' });
  assert.deepEqual(await filesIn(uri), ['Dockerfile', 'requirements.txt']);
  const choices = await EnvironmentChoices.open(client, 'default', uri, []);
  const host = choices.hostItems('python3').map(({ label }) => label);
  for (const wanted of [/As the Host Is$/, /boxes:1$/, /requirements\.txt$/, /Dockerfile$/])
    assert.ok(
      host.some((label) => wanted.test(label)),
      `${wanted} in ${host.join()}`,
    );
  const images = choices.imageItems('local', '', { kind: 'host' }).map(({ label }) => label);
  // Its packages go into an image that is asked for then.
  assert.ok(
    images.some((label) => /requirements/.test(label)),
    images.join(),
  );
  const named = { kind: 'named', name: 'boxes', version: 1 } as const;
  assert.deepEqual(choices.still(named, true), named);
  assert.deepEqual(choices.still({ ...named, version: 7 }, true), { kind: 'host' });
  assert.deepEqual(choices.latest({ ...named, version: 7 }, true), named);
  assert.deepEqual(choices.still({ kind: 'file', file: 'requirements.txt' }, true), { kind: 'host' });
  assert.deepEqual(choices.still({ kind: 'image', image: 'x' }, false), { kind: 'host' });
});
