import { html, nothing, type TemplateResult } from 'lit';
import type { Artifact } from '../../../src/api/entities.ts';
import { t } from '../../shared/l10n.ts';
import { send } from '../bridge.ts';
import type { LogView } from '../log/log-view.ts';
import { run, isLive, state, update } from '../state.ts';
import { emptyText } from './parts.ts';

const mainLog = 'user_logs/std_log.txt';
const buildLog = 'user_logs/build_log.txt';
/** What an attempt before the newest one has written. */
const isOfBefore = (path: string): boolean => path.startsWith('attempts/');

let chosen = '';
let following = true;

/** The live log. */
export function logTab(artifacts: readonly Artifact[]): TemplateResult {
  const paths = logPaths(artifacts);
  const path = paths.includes(chosen) ? chosen : first(paths);
  if (!path) {
    const one = run();
    return emptyText(one && isLive(one) ? t('No output yet.') : t('The run has written no log.'));
  }
  const size = state.logSizes.get(path) ?? 0;
  const view = (): LogView | null => document.querySelector('ry-log');
  return html`<div class="log-tab">
    <div class="log-bar">
      ${paths.includes(buildLog) ? buildSwitch(path) : nothing}
      ${
        paths.some((one) => one !== mainLog && one !== buildLog)
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

/** The log of the command, or of the build that went before; both stay in reach. */
function buildSwitch(path: string): TemplateResult {
  const choose = (wanted: string) => {
    chosen = wanted;
    update({});
  };
  const button = (wanted: string, label: string) =>
    html`<button
      type="button"
      data-log=${wanted === buildLog ? 'build' : 'run'}
      aria-pressed=${path === wanted}
      @click=${() => choose(wanted)}
    >
      ${label}
    </button>`;
  return html`<div class="log-switch" role="group" aria-label=${t('Log')}>
    ${button(buildLog, t('Build Log'))} ${button(mainLog, t('Log'))}
  </div>`;
}

/** The log of the process that has failed, where there are several; else the command's; before it has one, the build's. */
function first(paths: readonly string[]): string | undefined {
  const rank = /^Rank (\d+)\b/.exec(run()?.error?.message ?? '')?.[1];
  const failed = `user_logs/std_log_process_${rank?.padStart(2, '0')}.txt`;
  if (rank !== undefined && paths.includes(failed)) return failed;
  const empty = (state.logSizes.get(mainLog) ?? 0) === 0;
  return empty && paths.includes(buildLog) ? buildLog : paths[0];
}

/** Log files, the command's output first, those of earlier attempts last. */
function logPaths(artifacts: readonly Artifact[]): string[] {
  const isLog = (path: string) => /(^|\/)(user_logs|logs)\//.test(path);
  const known = new Set([...artifacts.map((a) => a.path), ...state.logSizes.keys()].filter(isLog));
  // Its place is there from the first line of the build on.
  if (known.has(buildLog)) known.add(mainLog);
  const rank = (path: string) => (path === mainLog ? 0 : path === buildLog ? 1 : isOfBefore(path) ? 3 : 2);
  return [...known].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b, undefined, { numeric: true }));
}
