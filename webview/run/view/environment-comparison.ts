import { html, nothing, type TemplateResult } from 'lit';
import type { EnvironmentComparison } from '../../../src/api/environment.ts';
import { icon } from '../../shared/icons.ts';
import { t } from '../../shared/l10n.ts';

type Row = EnvironmentComparison['packages'][number];

/** How the environment of another run differs: what has changed, and what only one of them has. */
export function comparisonCard(
  { title, comparison }: { title: string; comparison: EnvironmentComparison },
  close: () => void,
): TemplateResult {
  const { packages, facts, same, problem } = comparison;
  const changed = packages.filter(({ left, right }) => left !== null && right !== null);
  const onlyHere = packages.filter(({ right }) => right === null);
  const onlyThere = packages.filter(({ left }) => left === null);
  const alike = packages.length === 0 && facts.length === 0 && problem === null;
  return html`<section class="card comparison" aria-label=${t('Compared with {0}', title)}>
    <div class="comparison-head">
      <h2>${t('Compared with {0}', title)}</h2>
      <vscode-button
        appearance="icon"
        title=${t('Close Comparison')}
        aria-label=${t('Close Comparison')}
        @click=${close}
        >${icon('close')}</vscode-button
      >
    </div>
    ${problem ? html`<p class="empty small">${problem}</p>` : nothing}
    ${alike ? html`<p class="empty small">${t('Both environments are the same.')}</p>` : nothing}
    ${
      facts.length + packages.length > 0
        ? html`<div class="scroll-y" tabindex="0" role="region" aria-label=${t('Differences')}>
            <table class="differences">
              <thead>
                <tr>
                  <th scope="col"><span class="hidden-label">${t('What differs')}</span></th>
                  <th scope="col">${t('This run')}</th>
                  <th scope="col">${title}</th>
                </tr>
              </thead>
              ${group(t('Environment'), facts)} ${group(t('Changed'), changed)}
              ${group(t('Only in this run'), onlyHere)} ${group(t('Only in {0}', title), onlyThere)}
            </table>
          </div>`
        : nothing
    }
    ${
      problem === null
        ? html`<p class="empty small">
            ${same === 1 ? t('1 package is the same.') : t('{0} packages are the same.', same.toLocaleString())}
          </p>`
        : nothing
    }
  </section>`;
}

function group(title: string, rows: readonly Row[]): TemplateResult | typeof nothing {
  if (rows.length === 0) return nothing;
  return html`<tbody>
    <tr>
      <th scope="rowgroup" colspan="3">
        ${title} <span class="count">${rows.length.toLocaleString()}</span>
      </th>
    </tr>
    ${rows.map(
      ({ name, left, right }) =>
        html`<tr>
          <td>${name}</td>
          <td>${value(left)}</td>
          <td>${value(right)}</td>
        </tr>`,
    )}
  </tbody>`;
}

function value(text: string | null): TemplateResult {
  return text === null
    ? html`<span class="muted" aria-label=${t('not there')}>–</span>`
    : html`<code title=${text}>${text}</code>`;
}
