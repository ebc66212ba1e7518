import * as vscode from 'vscode';
import type { Run } from '../../api/entities.ts';
import type { Connection } from '../connection.ts';
import { formatDuration, runDuration, runTitle } from '../format.ts';
import type { Log } from '../log.ts';
import { runKey, type RunRef } from '../run-ref.ts';
import { neverNotify, notifyOnFinish } from '../settings.ts';
import type { ActiveRuns } from './active-runs.ts';

const memoryKey = 'runyard.submittedRuns';
/** Older submits of a window are forgotten; nobody waits for them any more. */
const remembered = 200;

/**
 * Tells once that a run has ended, in the window that submitted it or has its page open. Runs that were
 * still active when the window was closed are looked up when it is back.
 */
export class FinishNotifier implements vscode.Disposable {
  private readonly memory: vscode.Memento;
  private readonly active: ActiveRuns;
  private readonly log: Log;
  private readonly isOpen: (ref: RunRef) => boolean;
  private readonly subscription: vscode.Disposable;

  constructor(memory: vscode.Memento, active: ActiveRuns, isOpen: (ref: RunRef) => boolean, log: Log) {
    this.memory = memory;
    this.active = active;
    this.isOpen = isOpen;
    this.log = log;
    this.subscription = active.onDidEnd(({ workspace, run }) => void this.ended(workspace, run));
  }

  /** This window submitted the run: it will tell of its end. */
  expect(workspace: string, run: Run): void {
    const key = runKey({ workspace, runId: run.id });
    this.remember([...this.expected().filter((other) => other !== key), key].slice(-remembered));
    this.active.add(workspace, run);
  }

  /** Looks up the runs that were under way when this window was closed. Starts nothing by itself. */
  async catchUp(connection: Connection): Promise<void> {
    for (const key of this.expected()) {
      const slash = key.indexOf('/');
      const [workspace, runId] = [key.slice(0, slash), key.slice(slash + 1)];
      try {
        const client = await connection.client();
        const run = await client.call('getRun', { params: { workspace, run: runId } });
        if (run.endedAt === null) this.active.add(workspace, run);
        else await this.ended(workspace, run);
      } catch (error) {
        if ((error as { code?: string }).code === 'not_found') this.forget(key);
        else return this.log.error('Runs of the last session cannot be looked up', error);
      }
    }
  }

  dispose(): void {
    this.subscription.dispose();
  }

  private async ended(workspace: string, run: Run): Promise<void> {
    const ref = { workspace, runId: run.id };
    const expected = this.forget(runKey(ref));
    if (!(expected || this.isOpen(ref)) || !notifyOnFinish()) return;
    const open = vscode.l10n.t('Open');
    const openLog = vscode.l10n.t('Open Log');
    const never = vscode.l10n.t("Don't Show Again");
    const show =
      run.status === 'Failed' ? vscode.window.showErrorMessage : vscode.window.showInformationMessage;
    const buttons = run.status === 'Failed' ? [open, openLog, never] : [open, never];
    const answer = await show(sentence(run), ...buttons);
    if (answer === open) await vscode.commands.executeCommand('runyard.openRun', ref);
    if (answer === openLog) await vscode.commands.executeCommand('runyard.openLog', ref);
    if (answer === never) await neverNotify();
  }

  private expected(): string[] {
    return this.memory.get<string[]>(memoryKey, []);
  }

  private forget(key: string): boolean {
    const keys = this.expected();
    if (!keys.includes(key)) return false;
    this.remember(keys.filter((other) => other !== key));
    return true;
  }

  private remember(keys: string[]): void {
    void this.memory.update(memoryKey, keys.length ? keys : undefined);
  }
}

function sentence(run: Run): string {
  const duration = runDuration(run);
  const time = duration === undefined ? '' : formatDuration(duration);
  switch (run.status) {
    case 'Failed':
      return vscode.l10n.t('Run {0} failed: {1}', runTitle(run), run.error?.message || run.statusReason);
    case 'Canceled':
      return vscode.l10n.t('Run {0} was canceled.', runTitle(run));
    default:
      return time
        ? vscode.l10n.t('Run {0} completed in {1}.', runTitle(run), time)
        : vscode.l10n.t('Run {0} completed.', runTitle(run));
  }
}
