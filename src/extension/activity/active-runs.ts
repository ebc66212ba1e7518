import * as vscode from 'vscode';
import type { Run } from '../../api/entities.ts';
import type { Connection } from '../connection.ts';
import { contextKeys, setContext } from '../context-keys.ts';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import { runKey, type RunRef } from '../run-ref.ts';
import { isActive } from '../status.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';

/** A run whose end was seen. */
export interface EndedRun {
  workspace: string;
  run: Run;
}

/**
 * The runs of the window's workspace that are on their way. It follows the event stream while somebody
 * else watches, or while there is such a run; it never asks for a server by itself.
 */
export class ActiveRuns implements vscode.Disposable {
  private readonly connection: Connection;
  private readonly live: Live;
  private readonly choice: WorkspaceChoice;
  private readonly log: Log;
  private readonly runs = new Map<string, EndedRun>();
  private readonly watches = new Map<string, vscode.Disposable>();
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly ended = new vscode.EventEmitter<EndedRun>();
  private readonly subscriptions: vscode.Disposable[];

  readonly onDidChange = this.changed.event;
  /** Fires once for each run that was active and no longer is. */
  readonly onDidEnd = this.ended.event;

  constructor(connection: Connection, live: Live, choice: WorkspaceChoice, log: Log) {
    this.connection = connection;
    this.live = live;
    this.choice = choice;
    this.log = log;
    this.subscriptions = [
      live.onEvent(({ workspace, event }) => {
        if (event.type === 'run') this.take(workspace, event.run);
        if (event.type === 'run.deleted') this.drop(workspace, event.runId);
      }),
      live.onLookAgain((workspace) => void this.look(workspace)),
      connection.onDidChangeHome(() => this.clear()),
    ];
  }

  /** Active runs, the newest first. */
  list(): EndedRun[] {
    return [...this.runs.values()].sort((a, b) => b.run.createdAt - a.run.createdAt);
  }

  /** A run that this window has just submitted, or wants to know the end of. */
  add(workspace: string, run: Run): void {
    this.take(workspace, run);
  }

  dispose(): void {
    for (const subscription of this.subscriptions) subscription.dispose();
    for (const watch of this.watches.values()) watch.dispose();
    this.changed.dispose();
    this.ended.dispose();
  }

  private take(workspace: string, run: Run): void {
    const key = runKey({ workspace, runId: run.id });
    if (isActive(run)) {
      this.runs.set(key, { workspace, run });
      if (!this.watches.has(workspace)) this.watches.set(workspace, this.live.watch(workspace));
      this.tell();
      return;
    }
    if (!this.runs.delete(key)) return;
    this.release(workspace);
    this.tell();
    this.ended.fire({ workspace, run });
  }

  private drop(workspace: string, runId: string): void {
    if (!this.runs.delete(runKey({ workspace, runId }))) return;
    this.release(workspace);
    this.tell();
  }

  /** Fetches the active runs again; those that are no longer among them have ended meanwhile. */
  private async look(workspace: string): Promise<void> {
    try {
      const mine = workspace === (await this.choice.name());
      const known = [...this.runs.values()].filter((entry) => entry.workspace === workspace);
      if (!mine && known.length === 0) return;
      const client = await this.connection.client();
      const { runs } = await client.call('listRuns', {
        params: { workspace },
        query: { active: 'true', limit: 1000 },
      });
      const active = new Set(runs.map((run) => run.id));
      for (const run of runs) this.take(workspace, run);
      for (const { run } of known) if (!active.has(run.id)) await this.settle({ workspace, runId: run.id });
    } catch (error) {
      this.log.error('The active runs cannot be fetched', error);
    }
  }

  private async settle(ref: RunRef): Promise<void> {
    const client = await this.connection.client();
    try {
      const params = { workspace: ref.workspace, run: ref.runId };
      this.take(ref.workspace, await client.call('getRun', { params }));
    } catch (error) {
      if ((error as { code?: string }).code !== 'not_found') throw error;
      this.drop(ref.workspace, ref.runId);
    }
  }

  private release(workspace: string): void {
    if ([...this.runs.values()].some((entry) => entry.workspace === workspace)) return;
    this.watches.get(workspace)?.dispose();
    this.watches.delete(workspace);
  }

  private clear(): void {
    this.runs.clear();
    for (const watch of this.watches.values()) watch.dispose();
    this.watches.clear();
    this.tell();
  }

  private tell(): void {
    void setContext(contextKeys.hasActiveRuns, this.runs.size > 0);
    this.changed.fire();
  }
}
