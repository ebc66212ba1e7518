import { html, nothing, type TemplateResult } from 'lit';
import type { Artifact } from '../../../src/api/entities.ts';
import { formatBytes, formatTime } from '../../shared/format.ts';
import { icon } from '../../shared/icons.ts';
import { t } from '../../shared/l10n.ts';
import { send } from '../bridge.ts';
import { emptyText, moreText } from './parts.ts';

const drawnFiles = 1000;

/** Logs, outputs and logged artifacts, to open and to save. */
export function filesTab(artifacts: readonly Artifact[], live: boolean): TemplateResult {
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
        ${sorted.slice(0, drawnFiles).map((artifact) => fileRow(artifact, live))}
      </tbody>
    </table>
    ${moreText(sorted.length - drawnFiles)}`;
}

function fileRow({ path, size, modifiedAt, stored }: Artifact, live: boolean): TemplateResult {
  const slash = path.lastIndexOf('/') + 1;
  // While the run goes on its files come by themselves.
  const left = !stored && !live;
  return html`<tr>
    <td>
      <button class="link" title=${t('Open {0}', path)} @click=${() => send({ type: 'openFile', path })}>
        <span class="muted">${path.slice(0, slash)}</span>${path.slice(slash)}
      </button>
    </td>
    <td class="number">
      ${left ? html`<span class="muted">${t('on the host only')} · </span>` : nothing}${formatBytes(size)}
    </td>
    <td class="muted when">${formatTime(modifiedAt)}</td>
    <td class="row-actions">
      ${
        left
          ? html`<vscode-button
              appearance="icon"
              title=${t('Fetch from Host')}
              aria-label=${t('Fetch {0} from the Host', path)}
              @click=${() => send({ type: 'fetchFile', path })}
              >${icon('tray')}</vscode-button
            >`
          : nothing
      }
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
