import { html, nothing, type TemplateResult } from 'lit';
import type { RunDetail } from '../../../src/api/entities.ts';
import { icon } from '../../shared/icons.ts';
import { t } from '../../shared/l10n.ts';
import { send } from '../bridge.ts';
import { state } from '../state.ts';

/** What the person should know first: why a run failed, warnings, a broken line. */
export function notices(run: RunDetail): TemplateResult {
  return html`${
    state.line === 'reconnecting'
      ? notice('info', t('The line to the Runyard server broke. Reconnecting... The run goes on meanwhile.'))
      : nothing
  }
  ${state.problem ? notice('warning', state.problem, serverLogButton()) : nothing}
  ${
    run.hostReachable
      ? nothing
      : notice(
          'warning',
          t(
            'The host "{0}" cannot be reached. The run goes on there; news come when it is back.',
            run.compute,
          ),
        )
  }
  ${run.error ? failure(run) : nothing} ${warnings(run)}`;
}

function notice(
  kind: 'info' | 'warning',
  text: string,
  more: TemplateResult | typeof nothing = nothing,
): TemplateResult {
  return html`<div class="notice ${kind}" role="status">${icon('warning')}<span>${text}</span>${more}</div>`;
}

function serverLogButton(): TemplateResult {
  return html`<vscode-button
    appearance="secondary"
    @click=${() => send({ type: 'action', action: 'serverLog' })}
    >${t('Show Server Log')}</vscode-button
  >`;
}

function failure(run: RunDetail): TemplateResult {
  return html`<section class="notice error" aria-label=${t('Error')}>
    ${icon('cross')}
    <div class="notice-body">
      <strong>${run.error?.message}</strong>
      ${
        run.error?.tail
          ? html`<div class="tail" tabindex="0" role="region" aria-label=${t('Last lines of the log')}>
              <pre>${run.error.tail}</pre>
            </div>`
          : nothing
      }
      <vscode-button appearance="secondary" @click=${() => send({ type: 'action', action: 'openLog' })}
        >${t('Open Log')}</vscode-button
      >
    </div>
  </section>`;
}

function warnings(run: RunDetail): TemplateResult | typeof nothing {
  const texts = [...run.warnings];
  if (run.badJournalLines > 0) {
    const count = run.badJournalLines.toLocaleString();
    texts.push(
      t('{0} journal lines could not be read and are not part of the metrics.', count) +
        (run.badJournalReason ? ` ${run.badJournalReason}` : ''),
    );
  }
  if (texts.length === 0) return nothing;
  return html`<section class="notice warning" aria-label=${t('Warnings')}>
    ${icon('warning')}
    <ul>
      ${texts.slice(0, 20).map((text) => html`<li>${text}</li>`)}
    </ul>
  </section>`;
}
