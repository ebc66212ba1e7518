import { randomUUID } from 'node:crypto';
import * as vscode from 'vscode';
import type { Run } from '../../api/entities.ts';
import type { Command } from '../commands.ts';
import type { Connection } from '../connection.ts';
import { downloadZip } from '../files/download.ts';
import type { RunFiles } from '../files/run-files.ts';
import { runTitle } from '../format.ts';
import type { RunRef } from '../run-ref.ts';
import { submitterEnvironment } from '../submit/environment.ts';
import type { ComputeActions } from '../submit/compute-actions.ts';
import type { RerunWithChanges } from '../submit/rerun-with-changes.ts';
import { requireTrust } from '../submit/trust.ts';
import type { ActiveRuns } from './active-runs.ts';
import { runItem, type RunPicker } from './pick.ts';

export interface RunCommandsContext {
  connection: Connection;
  picker: RunPicker;
  active: ActiveRuns;
  files: RunFiles;
  actions: Pick<ComputeActions, 'ready'>;
  rerunWithChanges: RerunWithChanges;
  open(ref: RunRef): Promise<unknown>;
  submitted(workspace: string, run: Run): Promise<void>;
}

/** What can be done with runs, from the tree, the run page and the palette. */
export function runCommands(context: RunCommandsContext): Command[] {
  const { connection, picker } = context;
  const call = async (ref: RunRef) => ({
    client: await connection.client(),
    params: { workspace: ref.workspace, run: ref.runId },
  });

  return [
    {
      id: 'runyard.openRun',
      async run(...args) {
        for (const ref of await picker.resolve(args, vscode.l10n.t('The run to open')))
          await context.open(ref);
      },
    },
    {
      id: 'runyard.openLog',
      async run(...args) {
        const refs = await picker.resolve(args, vscode.l10n.t('The run whose log to open'));
        for (const ref of refs) await context.files.openLog(ref);
      },
    },
    {
      id: 'runyard.cancelRun',
      progress: 'runyard.experiments',
      async run(...args) {
        for (const ref of await picker.resolve(args, vscode.l10n.t('The run to cancel'), true)) {
          const { client, params } = await call(ref);
          await client.call('cancelRun', { params });
        }
      },
    },
    {
      id: 'runyard.rerun',
      progress: 'runyard.experiments',
      async run(...args) {
        const refs = await picker.resolve(args, vscode.l10n.t('The run to submit again'));
        if (refs.length > 0) requireTrust();
        for (const ref of refs) {
          const { client, params } = await call(ref);
          const { compute } = await client.call('getRun', { params });
          if (!(await context.actions.ready(compute))) continue;
          const body = { environment: submitterEnvironment(process.env), requestId: randomUUID() };
          await context.submitted(ref.workspace, await client.call('rerun', { params, body }));
        }
      },
    },
    {
      id: 'runyard.rerunWithChanges',
      async run(...args) {
        const [ref] = await picker.resolve(args, vscode.l10n.t('The run to submit again with changes'));
        if (!ref) return;
        requireTrust();
        const run = await context.rerunWithChanges.run(ref);
        if (run) await context.submitted(ref.workspace, run);
      },
    },
    {
      id: 'runyard.deleteRun',
      progress: 'runyard.experiments',
      async run(...args) {
        const refs = await picker.resolve(args, vscode.l10n.t('The run to delete'));
        if (refs.length === 0 || !(await confirmDeletion(refs))) return;
        for (const ref of refs) {
          const { client, params } = await call(ref);
          await client.call('deleteRun', { params });
        }
      },
    },
    {
      id: 'runyard.copyRunId',
      async run(...args) {
        const refs = await picker.resolve(args, vscode.l10n.t('The run whose id to copy'));
        if (refs.length === 0) return;
        await vscode.env.clipboard.writeText(refs.map((ref) => ref.runId).join('\n'));
        vscode.window.setStatusBarMessage(vscode.l10n.t('Run id copied'), 3000);
      },
    },
    {
      id: 'runyard.downloadRun',
      async run(...args) {
        const [ref] = await picker.resolve(args, vscode.l10n.t('The run to download'));
        if (ref) await download(ref, connection);
      },
    },
    {
      id: 'runyard.fetchFromHost',
      async run(...args) {
        const [ref] = await picker.resolve(args, vscode.l10n.t('The run whose files to fetch'));
        if (ref) await context.files.fetch(ref);
      },
    },
    {
      id: 'runyard.showActiveRuns',
      async run() {
        await vscode.commands.executeCommand('runyard.experiments.focus');
        const runs = context.active.list();
        const [only] = runs;
        if (!only) return;
        const items = runs.map(({ workspace, run }) => runItem(workspace, run));
        const placeHolder = vscode.l10n.t('Active runs');
        const picked =
          runs.length === 1 ? items[0] : await vscode.window.showQuickPick(items, { placeHolder });
        if (picked) await context.open(picked);
      },
    },
  ];
}

async function confirmDeletion(refs: RunRef[]): Promise<boolean> {
  const label = vscode.l10n.t('Delete');
  const [first] = refs;
  const name = first?.run ? runTitle(first.run) : first?.runId;
  const message =
    refs.length === 1
      ? vscode.l10n.t('Delete the run {0} with its metrics, logs and outputs?', name ?? '')
      : vscode.l10n.t('Delete {0} runs with their metrics, logs and outputs?', refs.length);
  const detail = vscode.l10n.t('This cannot be undone.');
  return (await vscode.window.showWarningMessage(message, { modal: true, detail }, label)) === label;
}

async function download(ref: RunRef, connection: Connection): Promise<void> {
  await downloadZip({
    name: ref.runId,
    title: vscode.l10n.t('Download Run: code, logs and outputs'),
    async open(signal) {
      const client = await connection.client();
      const params = { workspace: ref.workspace, run: ref.runId };
      return client.stream('downloadRun', { params, signal });
    },
  });
}
