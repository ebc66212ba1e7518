import { rm } from 'node:fs/promises';
import path from 'node:path';
import { clearTimeout, setTimeout } from 'node:timers';
import type { Garbage } from '../api/entities.ts';
import { collectGarbage } from '../store/garbage.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import { ownedBlobs } from './blob-owners.ts';

/** Deletions come in groups: one collection for all of them. */
const soonMs = 3000;

/** Removes the blobs of a workspace that nothing owns: when asked, and by itself after a deletion. */
export class GarbageCollector {
  private readonly workspace: OpenWorkspace;
  private readonly log: (line: string) => void;
  private readonly abort = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<Garbage> | undefined;

  constructor(workspace: OpenWorkspace, log: (line: string) => void) {
    this.workspace = workspace;
    this.log = log;
  }

  /** Collects now; those who ask while it runs get the next one. Throws `conflict` for a damaged manifest. */
  async collect(): Promise<Garbage> {
    clearTimeout(this.timer);
    this.timer = undefined;
    while (this.running) await this.running.catch(() => undefined);
    this.running = collectGarbage(this.workspace.blobs, ownedBlobs(this.workspace), {
      signal: this.abort.signal,
      forgetCaches: () => rm(path.join(this.workspace.dir, 'cache'), { recursive: true, force: true }),
    });
    try {
      return await this.running;
    } finally {
      this.running = undefined;
    }
  }

  /** Collects in a while; what goes wrong is logged. */
  soon(): void {
    if (this.abort.signal.aborted) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.collect().catch((error: Error) => {
        if (!this.abort.signal.aborted)
          this.log(`collecting garbage in ${this.workspace.name}: ${error.message}`);
      });
    }, soonMs);
    this.timer.unref();
  }

  /** Ends a collection that runs; the next one does the rest. */
  async stop(): Promise<void> {
    clearTimeout(this.timer);
    this.abort.abort();
    await this.running?.catch(() => undefined);
  }
}
