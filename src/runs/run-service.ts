import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Artifact, Garbage, MetricWindow, Run, RunDetail } from '../api/entities.ts';
import { environmentFactsSchema, type EnvironmentFacts } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import { isTerminal } from '../api/run-status.ts';
import { isRefusal } from '../compute/host.ts';
import type { Hosts } from '../compute/hosts.ts';
import { mostPayloadBytes } from '../protocol/frames.ts';
import type { Snapshots } from '../snapshot/snapshots.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import type { Writer } from '../store/writer.ts';
import { Acknowledgement } from './acknowledgement.ts';
import { ArtifactFetch } from './artifact-fetch.ts';
import { pathOnHost } from './attempt-names.ts';
import { attemptDir, isLog } from './attempt-files.ts';
import { Collector } from './collector.ts';
import type { EnvironmentSource } from './configuration/resolve.ts';
import { downloadRun } from './download.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { buildLog, fileSize, mainLog, readPart, removeFolder } from './log-files.ts';
import { readWindow, type Axis } from './metrics/window.ts';
import * as queries from './queries.ts';
import type { Sized } from './snapshots/service.ts';
import type { RerunArgs } from './rerun.ts';
import { Submissions, type SubmitArgs } from './submissions.ts';
import type { RunWrites } from './writes.ts';

/** Where the agent says what a run's environment turned out to be. */
const environmentFile = 'environment/environment.json';
const mostFactsBytes = 16_000_000;

/** A host that does not answer a cancel within this time is not waited for. */
const patienceMs = 5000;

export interface RunServiceOptions {
  workspace: OpenWorkspace;
  writer: Writer;
  hosts: Hosts;
  snapshots: Snapshots;
  environments: EnvironmentSource;
  /** Sends a hint (an event without a number) to who listens to the workspace. */
  hint(event: object): void;
  log(line: string): void;
}

/** Experiments and runs of one workspace. */
export class RunService {
  private readonly options: RunServiceOptions;
  private readonly submissions: Submissions;
  private readonly garbage: GarbageCollector;
  private readonly acknowledgement: Acknowledgement;
  private readonly fetching: ArtifactFetch;
  private readonly collectors = new Map<string, Collector>();
  /** Live runs whose host cannot be reached now. */
  private readonly unreachable = new Set<string>();
  /** Live runs whose target is not known now. */
  private readonly withoutTarget = new Map<string, { compute: string; attempt: number }>();

  constructor(options: RunServiceOptions) {
    this.options = options;
    this.garbage = new GarbageCollector(options.workspace, options.log);
    this.acknowledgement = new Acknowledgement(options);
    this.fetching = new ArtifactFetch(options);
    this.submissions = new Submissions({
      ...options,
      handedOver: (run, attempt) => {
        this.collect(run, attempt);
        // Canceled in the moment of the hand-over: the host has to hear of it.
        if (this.get(run).status === 'CancelRequested') void this.tellHost(run).catch(() => undefined);
      },
    });
  }

  /** Takes up every run that had not ended when the server did. */
  resume(): void {
    const active = queries.activeRunIds(this.options.workspace.reader);
    this.submissions.sweep(new Set(active.map(({ id }) => id)));
    for (const { id } of active) {
      const { attempts, seq } = queries.runRow(this.reader, id);
      if (!this.submissions.resume(id, attempts))
        this.collect(id, queries.attemptToCollect(this.reader, seq));
    }
    // A host may have been connected before this workspace was open.
    for (const name of this.options.hosts.names) this.computeChanged(name);
    void this.fetching.sweep().catch((error: Error) => this.options.log(error.message));
  }

  /** A target was connected, or changed otherwise. */
  computeChanged(name: string): void {
    this.collectWithout(name);
    if (this.options.hosts.find(name)?.reachable) this.acknowledgement.soon(name);
  }

  activeRunsOn(compute: string): number {
    return queries.countActiveOn(this.reader, compute);
  }

  /** Runs some of whose files exist only on this target. */
  runsOnlyOn(compute: string): string[] {
    return queries.runsOnlyOn(this.reader, compute);
  }

  /** Runs that have not ended. */
  get activeRuns(): number {
    return queries.activeRunIds(this.options.workspace.reader).length;
  }

  submit(args: SubmitArgs): Promise<Run> {
    return this.submissions.submit(args);
  }

  rerun(id: string, args: RerunArgs): Promise<Run> {
    return this.submissions.rerun(id, args);
  }

  get(id: string): Run {
    return this.withReachability(queries.getRun(this.reader, id));
  }

  detail(id: string): RunDetail {
    return this.withReachability(queries.getRunDetail(this.reader, id));
  }

  list(query: queries.RunListQuery): { runs: Run[]; cursor: string | null } {
    const page = queries.listRuns(this.reader, query);
    return { ...page, runs: page.runs.map((run) => this.withReachability(run)) };
  }

  withReachability<R extends Run>(run: R): R {
    return this.unreachable.has(run.id) ? { ...run, hostReachable: false } : run;
  }

