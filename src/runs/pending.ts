import { existsSync, readdirSync, rmSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { noSpace } from '../store/blobs.ts';

/** What a submit needs until it is handed to the host; may hold secrets, so it is no record. */
export interface PendingSubmit {
  environment: Record<string, string>;
}

/**
 * Submits under way, in 0600 files that are gone once the host has the run: a killed server goes on with
 * them when it is started again.
 */
export class PendingSubmits {
  private readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  async put(run: string, pending: PendingSubmit): Promise<void> {
    const file = this.file(run);
    try {
      await mkdir(this.dir, { recursive: true, mode: 0o700 });
      const handle = await open(`${file}.tmp`, 'w', 0o600);
      try {
        await handle.writeFile(JSON.stringify(pending));
      } finally {
        await handle.close();
      }
      await rename(`${file}.tmp`, file);
    } catch (error) {
      await rm(`${file}.tmp`, { force: true }).catch(() => undefined);
      throw noSpace(error, this.dir);
    }
  }

  async get(run: string): Promise<PendingSubmit | undefined> {
    try {
      return JSON.parse(await readFile(this.file(run), 'utf8')) as PendingSubmit;
    } catch {
      return undefined;
    }
  }

  has(run: string): boolean {
    return existsSync(this.file(run));
  }

  /** Removes what no run waits for: a kill between this file and the run's record leaves one behind. */
  sweep(runs: ReadonlySet<string>): void {
    if (!existsSync(this.dir)) return;
    for (const name of readdirSync(this.dir)) {
      const run = name.endsWith('.json') ? name.slice(0, -'.json'.length) : undefined;
      if (run === undefined || !runs.has(run)) rmSync(path.join(this.dir, name), { force: true });
    }
  }

  async remove(run: string): Promise<void> {
    await rm(this.file(run), { force: true });
  }

  private file(run: string): string {
    return path.join(this.dir, `${run}.json`);
  }
}
