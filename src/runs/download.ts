import { createReadStream, existsSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { ZipArchive } from 'archiver';
import { manifestSchema } from '../protocol/messages.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import { attemptDir, isLog } from './attempt-files.ts';
import { artifactRows, runRow } from './queries.ts';

/**
 * A zip of what the workspace has of a run: `code/` (the snapshot), logs, outputs and other artifacts. Files
 * that are on the host only are named in `not-fetched.txt`. Throws `not_found`.
 */
export async function downloadRun(workspace: OpenWorkspace, id: string): Promise<Readable> {
  const row = runRow(workspace.reader, id);
  const zip = new ZipArchive({ zlib: { level: 6 } });
  // One date for all: the same run gives the same bytes.
  const date = new Date(row.created_at);
  if (row.snapshot_id) {
    const manifest = manifestSchema.parse(
      JSON.parse((await workspace.blobs.read(row.snapshot_id)).toString()),
    );
    for (const entry of manifest.entries) {
      const name = `code/${entry.path}`;
      if ('link' in entry) zip.symlink(name, entry.link, 0o777);
      else if ('dir' in entry) zip.append('', { name: `${name}/`, date });
      else zip.file(workspace.blobs.pathOf(entry.hash), { name, date, mode: entry.mode });
    }
  }
  const missing: string[] = [];
  for (const artifact of artifactRows(workspace.reader, row.seq)) {
    const file = isLog(artifact.path)
      ? path.join(attemptDir(workspace, id, artifact.attempt), artifact.path)
      : artifact.stored && artifact.hash
        ? workspace.blobs.pathOf(artifact.hash)
        : undefined;
    if (file && existsSync(file)) zip.append(createReadStream(file), { name: artifact.path, date });
    // Of an empty log no file is kept.
    else if (artifact.size === 0) zip.append('', { name: artifact.path, date });
    else missing.push(artifact.path);
  }
  if (missing.length > 0) zip.append(missing.join('\n') + '\n', { name: 'not-fetched.txt', date });
  void zip.finalize();
  return zip;
}
