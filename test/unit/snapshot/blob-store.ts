import { mkdtempSync, rmSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { ManifestEntry } from '../../../src/protocol/messages.ts';
import type { JobContext } from '../../../src/snapshot/jobs/context.ts';
import { canceled } from '../../../src/snapshot/jobs/context.ts';
import { encodeManifest } from '../../../src/snapshot/manifest.ts';
import { BlobFolder } from '../../../src/store/blob-folder.ts';

/** A folder for one test, with a folder of blobs in it. */
export class BlobStore {
  readonly base = mkdtempSync(path.join(os.tmpdir(), 'ry-'));
  readonly dir = path.join(this.base, 'blobs');
  readonly folder = new BlobFolder(this.dir);
  readonly open = (dir: string) => new BlobFolder(dir);

  put(content: string | Uint8Array): { hash: string; size: number } {
    const bytes = Buffer.from(content as string);
    const hash = createHash('sha256').update(bytes).digest('hex');
    const temporary = this.folder.temporary();
    writeFileSync(temporary, bytes);
    this.folder.adopt(temporary, hash, bytes.length);
    return { hash, size: bytes.length };
  }

  file(name: string, content: string | Uint8Array, mode = 0o644): ManifestEntry {
    return { path: name, mode: mode as 0o644, ...this.put(content) };
  }

  manifest(entries: ManifestEntry[]): string {
    return this.put(encodeManifest(entries)).hash;
  }

  close(): void {
    rmSync(this.base, { recursive: true, force: true });
  }
}

/** A context that cancels at the n-th question. */
export function contextOf(cancelAt = Infinity): JobContext & { asked: number } {
  const context = {
    asked: 0,
    throwIfCanceled: () => {
      if (++context.asked >= cancelAt) throw canceled();
    },
    progress: () => {},
    emit: () => {},
  };
  return context;
}
