import * as vscode from 'vscode';
import type { Artifact, RunDetail } from '../../api/entities.ts';
import { isTerminal } from '../../api/run-status.ts';
import type { Client } from '../../client/client.ts';
import type { Connection } from '../connection.ts';
import { isCancellation } from '../errors.ts';
import { formatBytes } from '../format.ts';
import type { Live } from '../live.ts';
import type { RunRef } from '../run-ref.ts';

/** A smaller file is read from its host directly. */
const smallBytes = 4 * 1024 * 1024;

/** Files of runs that were left on their host: brought into the workspace when somebody wants them. */
export class ArtifactFetcher {
  private readonly connection: Connection;
  private readonly live: Live;

  constructor(connection: Connection, live: Live) {
    this.connection = connection;
    this.live = live;
  }

  /** Before a file is opened: a big one that is on its host only is asked about. False: not to be opened. */
  async beforeOpening(ref: RunRef, path: string): Promise<boolean> {
    return this.have(ref, path, true);
  }

  /** Before a file is saved: the wish is said already. False: given up. */
  async beforeSaving(ref: RunRef, path: string): Promise<boolean> {
    return this.have(ref, path, false);
  }

  /** *Fetch from Host*: asks which, where none is named. */
  async fetchSome(ref: RunRef, path?: string): Promise<void> {
    const { client, run, artifacts } = await this.look(ref);
    const left = artifacts.filter((artifact) => isLeft(artifact, run));
    const paths = path === undefined ? await pickFiles(run, left) : [path];
    if (!paths?.length) return;
    if (!(await this.fetch(client, ref, run.compute, paths))) return;
    const text =
      paths.length === 1
        ? vscode.l10n.t('"{0}" is in the workspace now.', paths[0]!)
        : vscode.l10n.t('{0} files are in the workspace now.', paths.length);
    void vscode.window.showInformationMessage(text);
  }

  private async have(ref: RunRef, path: string, asks: boolean): Promise<boolean> {
    const { client, run, artifacts } = await this.look(ref);
    const found = artifacts.find((artifact) => artifact.path === path);
    if (!found || !isLeft(found, run) || found.size < smallBytes) return true;
    if (asks && !(await askToFetch(found, run.compute))) return false;
    return this.fetch(client, ref, run.compute, [path]);
  }

  private async look(ref: RunRef): Promise<{ client: Client; run: RunDetail; artifacts: Artifact[] }> {
    const client = await this.connection.client();
    const params = { workspace: ref.workspace, run: ref.runId };
    const [run, { artifacts }] = await Promise.all([
      client.call('getRun', { params }),
      client.call('listArtifacts', { params }),
    ]);
    return { client, run, artifacts };
  }

  /** True when all are there. What came before it was canceled stays: the next time goes on from there. */
  private async fetch(client: Client, ref: RunRef, compute: string, paths: string[]): Promise<boolean> {
    const title =
      paths.length === 1
        ? vscode.l10n.t('Fetching {0} from {1}', paths[0]!, compute)
        : vscode.l10n.t('Fetching {0} files from {1}', paths.length, compute);
    const location = vscode.ProgressLocation.Notification;
    return vscode.window.withProgress({ location, title, cancellable: true }, async (progress, token) => {
      const abort = new AbortController();
      const subscriptions = [
        token.onCancellationRequested(() => abort.abort()),
        this.live.watch(ref.workspace),
        this.live.onEvent(({ workspace, event }) => {
          if (workspace !== ref.workspace || event.type !== 'fetch' || event.runId !== ref.runId) return;
          if (paths.includes(event.path)) progress.report(reporter(event));
        }),
      ];
      const reporter = progressOf(paths.length);
      try {
        const params = { workspace: ref.workspace, run: ref.runId };
        await client.call('fetchArtifacts', { params, body: { paths }, signal: abort.signal });
        return true;
      } catch (error) {
        if (!isCancellation(error)) throw error;
        const text = vscode.l10n.t(
          'The fetch was stopped. What came is kept; the next one goes on from there.',
        );
        void vscode.window.showInformationMessage(text);
        return false;
      } finally {
        for (const subscription of subscriptions) subscription.dispose();
      }
    });
  }
}

/** What is written still grows on its host and comes by itself. */
function isLeft({ stored }: Artifact, run: RunDetail): boolean {
  return !stored && isTerminal(run.status);
}

async function askToFetch({ path, size }: Artifact, compute: string): Promise<boolean> {
  const fetch = vscode.l10n.t('Fetch and Open');
  const message = vscode.l10n.t('{0} are on {1} only. Fetch?', formatBytes(size), compute);
  const options = { modal: true, detail: path };
  return (await vscode.window.showInformationMessage(message, options, fetch)) === fetch;
}

async function pickFiles(run: RunDetail, left: readonly Artifact[]): Promise<string[] | undefined> {
  if (left.length === 0) {
    const text = isTerminal(run.status)
      ? vscode.l10n.t('All files of this run are in the workspace.')
      : vscode.l10n.t(
          'The run is not over; its files come by themselves, big ones stay on the host until then.',
        );
    void vscode.window.showInformationMessage(text);
    return undefined;
  }
  const items = left.map(({ path, size }) => ({ label: path, description: formatBytes(size), picked: true }));
  const picked = await vscode.window.showQuickPick(items, {
    title: vscode.l10n.t('Fetch from {0}', run.compute),
    placeHolder: vscode.l10n.t('Files that are on {0} only', run.compute),
    canPickMany: true,
  });
  return picked?.map(({ label }) => label);
}

/** Turns the events of one fetch into steps of its notification. */
function progressOf(files: number) {
  const shares = new Map<string, number>();
  let told = 0;
  return (event: { path: string; bytes: number; totalBytes: number }) => {
    shares.set(event.path, event.totalBytes > 0 ? Math.min(1, event.bytes / event.totalBytes) : 1);
    const whole = ([...shares.values()].reduce((sum, share) => sum + share, 0) / files) * 100;
    const increment = Math.max(0, whole - told);
    told += increment;
    const amount = vscode.l10n.t('{0} of {1}', formatBytes(event.bytes), formatBytes(event.totalBytes));
    return { message: files === 1 ? amount : `${event.path}: ${amount}`, increment };
  };
}
