import * as vscode from 'vscode';
import type { Workspace } from '../../api/entities.ts';
import type { Command } from '../commands.ts';
import type { Connection } from '../connection.ts';
import { RemedyError } from '../errors.ts';
import { workspaceSetting } from '../settings.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import type { WorkspaceNode } from './view.ts';

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Create, use and delete workspaces. */
export function workspaceCommands(connection: Connection, choice: WorkspaceChoice): Command[] {
  const pick = async (placeHolder: string): Promise<string | undefined> => {
    const { workspaces } = await (await connection.client()).call('listWorkspaces');
    const items = workspaces.map((w) => ({
      label: w.name,
      description: w.current ? vscode.l10n.t('current') : '',
    }));
    return (await vscode.window.showQuickPick(items, { placeHolder }))?.label;
  };

  const use = async (name: string): Promise<void> => {
    const setting = workspaceSetting();
    if (setting && setting !== name) {
      const run = () => vscode.commands.executeCommand('workbench.action.openSettings', 'runyard.workspace');
      throw new RemedyError(
        vscode.l10n.t('The setting "runyard.workspace" keeps this window on the workspace "{0}".', setting),
        [{ label: vscode.l10n.t('Open Settings'), run }],
      );
    }
    await (await connection.client()).call('useWorkspace', { params: { workspace: name } });
    choice.forget();
  };

  return [
    {
      id: 'runyard.createWorkspace',
      async run() {
        const name = await vscode.window.showInputBox({
          title: vscode.l10n.t('Create Workspace'),
          prompt: vscode.l10n.t('A workspace keeps experiments, runs and their files together.'),
          placeHolder: vscode.l10n.t('Name'),
          validateInput: (text) =>
            namePattern.test(text.trim())
              ? undefined
              : vscode.l10n.t('Use letters, digits, ".", "_" and "-", at most 63 of them.'),
        });
        if (!name) return;
        await (await connection.client()).call('createWorkspace', { body: { name: name.trim() } });
        await use(name.trim());
      },
    },
    {
      id: 'runyard.useWorkspace',
      progress: 'runyard.workspaces',
      async run(node) {
        const name =
          (node as WorkspaceNode | undefined)?.workspace?.name ??
          (await pick(vscode.l10n.t('The workspace whose runs are shown, and which new runs go to')));
        if (name) await use(name);
      },
    },
    {
      id: 'runyard.deleteWorkspace',
      progress: 'runyard.workspaces',
      async run(node, nodes) {
        const names = ((nodes as WorkspaceNode[] | undefined) ?? [node as WorkspaceNode | undefined])
          .map((n) => n?.workspace?.name)
          .filter((name) => name !== undefined);
        if (names.length === 0) {
          const name = await pick(vscode.l10n.t('The workspace to delete'));
          if (!name) return;
          names.push(name);
        }
        if (!(await confirmDeletion(names))) return;
        const client = await connection.client();
        try {
          for (const workspace of names) await client.call('deleteWorkspace', { params: { workspace } });
        } finally {
          choice.forget();
        }
      },
    },
  ];
}

async function confirmDeletion(names: Workspace['name'][]): Promise<boolean> {
  const label = vscode.l10n.t('Delete');
  const message =
    names.length === 1
      ? vscode.l10n.t('Delete the workspace "{0}" with all its experiments, runs and files?', names[0]!)
      : vscode.l10n.t('Delete {0} workspaces with all their experiments, runs and files?', names.length);
  const detail = vscode.l10n.t('This cannot be undone.');
  return (await vscode.window.showWarningMessage(message, { modal: true, detail }, label)) === label;
}
