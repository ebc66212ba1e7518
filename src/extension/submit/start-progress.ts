import * as vscode from 'vscode';
import type { Run } from '../../api/entities.ts';
import type { ServerEvent } from '../../api/events.ts';
import type { Client } from '../../client/client.ts';
import { formatBytes } from '../format.ts';
import type { Live } from '../live.ts';

type ProgressEvent = Extract<ServerEvent, { type: 'progress' }>;

/** Tells how far the snapshot of a run that starts is, until the run has left `NotStarted`. Cancels the run. */
export async function followStart(
  live: Live,
  client: Client,
  workspace: string,
  run: Run,
  progress: vscode.Progress<{ message?: string; increment?: number }>,
  token: vscode.CancellationToken,
): Promise<void> {
  const params = { workspace, run: run.id };
  const subscriptions: vscode.Disposable[] = [];
  let told = 0;
  const tell = (event: ProgressEvent) => {
    const share = shareOf(event);
    const increment = share === undefined ? undefined : Math.max(0, share * 100 - told);
    told += increment ?? 0;
    progress.report({ message: messageOf(event), ...(increment === undefined ? {} : { increment }) });
  };
  try {
    await new Promise<void>((resolve, reject) => {
      const look = (status: string) => status !== 'NotStarted' && resolve();
      const ask = async () => look((await client.call('getRun', { params })).status);
      subscriptions.push(
        live.onEvent(({ workspace: where, event }) => {
          if (where !== workspace) return;
          if (event.type === 'run' && event.run.id === run.id) look(event.run.status);
          else if (event.type === 'run.deleted' && event.runId === run.id) resolve();
          else if (event.type === 'progress' && event.runId === run.id) tell(event);
        }),
        live.onLookAgain((where) => void (where === workspace && ask().catch(reject))),
        live.watch(workspace),
        token.onCancellationRequested(() => client.call('cancelRun', { params }).catch(reject)),
      );
      // It may have left before anybody listened.
      ask().catch(reject);
    });
  } finally {
    for (const subscription of subscriptions) subscription.dispose();
  }
}

/** Of the whole, where that is known. Sending comes after storing, and both are what takes time. */
function shareOf({ stage, bytes, totalBytes }: ProgressEvent): number | undefined {
  if (stage === 'listing' || !totalBytes) return undefined;
  const half = Math.min(1, bytes / totalBytes) / 2;
  return stage === 'storing' ? half : 0.5 + half;
}

function messageOf({ stage, files, bytes, totalFiles, totalBytes }: ProgressEvent): string {
  const count =
    totalFiles === null || totalFiles === files
      ? files.toLocaleString()
      : vscode.l10n.t('{0} of {1}', files.toLocaleString(), totalFiles.toLocaleString());
  const size =
    totalBytes === null || totalBytes === bytes
      ? formatBytes(bytes)
      : vscode.l10n.t('{0} of {1}', formatBytes(bytes), formatBytes(totalBytes));
  switch (stage) {
    case 'listing':
      return vscode.l10n.t('looking at the folder: {0} files', count);
    case 'storing':
      return vscode.l10n.t('keeping {0} files, {1}', count, size);
    case 'sending':
      return vscode.l10n.t('sending {0} files, {1}', count, size);
  }
}
