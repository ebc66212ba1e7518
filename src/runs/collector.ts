import { createHash } from 'node:crypto';
import type { RunScheduler } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import { isTerminal } from '../api/run-status.ts';
import type { Host } from '../compute/host.ts';
import { watchAttempt, type Watch } from '../compute/watch.ts';
import {
  filesReplySchema,
  type AttemptStatus,
  type Cursor,
  type Ends,
  type FileEntry,
  type Notification,
} from '../protocol/messages.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import type { Writer } from '../store/writer.ts';
import { attemptDir, isLog, isSafeName, safeName } from './attempt-files.ts';
import { hostHas } from './delivery.ts';
import { LogFiles, type LogPosition } from './log-files.ts';
import { cursorRows, getRun, runRow } from './queries.ts';
import { fetchToBlob, readRemoteFile, readSmallFiles, smallBytes } from './remote-files.ts';
import type { RunWrites } from './writes.ts';

/** Files up to this size are brought into the workspace when the run ends; larger ones stay on the host. */
export const mostCollectedBytes = 256_000_000;
/** A live supervisor counts its heartbeat up at least this often; tests wait less. */
const silenceMs = Number(process.env['RUNYARD_SERVER_SILENCE_SECONDS'] ?? 60) * 1000;
const checkMs = silenceMs / 6;
const logHintMs = 50;
const priorityMs = 60_000;
/** Files that come to be in the workspace in one transaction. */
const storedAtOnce = 200;

export interface CollectorOptions {
  workspace: OpenWorkspace;
  writer: Writer;
  host: Host;
  run: string;
  attempt: number;
  /** A hint for listeners; see api/events.ts. */
  hint(event: object): void;
  reachable(reachable: boolean): void;
  /** Everything is collected, or the host knows nothing of the run any more. */
  finished(): void;
  log(line: string): void;
}

/**
 * Brings everything of one attempt into the workspace, live and at its end: the journal into the database,
 * logs into files, outputs into blobs. Can be killed anywhere and started again.
 */
export class Collector {
  private readonly options: CollectorOptions;
  private readonly logs: LogFiles;
  private readonly dir: string;
  private watch: Watch | undefined;
  private timer: NodeJS.Timeout | undefined;
  private heartbeat = -1;
  /** On a clock that nobody sets, and that stands still while the machine sleeps. */
  private heardAt = performance.now();
  /** The supervisor's latest word. */
  private last: AttemptStatus | undefined;
  private ends: Ends = {};
  /** What the scheduler has said but for the priority, and when that is written again by itself. */
  private schedulerSaid = '';
  private priorityDue = 0;
  private hostReachable = false;
  private hintTimer: NodeJS.Timeout | undefined;
  /** Logs that have grown since the last hint. */
  private readonly grown = new Set<string>();

  constructor(options: CollectorOptions) {
    this.options = options;
    const { workspace, run, attempt } = options;
    this.dir = attemptDir(workspace, run, attempt);
    const rows = cursorRows(workspace.reader, runRow(workspace.reader, run).seq, attempt);
    const positions = rows.filter((row) => isLog(row.file)).map((row) => [row.file, row] as const);
    this.logs = new LogFiles(
      this.dir,
      new Map(positions.map(([file, { generation, offset, base }]) => [file, { generation, offset, base }])),
    );
  }

  start(): void {
    const { host, run, attempt } = this.options;
    this.watch = watchAttempt(host, {
      run,
      attempt,
      cursors: () => this.cursors(),
      handle: (notification, payload) => this.handle(notification, payload),
      failed: (error) => this.options.log(`collecting ${run}: ${error.message}; tried again`),
      reachable: (reachable) => this.onReachable(reachable),
      lost: (reason) => void this.onLost(reason),
    });
    this.timer = setInterval(() => void this.checkHeartbeat(), checkMs);
    this.timer.unref();
  }

  async stop(): Promise<void> {
    this.watch?.stop();
    clearInterval(this.timer);
    clearTimeout(this.hintTimer);
    this.sendHints();
    await this.logs.close();
  }

  /** Size of our copy of a log. */
  logSize(file: string): number {
    return this.logs.size(file);
  }

