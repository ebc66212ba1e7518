import { html, nothing, type TemplateResult } from 'lit';
import type { RunDocument, RunImage } from '../../../src/api/entities.ts';
import { t } from '../../shared/l10n.ts';
import { cellText, emptyText, moreText } from './parts.ts';
import { confusionMatrix, isConfusionMatrix } from './confusion-matrix.ts';
import './run-image.ts';

/** Rows of a table that are drawn; the rest is counted. */
const drawnRows = 200;

/** Tables, confusion matrices and images that the script logged. */
export function tablesTab(documents: readonly RunDocument[], images: readonly RunImage[]): TemplateResult {
  if (documents.length + images.length === 0) return emptyText(t('The run has logged no tables or images.'));
  return html`<div class="documents">
    ${documents.map(
      (one) =>
        html`<section class="card document">
          <h2>${one.name}${step(one.step)}</h2>
          ${documentBody(one)}
        </section>`,
    )}
    ${images.map(
      (image) =>
        html`<section class="card document">
          <h2>${image.name}${step(image.step)}</h2>
          <ry-image .path=${image.path} .label=${image.name}></ry-image>
        </section>`,
    )}
  </div>`;
}

function step(value: number | null): TemplateResult | typeof nothing {
  return value === null ? nothing : html` <span class="muted">${t('step {0}', value)}</span>`;
}

function documentBody(one: RunDocument): TemplateResult {
  if (isConfusionMatrix(one.value)) return confusionMatrix(one.value);
  const table = asTable(one.value);
  if (!table) return html`<pre class="json">${JSON.stringify(one.value, null, 2).slice(0, 20_000)}</pre>`;
  const rows = table.rows.slice(0, drawnRows);
  return html`<div class="scroll-x" tabindex="0" role="region" aria-label=${one.name}>
      <table>
        <thead>
          <tr>
            ${table.columns.map((name) => html`<th scope="col">${name}</th>`)}
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row) =>
              html`<tr>
                ${row.map((cell) => html`<td class=${typeof cell === 'number' ? 'number' : ''}>${cellText(cell)}</td>`)}
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${moreText(table.rows.length - rows.length)}`;
}

/** `{column: [values]}` as rows. */
function asTable(value: unknown): { columns: string[]; rows: unknown[][] } | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  if (entries.length === 0 || !entries.every(([, column]) => Array.isArray(column))) return undefined;
  const columns = entries as [string, unknown[]][];
  const length = Math.max(...columns.map(([, cells]) => cells.length));
  const rows = Array.from({ length }, (_, i) => columns.map(([, cells]) => cells[i]));
  return { columns: columns.map(([name]) => name), rows };
}
