import path from 'node:path';
import * as vscode from 'vscode';
import { RemedyError, showError } from './errors.ts';
import type { Log } from './log.ts';
import type { RunRef } from './run-ref.ts';

export interface UriActions {
  open(ref: RunRef): Promise<unknown>;
  submit(folder: vscode.Uri, configuration: string): Promise<unknown>;
}

/**
 * `vscode://runyard.runyard/run/<workspace>/<run>` opens a run's page;
 * `.../submit?folder=/abs&configuration=name` submits, for folders that are open in the window only, and
 * after the person has confirmed it: a link may come from anywhere.
 */
export class RunyardUriHandler implements vscode.UriHandler {
  private readonly actions: UriActions;
  private readonly log: Log;

  constructor(actions: UriActions, log: Log) {
    this.actions = actions;
    this.log = log;
  }

  async handleUri(uri: vscode.Uri): Promise<void> {
    try {
      const [, verb, workspace, runId] = uri.path.split('/');
      if (verb === 'run' && workspace && runId) await this.actions.open({ workspace, runId });
      else if (verb === 'submit') await this.submit(new URLSearchParams(uri.query));
      else throw new RemedyError(vscode.l10n.t('Runyard does not know the link "{0}".', uri.path), []);
    } catch (error) {
      showError('link', error, this.log);
    }
  }

  private async submit(query: URLSearchParams): Promise<void> {
    const folder = query.get('folder') ?? '';
    const configuration = query.get('configuration') ?? '';
    if (!folder || !configuration) {
      throw new RemedyError(vscode.l10n.t('The link to submit a run names no folder or configuration.'), []);
    }
    if (!isInsideOpenFolder(folder)) {
      throw new RemedyError(
        vscode.l10n.t('A link asked to run "{0}". It is not in a folder that is open here.', folder),
        [],
      );
    }
    const label = vscode.l10n.t('Submit Run');
    const message = vscode.l10n.t('A link asks to submit the run configuration "{0}".', configuration);
    const detail = vscode.l10n.t('It runs code of the folder {0}.', folder);
    const answer = await vscode.window.showWarningMessage(message, { modal: true, detail }, label);
    if (answer === label) await this.actions.submit(vscode.Uri.file(folder), configuration);
  }
}

function isInsideOpenFolder(folder: string): boolean {
  if (!path.isAbsolute(folder) || path.normalize(folder) !== folder.replace(/(?<=.)[\\/]$/, '')) return false;
  return (vscode.workspace.workspaceFolders ?? []).some(({ uri }) => {
    const relative = path.relative(uri.fsPath, folder);
    return uri.scheme === 'file' && !relative.startsWith('..') && !path.isAbsolute(relative);
  });
}
