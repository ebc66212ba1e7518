import * as vscode from 'vscode';
import { runTitle } from '../format.ts';
import { statusWord } from '../status.ts';
import type { ActiveRuns } from './active-runs.ts';

/** The status bar item that counts active runs; hidden when there is none. */
export class RunsStatusBar implements vscode.Disposable {
  private readonly active: ActiveRuns;
  private readonly subscription: vscode.Disposable;
  private item: vscode.StatusBarItem | undefined;

  constructor(active: ActiveRuns) {
    this.active = active;
    this.subscription = active.onDidChange(() => this.draw());
  }

  dispose(): void {
    this.subscription.dispose();
    this.item?.dispose();
  }

  private draw(): void {
    const runs = this.active.list();
    if (runs.length === 0) return this.item?.hide();
    this.item ??= this.make();
    const count = runs.length === 1 ? vscode.l10n.t('1 run') : vscode.l10n.t('{0} runs', runs.length);
    this.item.text = `$(beaker) ${count}`;
    const lines = runs.slice(0, 10).map(({ run }) => {
      // What it waits for: "Building the environment digits:2".
      const reason = run.status === 'Running' ? '' : run.statusReason;
      return [`${runTitle(run)}: ${statusWord(run.status)}`, reason].filter(Boolean).join(' · ');
    });
    this.item.tooltip = [vscode.l10n.t('Active Runyard runs'), ...lines].join('\n');
    this.item.accessibilityInformation = { label: vscode.l10n.t('Runyard: {0} active', count) };
    this.item.show();
  }

  private make(): vscode.StatusBarItem {
    const item = vscode.window.createStatusBarItem('runyard.activeRuns', vscode.StatusBarAlignment.Left, 5);
    item.name = vscode.l10n.t('Runyard: Active Runs');
    item.command = 'runyard.showActiveRuns';
    return item;
  }
}
