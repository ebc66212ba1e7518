import { html, nothing, type TemplateResult } from 'lit';
import type { RunDetail } from '../../../src/api/entities.ts';
import type { RunStatus } from '../../../src/api/run-status.ts';
import { formatDuration, formatTime } from '../../shared/format.ts';
import { icon, statusIcon, type IconName } from '../../shared/icons.ts';
import { t } from '../../shared/l10n.ts';
import { send } from '../bridge.ts';
import type { Action } from '../contract.ts';
import { duration, isLive } from '../state.ts';

/** Name, status, duration and what can be done. */
export function header(run: RunDetail): TemplateResult {
  const live = isLive(run);
  const took = duration(run);
  const facts = [run.experiment, run.compute, t('submitted {0}', formatTime(run.createdAt))];
  return html`<header>
    <div class="title-row">
      <h1>${run.displayName || `${run.experiment} #${run.number}`}</h1>
      <span class="status ${run.status}" role="status"
        >${statusIcon(run.status)}${statusWord(run.status)}</span
      >
      ${
        took === undefined
          ? nothing
          : html`<span class="duration" title=${t('Duration')}>${formatDuration(took)}</span>`
      }
      <div class="actions" role="toolbar" aria-label=${t('Actions')}>
        ${
          live
            ? button('cancel', 'stop', t('Cancel'), 'secondary', run.status === 'CancelRequested')
            : button('rerun', 'rerun', t('Rerun'), 'secondary')
        }
        ${button('openLog', 'output', t('Open Log'), 'secondary')}
        ${iconButton('copyId', 'copy', t('Copy Run ID'))}
        ${live ? iconButton('rerun', 'rerun', t('Rerun')) : nothing}
        ${iconButton('rerunWithChanges', 'edit', t('Rerun with Changes...'))}
        ${iconButton('download', 'download', t('Download Run'))}
        ${live ? nothing : iconButton('delete', 'trash', t('Delete'))}
      </div>
    </div>
    <div class="subtitle">
      ${facts.map((fact) => html`<span>${fact}</span>`)}
      ${run.script ? html`<span class="code">${run.script}</span>` : nothing}
      ${run.attempts > 1 ? html`<span>${t('attempt {0}', run.attempts)}</span>` : nothing}
    </div>
    ${
      run.statusReason && run.status !== 'Running' && (live || run.status === 'Canceled')
        ? html`<div class="reason">${run.statusReason}</div>`
        : nothing
    }
  </header>`;
}

/** The status as a word for people. */
export function statusWord(status: RunStatus): string {
  const words: Record<RunStatus, string> = {
    NotStarted: t('Not Started'),
    Queued: t('Queued'),
    Preparing: t('Preparing'),
    Starting: t('Starting'),
    Running: t('Running'),
    CancelRequested: t('Canceling'),
    NotResponding: t('Not Responding'),
    Finalizing: t('Finalizing'),
    Completed: t('Completed'),
    Failed: t('Failed'),
    Canceled: t('Canceled'),
  };
  return words[status];
}

function button(
  action: Action,
  glyph: IconName,
  label: string,
  appearance: 'primary' | 'secondary',
  disabled = false,
): TemplateResult {
  return html`<vscode-button
    data-action=${action}
    appearance=${appearance}
    ?disabled=${disabled}
    @click=${() => send({ type: 'action', action })}
    >${icon(glyph, 'start')}${label}</vscode-button
  >`;
}

function iconButton(action: Action, glyph: IconName, label: string): TemplateResult {
  return html`<vscode-button
    data-action=${action}
    appearance="icon"
    title=${label}
    aria-label=${label}
    @click=${() => send({ type: 'action', action })}
    >${icon(glyph)}</vscode-button
  >`;
}