  /** Asks for the end of a run. Its supervisor does it; when the host cannot be reached, as soon as it can. */
  async cancel(id: string): Promise<Run> {
    const run = this.get(id);
    if (isTerminal(run.status)) {
      throw new RunyardError('conflict', `The run ${id} has ended already (${run.status}).`);
    }
    await this.write('runs.transition', {
      id,
      attempt: run.attempts,
      time: Date.now(),
      status: 'CancelRequested',
      reason: 'Cancel was asked for',
    });
    if (!this.submissions.cancel(id)) await this.tellHostSoon(id);
    return this.get(id);
  }

  async delete(id: string): Promise<void> {
    const { compute } = this.get(id);
    await this.write('runs.delete', { id });
    await this.forget(id, compute);
    this.garbage.soon();
  }

  async deleteExperiment(name: string): Promise<void> {
    const runs = queries.listRuns(this.reader, { experiment: name, limit: 1_000_000 }).runs;
    await this.write('experiments.delete', { name });
    for (const run of runs) await this.forget(run.id, run.compute);
    this.garbage.soon();
  }

  update(args: {
    id: string;
    displayName?: string | undefined;
    tags?: Record<string, string | null> | undefined;
  }): Promise<Run> {
    return this.write('runs.update', args);
  }

  windows(
    id: string,
    query: {
      names: string[];
      from?: number | undefined;
      to?: number | undefined;
      axis: Axis;
      points: number;
    },
  ): MetricWindow[] {
    const { seq } = queries.runRow(this.reader, id);
    const ids = queries.seriesIds(this.reader, seq, query.names);
    const range = {
      from: query.from ?? -Infinity,
      to: query.to ?? Infinity,
      axis: query.axis,
      points: query.points,
    };
    return [...ids].map(([name, series]) => readWindow(this.reader, series, name, range));
  }

  artifacts(id: string): Promise<Artifact[]> {
    const run = queries.runRow(this.reader, id);
    return Promise.all(
      queries.artifactRows(this.reader, run.seq).map(async (row) => {
        const artifact = queries.toArtifact(row);
        if (!isLog(row.path)) return artifact;
        return { ...artifact, stored: true, size: await fileSize(this.logFile(run, row.attempt, row.path)) };
      }),
    );
  }

  /** Brings files that are on the host only into the workspace. Throws what keeps them there. */
  async fetchArtifacts(id: string, paths: string[] | undefined, signal?: AbortSignal): Promise<Artifact[]> {
    const { compute } = queries.runRow(this.reader, id);
    await this.fetching.fetch(id, paths, signal).finally(() => this.acknowledgement.soon(compute));
    return this.artifacts(id);
  }

  /** Bytes of one file: from the workspace where it is, else from the host. Throws `not_found`. */
  async readArtifact(
    id: string,
    file: string,
    offset: number,
    length: number,
  ): Promise<{ size: number; data: Uint8Array }> {
    const row = queries.runRow(this.reader, id);
    const artifact = queries.artifactRows(this.reader, row.seq).find((one) => one.path === file);
    if (file === mainLog || file === buildLog || (artifact && isLog(file))) {
      return readPart(
        this.logFile(row, artifact?.attempt ?? Math.max(1, row.attempts), file),
        offset,
        length,
      );
    }
    if (!artifact) throw new RunyardError('not_found', `The run ${id} has no file "${file}".`);
    if (artifact.stored && artifact.hash) {
      return readPart(this.options.workspace.blobs.pathOf(artifact.hash), offset, length);
    }
    const channel = await this.options.hosts.get(row.compute).connect();
    const parts: Uint8Array[] = [];
    let size = artifact.size;
    for (let at = 0; at < length;) {
      const { result, payload } = await channel.request<{ size: number }>('file.read', {
        run: id,
        attempt: artifact.attempt,
        path: pathOnHost(row, artifact.attempt, file),
        offset: offset + at,
        length: Math.min(mostPayloadBytes, length - at),
      });
      size = result.size;
      if (payload.byteLength === 0) break;
      parts.push(payload);
      at += payload.byteLength;
    }
    return { size, data: Buffer.concat(parts) };
  }

  /** What the run's host has said of its environment; null while nobody knows. */
  async environmentFacts(id: string): Promise<EnvironmentFacts | null> {
    const { seq } = queries.runRow(this.reader, id);
    const row = queries.artifactRows(this.reader, seq).find(({ path }) => path === environmentFile);
    if (!row || row.size > mostFactsBytes) return null;
    const parts: Uint8Array[] = [];
    for (let at = 0; at < row.size;) {
      const { data } = await this.readArtifact(id, environmentFile, at, row.size - at);
      if (data.byteLength === 0) break;
      parts.push(data);
      at += data.byteLength;
    }
    try {
      return environmentFactsSchema.parse(JSON.parse(Buffer.concat(parts).toString('utf8')));
    } catch {
      // A script may write there what it likes.
      return null;
    }
  }

  download(id: string, signal?: AbortSignal): Promise<Sized> {
    return downloadRun(this.options, this.detail(id), signal);
  }

