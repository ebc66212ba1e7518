import { html, type TemplateResult } from 'lit';
import type { RunDetail } from '../../../src/api/entities.ts';
import { t } from '../../shared/l10n.ts';
import { pairs, sortedEntries } from './parts.ts';

/** What was asked for: the run configuration, the command it became, and the run's fixed properties. */
export function configurationTab(run: RunDetail): TemplateResult {
  return html`<div class="stack">
    <section class="card">
      <h2>${t('Command')}</h2>
      <pre class="json">${run.command.map(quoted).join(' ')}</pre>
    </section>
    <section class="card">
      <h2>${t('Run configuration')}</h2>
      <pre class="json">${yaml(run.configuration).trimStart()}</pre>
    </section>
    ${pairs(t('Properties'), sortedEntries(run.properties), t('none'))}
  </div>`;
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Plain values as YAML, for reading; what is empty is left out. */
function yaml(value: unknown, indent = ''): string {
  if (Array.isArray(value)) {
    if (value.length === 0) return ' []';
    if (value.every((one) => typeof one !== 'object')) return ` [${value.map(scalar).join(', ')}]`;
    return value.map((one) => `\n${indent}- ${yaml(one, `${indent}  `).trimStart()}`).join('');
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, one]) => one !== null && one !== undefined);
    if (entries.length === 0) return ' {}';
    return entries.map(([key, one]) => `\n${indent}${key}:${yaml(one, `${indent}  `)}`).join('');
  }
  return ` ${scalar(value)}`;
}

function scalar(value: unknown): string {
  if (typeof value !== 'string') return String(value);
  const plain = /^[\w./][\w./ -]*$/.test(value) && !/^(true|false|null|yes|no|[\d.]+)$/i.test(value);
  return plain ? value : JSON.stringify(value);
}
