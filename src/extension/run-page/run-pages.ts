import * as vscode from 'vscode';
import type { PageState } from '../../../webview/run/contract.ts';
import { runTitle } from '../format.ts';
import { isRunRef, runKey, type RunRef } from '../run-ref.ts';
import { RunPage, type RunPageServices } from './run-page.ts';

export const viewType = 'runyard.run';

/** The open run pages: at most one for each run in a window. */
export class RunPages implements vscode.WebviewPanelSerializer<PageState>, vscode.Disposable {
  private readonly services: RunPageServices;
  private readonly pages = new Map<string, RunPage>();
  private readonly registration: vscode.Disposable;

  constructor(services: RunPageServices) {
    this.services = services;
    this.registration = vscode.window.registerWebviewPanelSerializer(viewType, this);
  }

  /** The run whose page has the focus. */
  active(): RunRef | undefined {
    return [...this.pages.values()].find((page) => page.panel.active);
  }

  isOpen(ref: RunRef): boolean {
    return this.pages.has(runKey(ref));
  }

  /** Shows a run's page. */
  open(ref: RunRef): RunPage {
    const known = this.pages.get(runKey(ref));
    if (known) {
      known.panel.reveal();
      return known;
    }
    const title = ref.run ? runTitle(ref.run) : ref.runId;
    const panel = vscode.window.createWebviewPanel(viewType, title, vscode.ViewColumn.Active, {
      enableScripts: true,
      enableFindWidget: true,
      localResourceRoots: [this.services.assets],
    });
    return this.adopt(panel, { workspace: ref.workspace, runId: ref.runId });
  }

  /** Called by the editor for each page that was open when the window was closed. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: PageState | undefined): Promise<void> {
    if (!isRunRef(state) || this.pages.has(runKey(state))) return panel.dispose();
    this.adopt(panel, state);
  }

  dispose(): void {
    this.registration.dispose();
    for (const page of this.pages.values()) page.dispose();
  }

  private adopt(panel: vscode.WebviewPanel, state: PageState): RunPage {
    const page = new RunPage(panel, state, this.services);
    this.pages.set(runKey(page), page);
    panel.onDidDispose(() => {
      page.dispose();
      this.pages.delete(runKey(page));
    });
    return page;
  }
}