  private cursors(): Record<string, Cursor> {
    const { workspace, run, attempt } = this.options;
    const rows = cursorRows(workspace.reader, runRow(workspace.reader, run).seq, attempt);
    this.ends = {};
    const cursors: Record<string, Cursor> = {};
    for (const { file, generation, offset } of rows) {
      const have = isLog(file) ? this.logs.position(file) : { generation, offset };
      if (have) cursors[file] = { generation: have.generation, offset: have.offset };
    }
    return cursors;
  }

  private async handle(notification: Notification, payload: Uint8Array): Promise<void> {
    switch (notification.kind) {
      case 'data':
        return this.onData(notification.file, notification.generation, notification.offset, payload);
      case 'status':
        return this.onStatus(notification.status);
      case 'files':
        return this.write('runs.files', {
          id: this.options.run,
          attempt: this.options.attempt,
          files: await this.wholeListing(notification),
        });
      case 'end':
        Object.assign(this.ends, notification.ends);
        return this.onEnd(await this.wholeListing(notification), this.ends);
      case 'ends':
        Object.assign(this.ends, notification.ends);
        return;
    }
  }

  /** A listing that is longer than a frame goes on by request. */
  private async wholeListing(first: {
    files: FileEntry[];
    more?: boolean | undefined;
  }): Promise<FileEntry[]> {
    const { run, attempt, host } = this.options;
    const files = [...first.files];
    for (let more = first.more; more;) {
      const channel = await host.connect();
      const reply = await channel.request<unknown>('run.files', { run, attempt, after: files.at(-1)?.path });
      const page = filesReplySchema.parse(reply.result);
      files.push(...page.files);
      more = page.more && page.files.length > 0;
    }
    const safe = files.filter(({ path }) => isSafeName(path));
    if (safe.length < files.length)
      this.options.log(`${host.name} names files of ${run} that no agent would: left out`);
    return safe;
  }

  private async onData(file: string, generation: string, offset: number, payload: Uint8Array): Promise<void> {
    const { run, attempt } = this.options;
    if (!isLog(file)) {
      const args = { run, attempt, file, generation, offset, bytes: payload };
      await this.write('runs.ingest', args, [payload.buffer as ArrayBuffer]);
      return this.sayWhyItWaits();
    }
    const position = await this.logs.write(safeName(file), generation, offset, payload);
    await this.saveLogPosition(file, position);
    this.hintLog(file);
  }

  /** A position may lag behind the file: bytes that come again are written where they are already. */
  private async saveLogPosition(file: string, position: LogPosition): Promise<void> {
    const { run, attempt } = this.options;
    await this.write('runs.logCursor', { run, attempt, file, ...position });
  }

  /** At once, and then at most every `logHintMs` milliseconds. */
  private hintLog(file: string): void {
    this.grown.add(file);
    if (this.hintTimer) return;
    this.sendHints();
    this.hintTimer = setTimeout(() => {
      this.hintTimer = undefined;
      this.sendHints();
    }, logHintMs);
  }

  private sendHints(): void {
    for (const path of this.grown) {
      this.options.hint({ type: 'log', runId: this.options.run, path, size: this.logs.size(path) });
    }
    this.grown.clear();
  }

  private async onStatus(status: AttemptStatus): Promise<void> {
    const { run, attempt } = this.options;
    this.last = status;
    if (status.heartbeat !== this.heartbeat) {
      this.heartbeat = status.heartbeat;
      this.heardAt = performance.now();
      if (
        getRun(this.options.workspace.reader, run).status === 'NotResponding' &&
        status.state !== 'Requeued' &&
        !isTerminal(status.state)
      ) {
        await this.write('runs.transition', {
          id: run,
          attempt,
          status: status.state,
          reason: 'The supervisor answers again',
          time: Date.now(),
        });
      }
    }
    await this.sayWhatSchedulerSays(status.slurm);
    await this.sayWhyItWaits();
  }

