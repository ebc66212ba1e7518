import * as vscode from 'vscode';
import type { SnapshotPreview } from '../../../api/entities.ts';
import type { PreviewSnapshotRequest } from '../../../api/requests.ts';
import type { Client } from '../../../client/client.ts';

/** A folder that takes longer than this is looked at under a notification that can be canceled. */
const slowMs = 1_500;

/** Looks at a folder as it would be submitted. Throws RunyardError `canceled` when the person gives up. */
export async function preview(client: Client, body: PreviewSnapshotRequest): Promise<SnapshotPreview> {
  const abort = new AbortController();
  const answer = client.call('previewSnapshot', { body, signal: abort.signal });
  const title = vscode.l10n.t('Runyard: looking at the folder...');
  const settled = answer.then(
    () => undefined,
    () => undefined,
  );
  void vscode.window.withProgress({ location: vscode.ProgressLocation.Window, title }, () => settled);
  const showSlow = () => {
    const location = vscode.ProgressLocation.Notification;
    const long = vscode.l10n.t('Looking at what {0} would send', body.folder);
    void vscode.window.withProgress({ location, title: long, cancellable: true }, (_, token) => {
      token.onCancellationRequested(() => abort.abort());
      return settled;
    });
  };
  const timer = setTimeout(showSlow, slowMs);
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
  }
}
