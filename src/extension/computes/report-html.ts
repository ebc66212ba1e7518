import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';
import type { ConnectionStep, ConnectionTest } from '../../api/compute.ts';

/** What the page tells the extension. */
export type ReportMessage =
  | { action: 'test' | 'edit' | 'setup' | 'terminal' }
  /** Do what a step proposes. */
  | { action: 'fix'; step: number };

export interface Report {
  name: string;
  address: string | null;
  /** Whether there is a host to open a terminal on. */
  isOverSsh: boolean;
  /** When it ended. */
  time: number;
  test: ConnectionTest;
}

/** A longer reason stands with its step only. */
const longestDetail = 100;

/** A state as a shape; its word is read out. */
const shapes: Record<ConnectionStep['state'], string> = {
  ok: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM5 8.2l2.1 2.1L11.2 6',
  warning: 'M8 2 1.6 13.6h12.8L8 2Zm0 4.3v3.6m0 1.6v.4',
  failed: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM5.7 5.7l4.6 4.6m0-4.6-4.6 4.6',
  skipped: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM3.5 12.4 12.5 3.6',
};

/** The result of *Test Connection* as a page: no content of the host is anything but text. */
export function reportHtml(webview: vscode.Webview, media: vscode.Uri, report: Report): string {
  const nonce = randomBytes(16).toString('base64');
  const style = webview.asWebviewUri(vscode.Uri.joinPath(media, 'connection-test.css')).toString();
  const policy = `default-src 'none'; style-src ${webview.cspSource}; script-src 'nonce-${nonce}'`;
  const { name, address, test, time } = report;
  const at = new Date(time).toLocaleTimeString();
  const about = [address === name ? '' : (address ?? ''), vscode.l10n.t('tested at {0}', at)]
    .filter(Boolean)
    .join(' · ');
  return `<!DOCTYPE html>
<html lang="${text(vscode.env.language)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${text(policy)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${text(vscode.l10n.t('Connection to {0}', name))}</title>
<link rel="stylesheet" href="${text(style)}">
</head>
<body>
<main>
<h1>${text(vscode.l10n.t('Connection to {0}', name))}</h1>
<p class="muted">${text(about)}</p>
<p class="summary ${summaryState(test)}" role="status">${shape(summaryState(test))}<span>${text(summary(report))}</span></p>
<ol>${test.steps.map(stepHtml).join('\n')}</ol>
<p class="actions">
<button data-action="test">${text(vscode.l10n.t('Test Again'))}</button>
<button class="secondary" data-action="setup">${text(vscode.l10n.t('Edit Set-up Lines...'))}</button>
<button class="secondary" data-action="edit">${text(vscode.l10n.t('Edit Compute...'))}</button>
${report.isOverSsh ? `<button class="secondary" data-action="terminal">${text(vscode.l10n.t('Open Terminal on Host'))}</button>` : ''}
</p>
</main>
<script nonce="${nonce}">
const vscode = acquireVsCodeApi();
document.addEventListener('click', ({ target }) => {
  const { action, step } = target.closest('button')?.dataset ?? {};
  if (action) vscode.postMessage(step === undefined ? { action } : { action, step: Number(step) });
});
</script>
</body>
</html>`;
}

/** The result in a sentence. */
export function summary({ name, test }: Pick<Report, 'name' | 'test'>): string {
  const { ok, steps } = test;
  const failed = steps.find(({ state }) => state === 'failed');
  if (!ok && failed) {
    return failed.detail.length <= longestDetail
      ? vscode.l10n.t('{0} cannot be used yet. {1}', name, failed.detail)
      : vscode.l10n.t('{0} cannot be used yet: "{1}" failed.', name, failed.title);
  }
  if (!ok) return vscode.l10n.t('{0} cannot be used.', name);
  const warnings = steps.filter(({ state }) => state === 'warning').length;
  if (warnings === 1) return vscode.l10n.t('{0} is ready, with one warning.', name);
  if (warnings > 1) return vscode.l10n.t('{0} is ready, with {1} warnings.', name, warnings);
  return vscode.l10n.t('{0} is ready for runs.', name);
}

function summaryState({ ok, steps }: ConnectionTest): ConnectionStep['state'] {
  if (!ok) return 'failed';
  return steps.some(({ state }) => state === 'warning') ? 'warning' : 'ok';
}

function stepHtml(step: ConnectionStep, index: number): string {
  const { title, state, detail, action, ms, fix } = step;
  const took = state === 'skipped' ? '' : `<span class="time">${text(seconds(ms))}</span>`;
  const todo = action ? `<p class="todo">${text(action)}</p>` : '';
  const label = vscode.l10n.t('Change and Test Again: {0}', describeFix(fix));
  const button = fix ? `<p><button data-action="fix" data-step="${index}">${text(label)}</button></p>` : '';
  return `<li class="${state}">${shape(state)}<div>
<h2><span class="hidden">${text(stateWord(state))}: </span>${text(title)} ${took}</h2>
<p class="detail">${text(detail)}</p>${todo}${button}
</div></li>`;
}

/** `detach = systemd`. */
export function describeFix(fix: ConnectionStep['fix']): string {
  return Object.entries(fix ?? {})
    .map(([key, value]) => `${key} = ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(', ');
}

function stateWord(state: ConnectionStep['state']): string {
  switch (state) {
    case 'ok':
      return vscode.l10n.t('All right');
    case 'warning':
      return vscode.l10n.t('Warning');
    case 'failed':
      return vscode.l10n.t('Failed');
    case 'skipped':
      return vscode.l10n.t('Left out');
  }
}

function shape(state: ConnectionStep['state']): string {
  return `<svg viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d="${shapes[state]}"/></svg>`;
}

function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function text(value: string): string {
  return value
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
