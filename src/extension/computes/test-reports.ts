import * as vscode from 'vscode';
import { reportHtml, type Report, type ReportMessage } from './report-html.ts';

/** The pages with the results of *Test Connection*, one for each target. */
export class TestReports implements vscode.Disposable {
  private readonly media: vscode.Uri;
  private readonly act: (report: Report, message: ReportMessage) => unknown;
  private readonly panels = new Map<string, { panel: vscode.WebviewPanel; report: Report }>();

  constructor(media: vscode.Uri, act: (report: Report, message: ReportMessage) => unknown) {
    this.media = media;
    this.act = act;
  }

  /** Shows a result in place of the one before. */
  show(report: Report): void {
    const open = this.panels.get(report.name);
    if (open) {
      open.report = report;
      open.panel.webview.html = reportHtml(open.panel.webview, this.media, report);
      open.panel.reveal();
      return;
    }
    const panel = vscode.window.createWebviewPanel(
      'runyard.connectionTest',
      vscode.l10n.t('Connection: {0}', report.name),
      vscode.ViewColumn.Active,
      { enableScripts: true, localResourceRoots: [this.media] },
    );
    const shown = { panel, report };
    this.panels.set(report.name, shown);
    panel.onDidDispose(() => this.panels.delete(report.name));
    panel.webview.onDidReceiveMessage((message: ReportMessage) => void this.act(shown.report, message));
    panel.webview.html = reportHtml(panel.webview, this.media, report);
  }

  dispose(): void {
    for (const { panel } of [...this.panels.values()]) panel.dispose();
  }
}
