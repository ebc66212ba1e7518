import { html, type TemplateResult } from 'lit';
import type { Artifact } from '../../../src/api/entities.ts';
import { formatBytes, formatTime } from '../../shared/format.ts';
import { icon } from '../../shared/icons.ts';
import { t } from '../../shared/l10n.ts';
import { send } from '../bridge.ts';
import { emptyText, moreText } from './parts.ts';

const drawnFiles = 1000;

/** Logs, outputs and logged artifacts, to open and to save. */
export function filesTab(artifacts: readonly Artifact[]): TemplateResult {
  if (artifacts.length === 0) {
    return emptyText(
      t('No files yet. What a script writes under outputs/ and logs/ is collected by itself.'),
    );
  }
  const sorted = [...artifacts].sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));
  return html`<table class="files">
      <thead>
        <tr>
          <th scope="col">${t('File')}</th>
          <th scope="col" class="number">${t('Size')}</th>
          <th scope="col">${t('Modified')}</th>
          <th scope="col"><span class="hidden-label">${t('Actions')}</span></th>
        </tr>
      </thead>
      <tbody>
        ${sorted.slice(0, drawnFiles).map(fileRow)}
      </tbody>
    </table>
    ${moreText(sorted.length - drawnFiles)}`;
}

function fileRow({ path, size, modifiedAt, stored }: Artifact): TemplateResult {
  const slash = path.lastIndexOf('/') + 1;
  const where = stored ? '' : t('still on the host');
  return html`<tr>
    <td>
      <button class="link" title=${t('Open {0}', path)} @click=${() => send({ type: 'openFile', path })}>
        <span class="muted">${path.slice(0, slash)}</span>${path.slice(slash)}
      </button>
    </td>
    <td class="number" title=${where}>${formatBytes(size)}</td>
    <td class="muted">${formatTime(modifiedAt)}</td>
    <td class="row-actions">
      <vscode-button
        appearance="icon"
        title=${t('Save As...')}
        aria-label=${t('Save {0} As...', path)}
        @click=${() => send({ type: 'saveFile', path })}
        >${icon('download')}</vscode-button
      >
    </td>
  </tr>`;
}
