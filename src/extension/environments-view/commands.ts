import * as vscode from 'vscode';
import type { Command } from '../commands.ts';
import type { Connection } from '../connection.ts';
import { runItem } from '../activity/pick.ts';
import { folderOnDisk } from '../folder-on-disk.ts';
import type { RunRef } from '../run-ref.ts';
import type { Builder } from './build.ts';
import { type CreateEnvironment, nameProblem, tell } from './create.ts';
import { showDefinition } from './definition-document.ts';
import { placeOf } from './engine.ts';
import type { Environments } from './environments.ts';
import { isBuilt } from './kinds.ts';
import type { BuildNode, VersionNode } from './nodes.ts';
import type { EnvironmentPicker } from './pick.ts';
import type { EnvironmentRef } from './reference.ts';

export interface EnvironmentCommandsContext {
  connection: Connection;
  environments: Environments;
  picker: EnvironmentPicker;
  create: CreateEnvironment;
  builder: Builder;
  reveal(environment: { name: string; version: number }): Promise<void>;
  open(ref: RunRef): Promise<unknown>;
  submit(environment: string): unknown;
}

/** What can be done with environments, from the tree, the explorer and the palette. */
export function environmentCommands(context: EnvironmentCommandsContext): Command[] {
  const { connection, picker, environments } = context;
  const build =
    (rebuild: boolean) =>
    async (...args: unknown[]) => {
      const placeHolder = rebuild
        ? vscode.l10n.t('The environment to build anew')
        : vscode.l10n.t('The environment to build');
      const ref = await picker.resolve(args, placeHolder, ({ definition }) => isBuilt(definition));
      if (!ref) return;
      const compute = typeof args[1] === 'string' ? args[1] : buildNode(args[0])?.compute;
      await context.builder.run(ref, rebuild, compute);
    };
  const paramsOf = ({ workspace, environment }: EnvironmentRef) => ({ workspace, environment });

  return [
    { id: 'runyard.createEnvironment', run: (uri) => context.create.run(uri) },
    { id: 'runyard.buildEnvironment', run: build(false) },
    { id: 'runyard.rebuildEnvironment', run: build(true) },
    {
      id: 'runyard.freezeEnvironment',
      async run(...args) {
        const ref = await picker.resolve(args, vscode.l10n.t('The environment to freeze'));
        if (!ref) return;
        const name = await vscode.window.showInputBox({
          title: vscode.l10n.t('Freeze {0}', ref.environment),
          prompt: vscode.l10n.t(
            'Name of the copy in which every package has the version that its latest run found',
          ),
          value: `${nameOf(ref)}-frozen`,
          ignoreFocusOut: true,
          validateInput: nameProblem,
        });
        if (name === undefined) return;
        const client = await connection.client();
        const body = { name: name.trim() };
        const frozen = await client.call('freezeEnvironment', { params: paramsOf(ref), body });
        await context.reveal(frozen);
        void tell(ref.workspace, frozen);
      },
    },
    {
      id: 'runyard.exportEnvironment',
      async run(...args) {
        const ref = await picker.resolve(args, vscode.l10n.t('The environment to export'));
        if (ref) await exportEnvironment(connection, ref);
      },
    },
    {
      id: 'runyard.showEnvironmentDefinition',
      async run(...args) {
        const ref = await picker.resolve(args, vscode.l10n.t('The environment whose definition to show'));
        if (ref) await showDefinition(ref);
      },
    },
    {
      id: 'runyard.showEnvironmentUses',
      async run(...args) {
        const ref = await picker.resolve(args, vscode.l10n.t('The environment whose runs to show'));
        if (ref) await showUses(context, ref);
      },
    },
    {
      id: 'runyard.copyEnvironmentName',
      async run(...args) {
        const ref = await picker.resolve(args, vscode.l10n.t('The environment whose name to copy'));
        if (!ref) return;
        await vscode.env.clipboard.writeText(ref.environment);
        vscode.window.setStatusBarMessage(vscode.l10n.t('Name copied'), 3000);
      },
    },
    {
      id: 'runyard.submitWithEnvironment',
      async run(...args) {
        const ref = await picker.resolve(args, vscode.l10n.t('The environment to run in'));
        return ref && context.submit(ref.environment);
      },
    },
    {
      id: 'runyard.deleteEnvironment',
      progress: 'runyard.environments',
      async run(...args) {
        const ref = await picker.resolve(args, vscode.l10n.t('The environment to delete'));
        if (!ref) return;
        const isVersion = (args[0] as Partial<VersionNode> | undefined)?.kind === 'version';
        const environment = isVersion ? ref.environment : nameOf(ref);
        if (!(await confirmDeletion(context, ref, environment, isVersion))) return;
        const client = await connection.client();
        await client.call('deleteEnvironment', { params: { workspace: ref.workspace, environment } });
        await environments.refresh();
      },
    },
    {
      id: 'runyard.removeEnvironmentBuild',
      progress: 'runyard.environments',
      async run(...args) {
        const node = buildNode(args[0]) ?? (await askBuild(environments));
        if (!node) return;
        const remove = vscode.l10n.t('Remove Build');
        const message = vscode.l10n.t(
          'Remove what is built of {0} on {1}?',
          node.environment,
          placeOf(node.compute),
        );
        const detail = vscode.l10n.t(
          'The environment itself stays. It is built again when a run needs it there.',
        );
        const answer = await vscode.window.showWarningMessage(message, { modal: true, detail }, remove);
        if (answer !== remove) return;
        const client = await connection.client();
        const params = { compute: node.compute, key: node.build.key };
        await client.call('removeHostEnvironment', { params });
        await environments.refresh();
      },
    },
  ];
}

