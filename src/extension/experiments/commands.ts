import * as vscode from 'vscode';
import type { Command } from '../commands.ts';
import type { Connection } from '../connection.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import { ExperimentNode } from './nodes.ts';
import type { ExperimentsView } from './view.ts';

/** What can be done with experiments. */
export function experimentCommands(
  connection: Connection,
  choice: WorkspaceChoice,
  view: ExperimentsView,
): Command[] {
  const pick = async (): Promise<ExperimentNode[]> => {
    const workspace = await choice.name();
    const { experiments } = await (
      await connection.client()
    ).call('listExperiments', { params: { workspace } });
    const items = experiments.map((experiment) => ({
      label: experiment.name,
      description: vscode.l10n.t('{0} runs', experiment.runs),
      node: new ExperimentNode(workspace, experiment),
    }));
    const placeHolder = vscode.l10n.t('The experiment to delete');
    const picked = await vscode.window.showQuickPick(items, { placeHolder });
    return picked ? [picked.node] : [];
  };

  return [
    {
      id: 'runyard.deleteExperiment',
      progress: 'runyard.experiments',
      async run(node, all) {
        const given = ((all as unknown[] | undefined) ?? [node]).filter((n) => n instanceof ExperimentNode);
        const nodes = given.length > 0 ? given : await pick();
        if (nodes.length === 0 || !(await confirmDeletion(nodes))) return;
        const client = await connection.client();
        for (const { workspace, experiment } of nodes) {
          await client.call('deleteExperiment', { params: { workspace, experiment: experiment.name } });
        }
        await view.refresh();
      },
    },
    { id: 'runyard.loadMore', progress: 'runyard.experiments', run: (node) => view.loadMore(node) },
  ];
}

async function confirmDeletion(nodes: ExperimentNode[]): Promise<boolean> {
  const label = vscode.l10n.t('Delete');
  const runs = nodes.reduce((sum, node) => sum + node.experiment.runs, 0);
  const message =
    nodes.length === 1
      ? vscode.l10n.t('Delete the experiment "{0}" with its {1} runs?', nodes[0]!.experiment.name, runs)
      : vscode.l10n.t('Delete {0} experiments with their {1} runs?', nodes.length, runs);
  const detail = vscode.l10n.t('Metrics, logs and outputs go with them. This cannot be undone.');
  return (await vscode.window.showWarningMessage(message, { modal: true, detail }, label)) === label;
}
