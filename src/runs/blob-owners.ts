import { readManifest } from '../snapshot/manifest.ts';
import type { Owned } from '../store/garbage.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';

/** Snapshots of runs, kept snapshots, and the manifests of untracked files beside them. */
const manifests = `
  SELECT snapshot_id AS hash FROM runs WHERE snapshot_id IS NOT NULL
  UNION SELECT hash FROM artifacts WHERE stored = 1 AND path = 'git/untracked.json' AND attempt = 0
  UNION SELECT id FROM snapshots
  UNION SELECT json_extract(git, '$.changes.untracked.manifest') FROM snapshots
  UNION SELECT context FROM environment_definitions AS definition
    WHERE context IS NOT NULL AND (created_at > ?
      OR EXISTS (SELECT 1 FROM environments WHERE environments.hash = definition.hash)
      OR EXISTS (SELECT 1 FROM runs WHERE json_extract(environment, '$.hash') = definition.hash))`;

/** Milliseconds for which a definition that nothing uses yet may belong to a submit that is under way. */
const definitionMs = 3_600_000;

const single = `
  SELECT hash FROM artifacts WHERE stored = 1 AND hash IS NOT NULL
  UNION SELECT json_extract(git, '$.changes.patch.hash') FROM snapshots`;

/**
 * What of a workspace's blobs is owned: every call gives what the earlier ones did not. A manifest that cannot be
 * read ends it (`conflict`): what it owns is not known, and must not be taken for garbage.
 */
export function ownedBlobs({ reader, blobs }: OpenWorkspace): Owned {
  const known = new Set<string>();
  return async function* () {
    for (const { hash } of reader.all<{ hash: string | null }>(single)) if (hash) yield hash;
    for (const { hash } of reader.all<{ hash: string | null }>(manifests, Date.now() - definitionMs)) {
      if (!hash || known.has(hash)) continue;
      for await (const entries of readManifest(blobs, hash)) {
        for (const entry of entries) if ('hash' in entry) yield entry.hash;
      }
      known.add(hash);
      yield hash;
    }
  };
}
