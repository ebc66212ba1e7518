import type { Manifest, ManifestEntry } from '../protocol/messages.ts';

/** Canonical bytes: the same folder gives the same bytes, and their hash is the snapshot's id. */
export function encodeManifest(entries: readonly ManifestEntry[]): Buffer {
  const sorted = [...entries].sort((a, b) => Buffer.compare(Buffer.from(a.path), Buffer.from(b.path)));
  const canonical = sorted.map((entry) => {
    if ('link' in entry) return { path: entry.path, link: entry.link };
    if ('dir' in entry) return { path: entry.path, dir: true };
    return { path: entry.path, mode: entry.mode, size: entry.size, hash: entry.hash };
  });
  return Buffer.from(
    JSON.stringify({ version: 1, entries: canonical } satisfies { version: 1; entries: unknown[] }),
  );
}

/** Files and bytes of a manifest. */
export function manifestSize(manifest: Pick<Manifest, 'entries'>): { files: number; bytes: number } {
  let files = 0;
  let bytes = 0;
  for (const entry of manifest.entries) {
    if ('dir' in entry) continue;
    files++;
    if ('size' in entry) bytes += entry.size;
  }
  return { files, bytes };
}
