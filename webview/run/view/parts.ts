import { html, nothing, type TemplateResult } from 'lit';
import { t } from '../../shared/l10n.ts';

/** Names with values, as a definition list; nothing without any. */
export function pairs(
  title: string,
  entries: [string, unknown][],
  empty = '',
  /** Below the list. */
  foot: TemplateResult | typeof nothing = nothing,
): TemplateResult | typeof nothing {
  if (entries.length === 0 && !empty) return nothing;
  return html`<section class="card facts">
    <h2>${title}</h2>
    ${
      entries.length === 0
        ? html`<p class="empty small">${empty}</p>`
        : html`<dl>
            ${entries.map(
              ([name, value]) =>
                html`<div class="pair">
                  <dt title=${name}>${name}</dt>
                  <dd>${value}</dd>
                </div>`,
            )}
          </dl>`
    }
    ${foot}
  </section>`;
}

/** A record's entries in the order of their names. */
export function sortedEntries(record: Record<string, string>): [string, string][] {
  return Object.entries(record).sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
}

/** A place with nothing in it yet. */
export function emptyText(text: string): TemplateResult {
  return html`<p class="empty">${text}</p>`;
}

/** A value of any kind as text for a table's cell. */
export function cellText(value: unknown): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number')
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/** "and 12 more" under a list that was cut. */
export function moreText(hidden: number): TemplateResult | typeof nothing {
  return hidden > 0
    ? html`<p class="empty small">${t('and {0} more', hidden.toLocaleString())}</p>`
    : nothing;
}
