import { html, nothing, type TemplateResult } from 'lit';
import type { Artifact } from '../../../src/api/entities.ts';
import { t } from '../../shared/l10n.ts';
import { send } from '../bridge.ts';
import type { LogView } from '../log/log-view.ts';
import { run, isLive, state, update } from '../state.ts';
import { emptyText } from './parts.ts';

let chosen = '';
let following = true;

/** The live log. */
export function logTab(artifacts: readonly Artifact[]): TemplateResult {
  const paths = logPaths(artifacts);
  const path = paths.includes(chosen) ? chosen : paths[0];
  if (!path) {
    const one = run();
    return emptyText(one && isLive(one) ? t('No output yet.') : t('The run has written no log.'));
  }
  const size = state.logSizes.get(path) ?? 0;
  const view = (): LogView | null => document.querySelector('ry-log');
  return html`<div class="log-tab">
    <div class="log-bar">
      ${
        paths.length > 1
          ? html`<select
              aria-label=${t('Log file')}
              @change=${(event: Event) => {
                chosen = (event.target as HTMLSelectElement).value;
                update({});
              }}
            >
              ${paths.map((one) => html`<option value=${one} ?selected=${one === path}>${one}</option>`)}
            </select>`
          : html`<span class="muted">${path}</span>`
      }
      <vscode-checkbox
        .checked=${following}
        @change=${(event: Event) => {
          const on = (event.target as HTMLInputElement).checked;
          const log = view();
          if (log) log.following = on;
        }}
        >${t('Follow')}</vscode-checkbox
      >
      <span class="spacer"></span>
      <vscode-button appearance="secondary" @click=${() => send({ type: 'openFile', path })}
        >${t('Open in Editor')}</vscode-button
      >
      <vscode-button appearance="secondary" @click=${() => send({ type: 'saveFile', path })}
        >${t('Save As...')}</vscode-button
      >
    </div>
    <ry-log
      .source=${{ path, size }}
      @following=${(event: CustomEvent<boolean>) => {
        following = event.detail;
        update({});
      }}
    ></ry-log>
    ${size === 0 ? html`<p class="empty small">${t('The log is empty.')}</p>` : nothing}
  </div>`;
}

/** Log files, the command's output first. */
function logPaths(artifacts: readonly Artifact[]): string[] {
  const isLog = (path: string) => /(^|\/)(user_logs|logs)\//.test(path);
  const known = new Set([...artifacts.map((a) => a.path), ...state.logSizes.keys()].filter(isLog));
  const rank = (path: string) => (path.endsWith('std_log.txt') ? 0 : 1);
  return [...known].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}
