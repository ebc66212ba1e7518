import * as vscode from 'vscode';
import type { Run } from '../../api/entities.ts';
import type { Connection } from '../connection.ts';
import { formatAgo, runTitle } from '../format.ts';
import { isRunRef, type RunRef } from '../run-ref.ts';
import { isActive, statusIcon, statusWord } from '../status.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';

/** Where the runs that a command means may come from, in this order. */
export interface RunSources {
  /** The run of the page in front, if it is one. */
  activePage(): RunRef | undefined;
  /** Runs selected in the tree. */
  selected(): RunRef[];
}

/** The runs that a command means: its arguments, the page in front, the tree's selection, or a question. */
export class RunPicker {
  private readonly connection: Connection;
  private readonly choice: WorkspaceChoice;
  private readonly sources: RunSources;

  constructor(connection: Connection, choice: WorkspaceChoice, sources: RunSources) {
    this.connection = connection;
    this.choice = choice;
    this.sources = sources;
  }

  /** Runs for a command called with these arguments; empty when the person picked none. */
  async resolve(args: unknown[], placeHolder: string, onlyActive = false): Promise<RunRef[]> {
    const [first, all] = args;
    if (Array.isArray(all) && all.length > 0) return all.filter(isRunRef);
    if (isRunRef(first)) return [first];
    const page = this.sources.activePage();
    if (page) return [page];
    const selected = this.sources.selected();
    if (selected.length > 0) return selected;
    const picked = await this.ask(placeHolder, onlyActive);
    return picked ? [picked] : [];
  }

  /** Asks for one of the newest runs. */
  async ask(placeHolder: string, onlyActive = false): Promise<RunRef | undefined> {
    const workspace = await this.choice.name();
    const client = await this.connection.client();
    const { runs } = await client.call('listRuns', {
      params: { workspace },
      query: { limit: 200, ...(onlyActive ? { active: 'true' as const } : {}) },
    });
    if (runs.length === 0) {
      void vscode.window.showInformationMessage(
        onlyActive
          ? vscode.l10n.t('No run is active in the workspace "{0}".', workspace)
          : vscode.l10n.t('The workspace "{0}" has no runs yet.', workspace),
      );
      return undefined;
    }
    const items = runs.map((run) => runItem(workspace, run));
    return vscode.window.showQuickPick(items, { placeHolder, matchOnDescription: true });
  }
}

/** A run as a line of a quick pick. */
export function runItem(workspace: string, run: Run): vscode.QuickPickItem & RunRef {
  const when = isActive(run) ? run.statusReason : formatAgo(run.endedAt ?? run.createdAt);
  return {
    label: runTitle(run),
    iconPath: statusIcon(run.status),
    description: [run.experiment, statusWord(run.status), when].filter(Boolean).join(' · '),
    workspace,
    runId: run.id,
    run,
  };
}
