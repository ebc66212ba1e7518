import * as vscode from 'vscode';
import {
  isOverSsh,
  localCompute,
  type Compute,
  type ComputeSettings,
  type SshSettings,
} from '../../api/compute.ts';
import type { Client } from '../../client/client.ts';
import type { Command } from '../commands.ts';
import type { Connection } from '../connection.ts';
import { RemedyError } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { AddCompute } from './add.ts';
import type { Computes } from './computes.ts';
import type { Connector } from './connect.ts';
import type { ComputeEditor } from './edit.ts';
import type { LineNode } from './nodes.ts';
import type { ComputePicker } from './pick.ts';
import { hasRemoteSsh, openRemoteWindow } from './remote-window.ts';
import { removeCompute } from './remove.ts';
import type { SecretStore } from './secret-store.ts';
import { testNewCompute } from './scheduler-choice.ts';
import { showSetup } from './setup-document.ts';
import { openHostTerminal } from './terminal.ts';
import { testConnection, type TestServices } from './test-connection.ts';

export interface ComputeCommandsContext {
  connection: Connection;
  computes: Computes;
  connector: Connector;
  picker: ComputePicker;
  add: AddCompute;
  editor: ComputeEditor;
  store: SecretStore;
  test: TestServices;
}

/** What can be done with compute targets, from the tree and from the palette. */
export function computeCommands(context: ComputeCommandsContext): Command[] {
  const { connection, computes, picker } = context;
  const look = async (name: string): Promise<Compute & { settings: ComputeSettings }> => {
    const client = await connection.client();
    const compute = await client.call('getCompute', { params: { compute: name } });
    const { settings } = compute;
    if (!settings) throw new RemedyError(vscode.l10n.t('"{0}" is this machine.', name), []);
    return { ...compute, settings };
  };
  const lookOverSsh = async (name: string): Promise<SshSettings> => {
    const { settings } = await look(name);
    if (!isOverSsh(settings)) throw new RemedyError(vscode.l10n.t('"{0}" is this machine.', name), []);
    return settings;
  };

  return [
    {
      id: 'runyard.addCompute',
      async run() {
        const compute = await context.add.run();
        if (compute) await testNewCompute({ ...context.test, connector: context.connector }, compute.name);
        return compute?.name;
      },
    },
    {
      id: 'runyard.connectCompute',
      progress: 'runyard.compute',
      async run(...args) {
        const name = await picker.resolve(args, vscode.l10n.t('The compute target to connect to'));
        if (name) await context.connector.connect(name);
      },
    },
    {
      id: 'runyard.testCompute',
      async run(...args) {
        const placeHolder = vscode.l10n.t('The compute target whose connection to test');
        const name = await picker.resolve(args, placeHolder, 'all');
        return name && testConnection(context.test, name);
      },
    },
    {
      id: 'runyard.openComputeTerminal',
      async run(...args) {
        const name = await picker.resolve(args, vscode.l10n.t('The host to open a terminal on'), 'ssh');
        if (name) openHostTerminal(name, await lookOverSsh(name));
      },
    },
    {
      id: 'runyard.openComputeWindow',
      async run(...args) {
        const name = await picker.resolve(args, vscode.l10n.t('The host to open a window on'), 'ssh');
        if (!name) return;
        if (!hasRemoteSsh())
          throw new RemedyError(vscode.l10n.t('The extension Remote - SSH is missing.'), []);
        await openRemoteWindow(await lookOverSsh(name));
      },
    },
    {
      id: 'runyard.editCompute',
      async run(...args) {
        const name = await picker.resolve(args, vscode.l10n.t('The compute target whose settings to edit'));
        const { setting } = (args[0] ?? {}) as Partial<LineNode>;
        if (name) await context.editor.edit(name, setting);
      },
    },
    {
      id: 'runyard.editComputeSetup',
      async run(...args) {
        const name = await picker.resolve(
          args,
          vscode.l10n.t('The compute target whose set-up lines to edit'),
        );
        if (name) await showSetup(name);
      },
    },
    {
      id: 'runyard.copyComputeName',
      async run(...args) {
        const placeHolder = vscode.l10n.t('The compute target whose name to copy');
        const name = await picker.resolve(args, placeHolder, 'all');
        if (!name) return;
        await vscode.env.clipboard.writeText(name);
        vscode.window.setStatusBarMessage(vscode.l10n.t('Name copied'), 3000);
      },
    },
    {
      id: 'runyard.removeCompute',
      progress: 'runyard.compute',
      async run(...args) {
        const name = await picker.resolve(args, vscode.l10n.t('The compute target to remove'));
        if (!name) return;
        const { activeRuns } = await look(name);
        const client = await connection.client();
        if (await removeCompute(client, name, activeRuns)) await computes.refresh();
      },
    },
    {
      id: 'runyard.cleanCompute',
      progress: 'runyard.compute',
      async run(...args) {
        const name = await picker.resolve(args, vscode.l10n.t('The compute target to clean up'), 'all');
        if (!name) return;
        if (name !== localCompute) await context.connector.connect(name);
        await cleanUp(await connection.client(), name);
      },
    },
    { id: 'runyard.forgetSecrets', run: () => forgetSecrets(connection, context.store) },
  ];
}

async function cleanUp(client: Client, name: string): Promise<void> {
  const { runs, blobs, environments, bytes } = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: vscode.l10n.t('Cleaning up {0}...', name) },
    () => client.call('cleanCompute', { params: { compute: name } }),
  );
  void vscode.window.showInformationMessage(
    runs + blobs + environments === 0
      ? vscode.l10n.t(
          'There is nothing on {0} that may go: what is young, or exists only there, stays.',
          name,
        )
      : vscode.l10n.t(
          '{0}: {1} run folders, {2} cached files and {3} built environments are gone, {4}.',
          name,
          runs,
          blobs,
          environments,
          formatBytes(bytes),
        ),
  );
}

async function forgetSecrets(connection: Connection, store: SecretStore): Promise<void> {
  const { keys } = store;
  if (keys.length === 0) {
    void vscode.window.showInformationMessage(vscode.l10n.t('No password or passphrase is kept.'));
    return;
  }
  const items = keys.map((key) => ({ ...describeKey(key), key, picked: true }));
  const picked = await vscode.window.showQuickPick(items, {
    title: vscode.l10n.t('Forget Secrets'),
    placeHolder: vscode.l10n.t('What the secret store of this editor is to forget'),
    canPickMany: true,
  });
  if (!picked?.length) return;
  const forgotten = picked.map(({ key }) => key);
  for (const key of forgotten) await store.forget(key);
  const client = await connection.client();
  await client.call('forgetSecrets', { body: { keys: forgotten } });
  void vscode.window.showInformationMessage(
    forgotten.length === 1
      ? vscode.l10n.t('It is forgotten. A connection that is open stays so.')
      : vscode.l10n.t('{0} are forgotten. Connections that are open stay so.', forgotten.length),
  );
}

/** `password:mia@gpu` and `passphrase:/home/mia/.ssh/id`. */
function describeKey(key: string): { label: string; description: string } {
  const colon = key.indexOf(':');
  const kind = key.slice(0, colon);
  const icon = kind === 'passphrase' ? '$(key)' : '$(lock)';
  const word = kind === 'passphrase' ? vscode.l10n.t('passphrase') : vscode.l10n.t('password');
  return { label: `${icon} ${key.slice(colon + 1)}`, description: word };
}
