import { html, type TemplateResult } from 'lit';
import { t } from '../../shared/l10n.ts';

interface ConfusionMatrix {
  class_labels: unknown[];
  matrix: number[][];
}

/** Whether a logged document's value is a square matrix with labels. */
export function isConfusionMatrix(value: unknown): value is ConfusionMatrix {
  const one = value as Partial<ConfusionMatrix> | null;
  return (
    Array.isArray(one?.class_labels) &&
    Array.isArray(one.matrix) &&
    one.matrix.every((row) => Array.isArray(row) && row.length === one.class_labels?.length)
  );
}

/** Rows are true classes, columns predicted ones; the shade tells the share of the row. */
export function confusionMatrix({ class_labels: labels, matrix }: ConfusionMatrix): TemplateResult {
  const names = labels.map(String);
  return html`<div class="scroll-x" tabindex="0" role="region" aria-label=${t('Confusion matrix')}>
    <table class="confusion">
      <caption>
        ${t('rows: true class, columns: predicted class')}
      </caption>
      <thead>
        <tr>
          <td></td>
          ${names.map((name) => html`<th scope="col">${name}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${matrix.map((row, i) => {
          const sum = row.reduce((total, n) => total + Number(n), 0) || 1;
          return html`<tr>
            <th scope="row">${names[i]}</th>
            ${row.map((count, j) => {
              const share = Number(count) / sum;
              // Classes instead of inline styles: the page's policy allows none.
              const shade = Math.ceil(Math.sqrt(share) * 10);
              const title = t('true {0}, predicted {1}: {2}', names[i] ?? '', names[j] ?? '', count);
              return html`<td class="${i === j ? 'hit' : 'miss'} shade-${shade}" title=${title}>
                ${count || html`<span class="zero">0</span>`}
              </td>`;
            })}
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}
