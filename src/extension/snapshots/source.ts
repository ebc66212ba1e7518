import * as vscode from 'vscode';
import type { GitFacts } from '../../api/entities.ts';
import type { Connection } from '../connection.ts';
import { RemedyError } from '../errors.ts';
import { runTitle } from '../format.ts';
import type { RunRef } from '../run-ref.ts';
import type { SnapshotRef } from './address.ts';

/** A snapshot as a person knows it: by its run, which is what its documents are named by, too. */
export interface RunSnapshot extends SnapshotRef {
  /** The same for runs of the same content. */
  readonly contentId: string;
  readonly runId: string;
  /** The run's title. */
  readonly title: string;
  readonly createdAt: number;
  /** The folder it was taken of. */
  readonly sourceDirectory: string;
  readonly git: GitFacts | null;
}

/** The snapshot of a run. Throws where there is none (yet). */
export async function snapshotOfRun(connection: Connection, ref: RunRef): Promise<RunSnapshot> {
  const client = await connection.client();
  const run = await client.call('getRun', { params: { workspace: ref.workspace, run: ref.runId } });
  if (!run.snapshotId) {
    throw new RemedyError(vscode.l10n.t('{0} has no snapshot yet. {1}', runTitle(run), run.statusReason), []);
  }
  return {
    workspace: ref.workspace,
    snapshotId: run.id,
    contentId: run.snapshotId,
    runId: run.id,
    title: runTitle(run),
    createdAt: run.createdAt,
    sourceDirectory: run.sourceDirectory,
    git: run.git,
  };
}