  private async sayWhatSchedulerSays(slurm: AttemptStatus['slurm']): Promise<void> {
    if (!slurm) return;
    const scheduler: RunScheduler = {
      kind: 'slurm',
      job: slurm.job,
      state: slurm.state,
      reason: slurm.reason ?? null,
      priority: slurm.priority ?? null,
      partition: slurm.partition ?? null,
      nodes: slurm.nodes ?? null,
      position: slurm.position ?? null,
      expectedStart: slurm.expected_start ?? null,
      timeLimitAt: slurm.time_limit_at ?? null,
      restarts: slurm.restarts ?? 0,
    };
    const said = JSON.stringify({ ...scheduler, priority: 0 });
    // A cluster that counts age changes every priority at every look.
    if (said === this.schedulerSaid && performance.now() < this.priorityDue) return;
    this.schedulerSaid = said;
    this.priorityDue = performance.now() + priorityMs;
    await this.write('runs.scheduler', { id: this.options.run, scheduler });
  }

  /** What a queued run waits for. The journal's "Submitted" may come after it, and is not to stand in its place. */
  private async sayWhyItWaits(): Promise<void> {
    if (this.last?.state !== 'Queued') return;
    const { reason } = this.last;
    const { run, workspace } = this.options;
    const { status, statusReason } = getRun(workspace.reader, run);
    if (status === 'Queued' && statusReason !== reason) await this.write('runs.reason', { id: run, reason });
  }

  /** A run whose supervisor is silent though its host can be reached is NotResponding until it is heard again. */
  private async checkHeartbeat(): Promise<void> {
    const { run, attempt, workspace, host } = this.options;
    if (!this.hostReachable || this.heartbeat < 0 || performance.now() - this.heardAt < silenceMs) return;
    const { status } = getRun(workspace.reader, run);
    // A ticket without a supervisor has no heartbeat; what is being collected has had its last one.
    if (status === 'Queued' || status === 'Finalizing' || status === 'NotResponding') return;
    if (!(await hostHas(host, run, attempt).catch(() => true))) return this.onLost('its folder is gone.');
    await this.write('runs.transition', {
      id: run,
      attempt,
      status: 'NotResponding',
      reason: `No heartbeat of the supervisor for ${Math.round(silenceMs / 1000)} s`,
      time: Date.now(),
    }).catch((error: Error) => this.options.log(`${run}: ${error.message}`));
  }

  private onReachable(reachable: boolean): void {
    if (reachable) this.heardAt = performance.now();
    if (this.hostReachable === reachable) return;
    this.hostReachable = reachable;
    this.options.reachable(reachable);
  }

  private async onLost(reason: string): Promise<void> {
    const { run, attempt, workspace } = this.options;
    if (attempt < getRun(workspace.reader, run).attempts) {
      // What it has left is gone; the run goes on without that.
      const last = { state: 'Requeued' as const, since: Date.now(), reason, heartbeat: 0 };
      await this.write('runs.seal', { id: run, attempt, last });
      return this.options.finished();
    }
    await this.write('runs.transition', {
      id: run,
      attempt,
      status: 'Failed',
      reason: 'The host does not know the run any more',
      time: Date.now(),
      error: {
        code: 'lost',
        message: `The host ${this.options.host.name} does not know the run any more: ${reason}`,
        tail: '',
      },
    }).catch((error: Error) => this.options.log(`${run}: ${error.message}`));
    this.options.finished();
  }

  /** The host's last word: everything is compared with it, what is missing is fetched, the run is sealed. */
  private async onEnd(files: FileEntry[], ends: Ends): Promise<void> {
    const { run, attempt, workspace } = this.options;
    for (const [file, end] of Object.entries(ends)) {
      if (isLog(file)) continue;
      const args = {
        run,
        attempt,
        file,
        generation: end.generation,
        offset: end.size,
        bytes: new Uint8Array(0),
      };
      await this.write('runs.ingest', { ...args, last: true });
    }
    const { seq } = runRow(workspace.reader, run);
    const listed = new Set(files.map(({ path }) => path));
    const stored = new Map(cursorRows(workspace.reader, seq, attempt).map((row) => [row.file, row]));
    for (const [file, end] of Object.entries(ends)) {
      // A log that the script has removed meanwhile is no log of this run any more.
      if (isLog(file) && !listed.has(file)) continue;
      const have = isLog(file) ? this.logs.position(file) : stored.get(file);
      if (end.size > 0 && (have?.offset !== end.size || have.generation !== end.generation)) {
        throw new RunyardError('conflict', `${file} has ${end.size} bytes; ${have?.offset ?? 0} came.`);
      }
    }
    await this.write('runs.files', { id: run, attempt, files });
    await this.collectAll(files);
    if (!this.last) throw new RunyardError('conflict', `The host did not say how ${run} ended.`);
    await this.write('runs.seal', { id: run, attempt, last: this.last });
    this.options.finished();
  }

