import { html, nothing, type TemplateResult } from 'lit';
import { repeat } from 'lit/directives/repeat.js';
import type { RunDetail } from '../../../src/api/entities.ts';
import { formatClock, formatDuration, formatTime } from '../../shared/format.ts';
import { statusIcon } from '../../shared/icons.ts';
import { t } from '../../shared/l10n.ts';
import { isLive, state, update } from '../state.ts';
import { code } from './code.ts';
import { statusWord } from './header.ts';
import { emptyText, pairs, sortedEntries } from './parts.ts';
import { scheduler } from './scheduler.ts';

/** Cards are added in lots of this many, as the person scrolls. */
const lot = 60;
let shown = lot;

/** Charts of all metrics, and beside them the facts. */
export function overview(run: RunDetail): TemplateResult {
  return html`<div class="overview">
    <div class="main">${metrics(run)}</div>
    <aside aria-label=${t('Facts')}>
      ${pairs(t('Parameters'), sortedEntries(run.parameters))} ${pairs(t('Tags'), sortedEntries(run.tags))}
      ${scheduler(run)} ${timings(run)} ${code(run)} ${facts(run)}
    </aside>
  </div>`;
}

function metrics(run: RunDetail): TemplateResult {
  const all = [...state.series.values()];
  if (all.length === 0) {
    return emptyText(
      isLive(run)
        ? t('No metrics yet. A script logs them with runyard.log("loss", value); charts appear here at once.')
        : t('The run has logged no metrics.'),
    );
  }
  const needle = state.search.trim().toLowerCase();
  const found = all
    .filter((series) => series.name.toLowerCase().includes(needle))
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const visible = found.slice(0, shown);
  return html`${all.length > 4 ? searchBox(all.length, found.length) : nothing}
    <div class="cards">
      ${repeat(
        visible,
        (series) => series.name,
        (series) => html`<ry-metric class="card" data-metric=${series.name} .series=${series}></ry-metric>`,
      )}
    </div>
    ${
      found.length > visible.length
        ? html`<ry-sentinel
            @seen=${() => {
              shown += lot;
              update({});
            }}
          ></ry-sentinel>`
        : nothing
    }
    ${found.length === 0 ? emptyText(t('No metric has "{0}" in its name.', state.search)) : nothing}`;
}

function searchBox(all: number, found: number): TemplateResult {
  const count =
    found === all
      ? t('{0} metrics', all.toLocaleString())
      : t('{0} of {1} metrics', found.toLocaleString(), all.toLocaleString());
  return html`<div class="search">
    <vscode-text-field
      placeholder=${t('Find metrics by name')}
      aria-label=${t('Find metrics by name')}
      .value=${state.search}
      @input=${(event: Event) => {
        shown = lot;
        update({ search: (event.target as HTMLInputElement).value });
      }}
    ></vscode-text-field>
    <span class="muted" role="status">${count}</span>
  </div>`;
}

/** Every change of state with its time, how long it lasted and its reason. */
function timings(run: RunDetail): TemplateResult | typeof nothing {
  if (run.events.length === 0) return nothing;
  const hasSeveral = run.events.some(({ attempt }) => attempt > 1);
  return html`<section class="card facts">
    <h2>${t('Timings')}</h2>
    <ol class="timeline">
      ${run.events.map((event, i) => {
        const next = run.events[i + 1];
        const lasted = next ? formatDuration(next.time - event.time) : '';
        const detail = event.reason && event.reason !== run.error?.message ? event.reason : '';
        const isFirst = hasSeveral && event.attempt > 0 && event.attempt !== run.events[i - 1]?.attempt;
        return html`${
            isFirst ? html`<li class="timeline-attempt">${t('Attempt {0}', event.attempt)}</li>` : nothing
          }
          <li title=${formatTime(event.time)}>
            <span class=${next ? 'over' : ''}>${statusIcon(event.status)}</span>
            <span class="timeline-word">${statusWord(event.status)}</span>
            <span class="timeline-lasted">${lasted}</span>
            <time>${formatClock(event.time)}</time>
            ${detail ? html`<span class="timeline-reason">${detail}</span>` : nothing}
          </li>`;
      })}
    </ol>
  </section>`;
}

function facts(run: RunDetail): TemplateResult | typeof nothing {
  const entries: [string, unknown][] = [
    [t('Run ID'), html`<code>${run.id}</code>`],
    [t('Interpreter'), run.interpreter ? html`<code>${run.interpreter}</code>` : ''],
    [t('Folder'), run.sourceDirectory],
    [t('Exit code'), run.exitCode === null ? '' : String(run.exitCode)],
    [t('Parent run'), run.parentId ?? ''],
  ];
  return pairs(
    t('Run'),
    entries.filter(([, value]) => value !== ''),
  );
}

/** Says when it comes into sight: the list above it grows. */
class Sentinel extends HTMLElement {
  private readonly observer = new IntersectionObserver(
    (entries) => {
      if (entries.some((entry) => entry.isIntersecting)) this.dispatchEvent(new CustomEvent('seen'));
    },
    { rootMargin: '600px' },
  );

  connectedCallback(): void {
    this.observer.observe(this);
  }

  disconnectedCallback(): void {
    this.observer.disconnect();
  }
}

customElements.define('ry-sentinel', Sentinel);
