import * as vscode from 'vscode';
import type { SearchMatch } from '../../api/entities.ts';
import type { Connection } from '../connection.ts';
import { snapshotUri } from './address.ts';
import type { RunSnapshot } from './source.ts';

/** More matches than a person reads. */
const mostMatches = 500;

interface MatchItem extends vscode.QuickPickItem {
  match?: SearchMatch;
}

/** What was searched for last stands in the box the next time. */
let lastQuery = '';

/** Searches the text files of a snapshot: asks what for, offers the lines, opens the one that is chosen. */
export async function searchSnapshot(snapshot: RunSnapshot, connection: Connection): Promise<void> {
  const query = await vscode.window.showInputBox({
    title: vscode.l10n.t('Search in Snapshot: {0}', snapshot.title),
    prompt: vscode.l10n.t('Text to look for in all files; capital letters count as small ones do'),
    value: lastQuery,
  });
  if (!query) return;
  lastQuery = query;
  const { matches, more } = await find(snapshot, query, connection);
  if (matches.length === 0) {
    const text = vscode.l10n.t('"{0}" is in no file of the snapshot of {1}.', query, snapshot.title);
    void vscode.window.showInformationMessage(text);
    return;
  }
  const picked = await vscode.window.showQuickPick(itemsOf(matches), {
    title: vscode.l10n.t('Search in Snapshot: {0}', snapshot.title),
    placeHolder: more
      ? vscode.l10n.t('The first {0} matches of "{1}"; there are more', matches.length, query)
      : vscode.l10n.t('{0} matches of "{1}"', matches.length, query),
    matchOnDescription: true,
    matchOnDetail: true,
  });
  if (!picked?.match) return;
  const { path, line, column, length } = picked.match;
  const start = new vscode.Position(line - 1, column - 1);
  const selection = new vscode.Range(start, start.translate(0, length));
  await vscode.commands.executeCommand('vscode.open', snapshotUri(snapshot, path), { selection });
}

async function find(snapshot: RunSnapshot, query: string, connection: Connection) {
  const location = vscode.ProgressLocation.Notification;
  const title = vscode.l10n.t('Searching the snapshot of {0}', snapshot.title);
  return vscode.window.withProgress({ location, title, cancellable: true }, async (_, token) => {
    const abort = new AbortController();
    token.onCancellationRequested(() => abort.abort());
    const client = await connection.client();
    const params = { workspace: snapshot.workspace, snapshot: snapshot.snapshotId };
    const body = { query, limit: mostMatches };
    return client.call('searchSnapshot', { params, body, signal: abort.signal });
  });
}

/** One line of a match is one item; each file has a heading. */
function itemsOf(matches: SearchMatch[]): MatchItem[] {
  const items: MatchItem[] = [];
  let path: string | undefined;
  for (const match of matches) {
    if (match.path !== path) items.push({ label: match.path, kind: vscode.QuickPickItemKind.Separator });
    path = match.path;
    items.push({ label: plain(match.text), description: `${match.path}:${match.line}`, match });
  }
  return items;
}

/** Text of a file without what a quick pick would take for an icon. */
function plain(text: string): string {
  return text.trim().replaceAll('$(', '$\u200b(') || ' ';
}
