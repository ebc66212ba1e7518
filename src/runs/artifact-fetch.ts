import path from 'node:path';
import { readdir, rm, stat } from 'node:fs/promises';
import { RunyardError } from '../api/errors.ts';
import type { Hosts } from '../compute/hosts.ts';
import { filesReplySchema, type FileEntry } from '../protocol/messages.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import type { Writer } from '../store/writer.ts';
import { pathOnHost } from './attempt-names.ts';
import { isLog } from './attempt-files.ts';
import { artifactRows, runRow } from './queries.ts';
import { fetchToBlob, partialFolder } from './remote-files.ts';
import type { RunWrites } from './writes.ts';

export interface ArtifactFetchOptions {
  workspace: OpenWorkspace;
  writer: Writer;
  hosts: Hosts;
  hint(event: object): void;
}

const hintMs = 200;
/** What nobody has gone on with for so long is given up. */
const partialDays = 30;

/** Brings files that were left on their host into the workspace, when somebody wants them. */
export class ArtifactFetch {
  private readonly options: ArtifactFetchOptions;
  /** One fetch a file: who comes later waits for it. */
  private readonly underWay = new Map<string, { done: Promise<void>; signal: AbortSignal | undefined }>();

  constructor(options: ArtifactFetchOptions) {
    this.options = options;
  }

  /**
   * Fetches the named files, or all that are on the host only. Throws `not_found` for a file the run does not have
   * and what keeps the host from giving it; what came stays, and the next call goes on.
   */
  async fetch(run: string, paths: readonly string[] | undefined, signal?: AbortSignal): Promise<void> {
    const { workspace, hosts } = this.options;
    const row = runRow(workspace.reader, run);
    const rows = artifactRows(workspace.reader, row.seq);
    const wanted = paths
      ? paths.map((name) => {
          const found = rows.find((one) => one.path === name);
          if (!found) throw new RunyardError('not_found', `The run ${run} has no file "${name}".`);
          return found;
        })
      : rows;
    const missing = wanted.filter((one) => one.stored === 0 && !isLog(one.path));
    if (missing.length === 0) return;
    const host = hosts.get(row.compute);
    await host.connect();
    for (const { path: name, attempt, size, modified_at: mtime, hash } of missing) {
      await this.shared(`${run}\n${name}`, signal, () =>
        this.one(
          run,
          attempt,
          row.compute,
          name,
          { path: pathOnHost(row, attempt, name), size, mtime, sha256: hash },
          signal,
        ),
      );
    }
  }

  /** Waits for who fetches it already; does it anew when that one has given it up. */
  private async shared(
    key: string,
    signal: AbortSignal | undefined,
    fetch: () => Promise<void>,
  ): Promise<void> {
    for (let other; (other = this.underWay.get(key));) {
      const { done, signal: others } = other;
      const given = await done.then(
        () => false,
        (error: unknown) => {
          if (!others?.aborted) throw error;
          return true;
        },
      );
      signal?.throwIfAborted();
      if (!given) return;
    }
    const done = fetch().finally(() => this.underWay.delete(key));
    this.underWay.set(key, { done, signal });
    return done;
  }

  /** Removes parts of files that nobody has gone on with. */
  async sweep(): Promise<void> {
    const folder = partialFolder(this.options.workspace);
    const oldest = Date.now() - partialDays * 86_400_000;
    for (const name of await readdir(folder).catch(() => [])) {
      const file = path.join(folder, name);
      const found = await stat(file).catch(() => undefined);
      if (found && found.mtimeMs < oldest) await rm(file, { force: true });
    }
  }

  private async one(
    run: string,
    attempt: number,
    compute: string,
    name: string,
    known: FileEntry,
    signal?: AbortSignal,
  ): Promise<void> {
    const { workspace, writer, hosts, hint } = this.options;
    const source = { host: hosts.get(compute), run, attempt };
    const file = known.sha256 ? known : await this.lookUp(source, known);
    let hinted = 0;
    let latest = 0;
    const say = (bytes: number, done: boolean) => {
      latest = bytes;
      const now = performance.now();
      if (!done && now - hinted < hintMs) return;
      hinted = now;
      hint({ type: 'fetch', runId: run, path: name, bytes, totalBytes: file.size, done });
    };
    try {
      await workspace.blobs.using(async () => {
        const hash = await fetchToBlob(source, file, workspace, (bytes) => say(bytes, false), signal);
        await writer.write<RunWrites, 'runs.artifactsStored'>(workspace.file, 'runs.artifactsStored', {
          id: run,
          files: [{ path: name, hash }],
        });
      });
      await writer.write<RunWrites, 'runs.told'>(workspace.file, 'runs.told', { run, attempt, told: false });
      latest = file.size;
      // Whoever shows the run's files sees that this one has come.
      hint({ type: 'details', runId: run });
    } finally {
      say(latest, true);
    }
  }

  /** The host knows the hash of what an ended attempt has left. */
  private async lookUp(
    { host, run, attempt }: { host: ReturnType<Hosts['get']>; run: string; attempt: number },
    known: FileEntry,
  ): Promise<FileEntry> {
    const channel = await host.connect();
    for (let after: string | undefined; ;) {
      const { result } = await channel.request<unknown>('run.files', { run, attempt, after });
      const page = filesReplySchema.parse(result);
      const found = page.files.find((one) => one.path === known.path);
      if (found) return found;
      after = page.files.at(-1)?.path;
      if (!page.more || after === undefined) return known;
    }
  }
}