type BuildRef = Pick<BuildNode, 'environment' | 'compute' | 'build'>;

function buildNode(argument: unknown): BuildRef | undefined {
  const node = argument as Partial<BuildNode> | undefined;
  return node?.kind === 'build' ? (node as BuildNode) : undefined;
}

async function askBuild(environments: Environments): Promise<BuildRef | undefined> {
  await environments.refresh();
  const items = environments.built.map(({ compute, build }) => {
    const environment = build.name ? `${build.name}:${build.version}` : build.key.slice(0, 12);
    return { label: `$(package) ${environment}`, description: placeOf(compute), environment, compute, build };
  });
  if (items.length === 0) {
    const text = vscode.l10n.t('Nothing is built on this machine or a connected host.');
    void vscode.window.showInformationMessage(text);
    return undefined;
  }
  const placeHolder = vscode.l10n.t('The build to remove');
  return vscode.window.showQuickPick(items, { placeHolder, ignoreFocusOut: true });
}

async function confirmDeletion(
  { environments }: EnvironmentCommandsContext,
  ref: EnvironmentRef,
  environment: string,
  isVersion: boolean,
): Promise<boolean> {
  const known = environments.list.find(({ name }) => name === nameOf(ref));
  const versions = known?.versions.length ?? 1;
  const message =
    isVersion || versions === 1
      ? vscode.l10n.t('Delete the environment {0}?', isVersion ? environment : ref.environment)
      : vscode.l10n.t('Delete the environment {0} with its {1} versions?', environment, versions);
  const detail = vscode.l10n.t(
    'Its runs stay, and keep what they used. What is built on hosts stays until it is cleaned up.',
  );
  const label = vscode.l10n.t('Delete');
  return (await vscode.window.showWarningMessage(message, { modal: true, detail }, label)) === label;
}

async function exportEnvironment(
  connection: Connection,
  { workspace, environment }: EnvironmentRef,
): Promise<void> {
  const folder = folderOnDisk();
  const [target] =
    (await vscode.window.showOpenDialog({
      ...(folder ? { defaultUri: folder } : {}),
      canSelectFiles: false,
      canSelectFolders: true,
      title: vscode.l10n.t('Export {0}', environment),
      openLabel: vscode.l10n.t('Export'),
    })) ?? [];
  if (!target) return;
  const client = await connection.client();
  const { files, warnings } = await client.call('exportEnvironment', {
    params: { workspace, environment },
    body: { folder: target.fsPath },
  });
  const names = files.map((file) => file.split(/[\\/]/).at(-1)).join(', ');
  const said = vscode.l10n.t('{0} is written to {1}: {2}.', environment, target.fsPath, names);
  const show = warnings.length > 0 ? vscode.window.showWarningMessage : vscode.window.showInformationMessage;
  const open = vscode.l10n.t('Open');
  void show([said, ...warnings].join(' '), open).then((answer) => {
    if (answer === open && files[0]) return vscode.window.showTextDocument(vscode.Uri.file(files[0]));
    return undefined;
  });
}

async function showUses(
  { connection, open }: EnvironmentCommandsContext,
  ref: EnvironmentRef,
): Promise<void> {
  const { workspace, environment } = ref;
  const client = await connection.client();
  const { usedBy } = await client.call('getEnvironment', { params: { workspace, environment } });
  if (usedBy.length === 0) {
    void vscode.window.showInformationMessage(vscode.l10n.t('No run has used {0}.', environment));
    return;
  }
  const found = await Promise.all(
    usedBy.map((run) => client.call('getRun', { params: { workspace, run } }).catch(() => undefined)),
  );
  const items = found.filter((run) => run !== undefined).map((run) => runItem(workspace, run));
  const picked = await vscode.window.showQuickPick(items, {
    title: vscode.l10n.t('Runs in {0}', environment),
    placeHolder: vscode.l10n.t('The run to open'),
    matchOnDescription: true,
    ignoreFocusOut: true,
  });
  if (picked) await open(picked);
}

function nameOf({ environment }: EnvironmentRef): string {
  return environment.replace(/:\d+$/, '');
}