  /** Brings every file of a listing into the workspace, but those that are too large to be taken unasked. */
  private async collectAll(files: readonly FileEntry[]): Promise<void> {
    const small: FileEntry[] = [];
    for (const file of files) {
      if (isLog(file.path)) await this.collectLog(file);
      else if (file.size > mostCollectedBytes || (await this.isStored(file))) continue;
      else if (file.size <= smallBytes) small.push(file);
      else await this.options.workspace.blobs.using(() => this.store(file));
    }
    if (small.length > 0) await this.options.workspace.blobs.using(() => this.storeSmall(small));
  }

  private async collectLog(file: FileEntry): Promise<void> {
    const position = this.logs.position(file.path);
    const complete = position?.offset === file.size || file.size === 0;
    if (complete && (!file.sha256 || (await this.logs.hash(file.path)) === file.sha256)) return;
    await this.fetchLog(file);
  }

  /** The content is here already: of an earlier run, or of a try that was cut off. */
  private async isStored({ path, sha256 }: FileEntry): Promise<boolean> {
    const { run, workspace } = this.options;
    if (!sha256 || !workspace.blobs.has(sha256)) return false;
    await workspace.blobs.using(async () => {
      if (workspace.blobs.has(sha256))
        await this.write('runs.artifactsStored', { id: run, files: [{ path, hash: sha256 }] });
    });
    return true;
  }

  /** Stores a file's content and makes the run its owner; no garbage is collected meanwhile. */
  private async store(file: FileEntry): Promise<void> {
    const { run, workspace } = this.options;
    try {
      const hash = await fetchToBlob(this.options, file, workspace);
      await this.write('runs.artifactsStored', { id: run, files: [{ path: file.path, hash }] });
    } catch (error) {
      // The host could not read it for its hash either (the script took its rights away): it stays there.
      if (!file.sha256 && (error as RunyardError).code === 'not_found') return;
      throw error;
    }
  }

  private async storeSmall(files: readonly FileEntry[]): Promise<void> {
    const { run, workspace } = this.options;
    let stored: { path: string; hash: string }[] = [];
    const save = async () => {
      await this.write('runs.artifactsStored', { id: run, files: stored });
      stored = [];
    };
    for await (const { file, content } of readSmallFiles(this.options, files)) {
      if (content === null) {
        if (!file.sha256) continue;
        throw new RunyardError('conflict', `${file.path} changed while it was fetched.`);
      }
      const hash = await workspace.blobs.put(content);
      if (file.sha256 && hash !== file.sha256) {
        throw new RunyardError('conflict', `${file.path} changed while it was fetched.`);
      }
      stored.push({ path: file.path, hash });
      if (stored.length >= storedAtOnce) await save();
    }
    await save();
  }

  /** The live tail was a preview; the file as it is at the end is the truth. */
  private async fetchLog(file: FileEntry): Promise<void> {
    const base = this.logs.position(file.path)?.base ?? 0;
    const handle = await this.logs.place(safeName(file.path));
    const hash = createHash('sha256');
    try {
      await handle.truncate(base);
      let at = base;
      for await (const part of readRemoteFile(this.options, file)) {
        hash.update(part);
        await handle.write(part, 0, part.length, at);
        at += part.length;
      }
    } finally {
      await handle.close();
    }
    if (file.sha256 && hash.digest('hex') !== file.sha256) {
      throw new RunyardError('conflict', `${file.path} changed while it was fetched.`);
    }
  }

  private write<N extends keyof RunWrites & string>(
    operation: N,
    args: Parameters<RunWrites[N]>[1],
    transfer: ArrayBuffer[] = [],
  ): Promise<void> {
    const { writer, workspace } = this.options;
    return writer.write<RunWrites, N>(workspace.file, operation, args as never, transfer) as Promise<never>;
  }
}