  /** Removes blobs that nothing owns. Throws `conflict` for a snapshot that is damaged. */
  collectGarbage(): Promise<Garbage> {
    return this.garbage.collect();
  }

  /** Something was deleted: its blobs go in a while. */
  garbageSoon(): void {
    this.garbage.soon();
  }

  /** Resolves when no submit is under way. */
  settled(): Promise<void> {
    return this.submissions.settled();
  }

  /** Takes no new submits from now on; afterwards every submit that was taken is an active run. */
  close(): Promise<void> {
    return this.submissions.close();
  }

  reopen(): void {
    this.submissions.reopen();
  }

  /** Ends what is under way here; runs go on on their hosts, submits in the next server. */
  async stop(): Promise<void> {
    await this.submissions.leave();
    this.acknowledgement.stop();
    await this.garbage.stop();
    await Promise.all([...this.collectors.values()].map((collector) => collector.stop()));
  }

  get reader() {
    return this.options.workspace.reader;
  }

  private logFile(run: { id: string; attempts: number }, attempt: number, file: string): string {
    return path.join(attemptDir(this.options.workspace, run.id, attempt), pathOnHost(run, attempt, file));
  }

  private collect(run: string, attempt: number): void {
    if (this.collectors.has(run)) return;
    const { workspace, writer, hosts, hint, log } = this.options;
    const row = queries.runRow(workspace.reader, run);
    const host = hosts.find(row.compute);
    if (!host) {
      // Somebody took it out of the file, or damaged that: the run waits for it, and nothing else does.
      log(`${run} is on "${row.compute}", which is no compute target now`);
      this.withoutTarget.set(run, { compute: row.compute, attempt });
      this.unreachable.add(run);
      return;
    }
    const collector = new Collector({
      workspace,
      writer,
      host,
      run,
      attempt,
      hint,
      log,
      reachable: (reachable) => {
        const changed = reachable ? this.unreachable.delete(run) : !this.unreachable.has(run);
        if (!reachable) this.unreachable.add(run);
        if (changed) hint({ type: 'run', run: this.get(run) });
        if (reachable && this.get(run).status === 'CancelRequested')
          void this.tellHost(run).catch(() => undefined);
      },
      finished: () => {
        this.collectors.delete(run);
        this.unreachable.delete(run);
        void collector.stop();
        this.acknowledgement.soon(row.compute);
        // A scheduler had taken it back: another attempt goes on.
        if (queries.hasRun(this.reader, run) && this.get(run).attempts > attempt)
          this.collect(run, attempt + 1);
      },
    });
    this.collectors.set(run, collector);
    collector.start();
  }

  /** Waits for the host's answer, but not for a host that is away: it hears of it when it is back. */
  private async tellHostSoon(id: string): Promise<void> {
    const { hosts, log } = this.options;
    const host = hosts.get(queries.runRow(this.reader, id).compute);
    const told = this.tellHost(id).catch((error: RunyardError) => {
      if (isRefusal(error)) throw error;
      log(`${id} is canceled when its host is back: ${error.message}`);
    });
    // An answer that comes too late for whoever asked is nobody's.
    told.catch(() => undefined);
    if (host.sharesFiles || host.reachable)
      await Promise.race([told, sleep(patienceMs, undefined, { ref: false })]);
  }

  /** A target is there again that live runs are on. */
  private collectWithout(name: string): void {
    for (const [run, { compute, attempt }] of this.withoutTarget) {
      if (compute !== name || !this.options.hosts.find(name)) continue;
      this.withoutTarget.delete(run);
      this.collect(run, attempt);
    }
  }

  private async tellHost(id: string): Promise<void> {
    const row = queries.runRow(this.reader, id);
    const channel = await this.options.hosts.get(row.compute).connect();
    await channel.request('run.cancel', {
      run: id,
      attempt: Math.max(1, row.attempts),
      reason: 'Cancel was asked for',
    });
  }

  /** Files and the host's copy of a run that is no longer in the database. */
  private async forget(id: string, compute: string): Promise<void> {
    const { workspace, hosts, log } = this.options;
    const collector = this.collectors.get(id);
    this.collectors.delete(id);
    await collector?.stop();
    await removeFolder(workspace.runDir(id));
    const host = hosts.find(compute);
    // A host that is away is told when it is back; nobody waits for that.
    if (!host || (!host.sharesFiles && !host.reachable)) return;
    await host
      .connect()
      .then((channel) => this.acknowledgement.remove(channel, id))
      .catch((error: RunyardError) => log(`${id} stays on ${compute}: ${error.message}`));
  }

  private write<N extends keyof RunWrites & string>(
    operation: N,
    args: Parameters<RunWrites[N]>[1],
  ): Promise<ReturnType<RunWrites[N]>> {
    const { writer, workspace } = this.options;
    return writer.write<RunWrites, N>(workspace.file, operation, args as never) as Promise<
      ReturnType<RunWrites[N]>
    >;
  }
}
