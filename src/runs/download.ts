import { existsSync } from 'node:fs';
import path from 'node:path';
import type { RunDetail } from '../api/entities.ts';
import type { Snapshots } from '../snapshot/snapshots.ts';
import type { ZipItem } from '../snapshot/zip.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import { pathOnHost } from './attempt-names.ts';
import { attemptDir, isLog } from './attempt-files.ts';
import { artifactRows, runRow } from './queries.ts';
import { zipStream, type Sized } from './snapshots/service.ts';

/**
 * A zip of what the workspace has of a run: `code/` (the snapshot), logs, outputs and other artifacts, and
 * `run.json` (parameters, tags, metrics' last values, git facts). Files that are on the host only are named in
 * `not-fetched.txt`.
 */
export function downloadRun(
  { workspace, snapshots }: { workspace: OpenWorkspace; snapshots: Snapshots },
  run: RunDetail,
  signal?: AbortSignal,
): Promise<Sized> {
  const { seq } = runRow(workspace.reader, run.id);
  const items: ZipItem[] = [];
  const missing: string[] = [];
  for (const { path: name, attempt, size, stored, hash } of artifactRows(workspace.reader, seq)) {
    const log =
      isLog(name) && path.join(attemptDir(workspace, run.id, attempt), pathOnHost(run, attempt, name));
    if (log && existsSync(log)) items.push({ name, file: log });
    else if (stored && hash && !log) items.push({ name, file: workspace.blobs.pathOf(hash), hash, size });
    // Of an empty log no file is kept.
    else if (size === 0) items.push({ name, text: '' });
    else missing.push(name);
  }
  const taken = new Set(items.map(({ name }) => name));
  const add = (name: string, text: string) => {
    if (!taken.has(name)) items.push({ name, text });
  };
  if (missing.length > 0) add('not-fetched.txt', `${missing.join('\n')}\n`);
  add('run.json', `${JSON.stringify(run, null, 1)}\n`);
  const snapshot = run.snapshotId === null ? null : { id: run.snapshotId, prefix: 'code/' };
  return zipStream({ workspace, snapshots }, { snapshot, items }, signal);
}
