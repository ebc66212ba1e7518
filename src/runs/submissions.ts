import { randomBytes } from 'node:crypto';
import path from 'node:path';
import type { GitFacts, Run } from '../api/entities.ts';
import type { RunEnvironmentRef } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import { experimentNameSchema } from '../api/requests.ts';
import type { RunConfiguration } from '../api/run-configuration.ts';
import type { Hosts } from '../compute/hosts.ts';
import { contextsOf } from '../protocol/messages.ts';
import { gitProperties } from '../snapshot/git-facts.ts';
import { existingFolder } from '../snapshot/folder.ts';
import type { Snapshots } from '../snapshot/snapshots.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';
import type { Writer } from '../store/writer.ts';
import { readConfiguration } from './configuration/files.ts';
import { overlaid } from './configuration/defined.ts';
import { type EnvironmentSource, resolveConfiguration } from './configuration/resolve.ts';
import { deliver, hostHasInTheEnd, Unanswered } from './delivery.ts';
import { specOf, type Launch } from './launch.ts';
import { changedConfiguration, type RerunArgs } from './rerun.ts';
import { PendingSubmits } from './pending.ts';
import { getRun, runRow, type RunRow } from './queries.ts';
import type { PreparedRun, RunWrites } from './writes.ts';

export interface SubmitArgs {
  folder: string;
  configurationName?: string | undefined;
  configuration?: Partial<RunConfiguration> | undefined;
  experiment?: string | undefined;
  displayName?: string | undefined;
  tags?: Record<string, string> | undefined;
  interpreter?: string | undefined;
  /** Name, `name:version` or file of the environment, whatever the configuration says. */
  useEnvironment?: string | undefined;
  useImage?: string | undefined;
  environment: Record<string, string>;
  requestId?: string | undefined;
}

export interface SubmissionsOptions {
  workspace: OpenWorkspace;
  writer: Writer;
  hosts: Hosts;
  snapshots: Snapshots;
  environments: EnvironmentSource;
  /** Sends a hint to who listens to the workspace. */
  hint(event: object): void;
  /** The host has the run: collect what it does. */
  handedOver(run: string, attempt: number): void;
  log(line: string): void;
}

interface Beginning {
  experiment: string;
  displayName: string | null;
  parentId: string | null;
  compute: string;
  configuration: RunConfiguration;
  launch: Launch;
  runEnvironment: RunEnvironmentRef;
  sourceDirectory: string;
  tags: Record<string, string>;
  warnings: string[];
  environment: Record<string, string>;
  requestId: string | null;
  snapshotOf: string | null;
}

interface UnderWay {
  abort: AbortController;
  /** A person wants it to end; otherwise an abort leaves the run to the next server. */
  canceled: boolean;
  /** The host is asked whether it has a run that is to end: whoever cancels it again waits for that too. */
  asking: boolean;
  done: Promise<void>;
}

/** From a folder and a configuration to a run that its host has. */
export class Submissions {
  private readonly options: SubmissionsOptions;
  private readonly pending: PendingSubmits;
  private readonly underWay = new Map<string, UnderWay>();
  /** Submits that have no run yet. */
  private readonly beginning = new Set<Promise<unknown>>();
  private closed = false;
  private leaving = false;

  constructor(options: SubmissionsOptions) {
    this.options = options;
    this.pending = new PendingSubmits(path.join(options.workspace.dir, 'pending'));
  }

  get count(): number {
    return this.underWay.size;
  }

  /**
   * Checks everything that can be checked, makes the run, and goes on in the background. Throws RunyardError
   * before anything is written.
   */
  async submit(args: SubmitArgs): Promise<Run> {
    const folder = await existingFolder(args.folder);
    const found = args.configurationName
      ? await readConfiguration(folder, args.configurationName)
      : undefined;
    const configuration = overlaid(found?.configuration, args.configuration);
    const { hosts, environments } = this.options;
    hosts.noteAgentSocket(args.environment['SSH_AUTH_SOCK']);
    const experiment = experimentOf(args.experiment ?? configuration.experiment ?? path.basename(folder));
    const resolved = await resolveConfiguration(
      folder,
      configuration,
      args,
      (name) => hosts.settings(name),
      (find) => environments.choose(folder, configuration, find, args.useEnvironment, args.useImage),
    );
    const { launch, compute, warnings } = resolved;
    return this.begin({
      experiment,
      displayName: args.displayName ?? configuration.displayName ?? null,
      parentId: null,
      compute,
      configuration: withoutSecrets(configuration),
      launch,
      runEnvironment: resolved.environment,
      sourceDirectory: folder,
      tags: { ...configuration.tags, ...args.tags },
      warnings: [...(found?.warnings ?? []), ...warnings],
      environment: args.environment,
      requestId: args.requestId ?? null,
      snapshotOf: null,
    });
  }

  /**
   * The very same snapshot again, with the same configuration or with some of it changed. Throws `conflict` when
   * the run has no snapshot, and as `submit` for what cannot be run.
   */
  async rerun(id: string, args: RerunArgs): Promise<Run> {
    const row = runRow(this.options.workspace.reader, id);
    if (!row.snapshot_id) throw new RunyardError('conflict', `The run ${id} has no snapshot to run again.`);
    const { tags } = getRun(this.options.workspace.reader, id);
    const resolved = await changedConfiguration(
      this.options.workspace.blobs,
      row,
      row.snapshot_id,
      args,
      (name) => this.options.hosts.settings(name),
      this.options.environments,
    );
    const { configuration, launch, compute, warnings } = resolved;
    return this.begin({
      experiment: args.experiment === undefined ? row.experiment : experimentOf(args.experiment),
      displayName: args.displayName ?? null,
      parentId: null,
      compute,
      configuration: withoutSecrets(configuration),
      launch,
      runEnvironment: resolved.environment,
      sourceDirectory: row.source_directory,
      tags: { ...tags, 'runyard.rerun_of': id },
      warnings,
      environment: args.environment,
      requestId: args.requestId ?? null,
      snapshotOf: id,
    });
  }

  /** Goes on with a submit that a killed server left; false when the host has the run. */
  resume(id: string, attempts: number): boolean {
    if (attempts > 0 && !this.pending.has(id)) return false;
    this.track(id);
    return true;
  }

  /** Clears away what belongs to none of these runs; before the first submit. */
  sweep(active: ReadonlySet<string>): void {
    this.pending.sweep(active);
  }

  /** Stops a submit that the host has not got yet; false when there is none. */
  cancel(id: string): boolean {
    const current = this.underWay.get(id);
    if (!current) return false;
    if (current.asking) return true;
    current.canceled = true;
    current.abort.abort();
    return true;
  }

  /** Resolves when no submit is under way. */
  async settled(): Promise<void> {
    while (this.underWay.size + this.beginning.size > 0) {
      await Promise.allSettled([...this.beginning, ...[...this.underWay.values()].map(({ done }) => done)]);
    }
  }

  /** Takes no new submits; resolves when those that had been taken have a run. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.allSettled([...this.beginning]);
  }

  reopen(): void {
    this.closed = false;
  }

  /** Lets go of every submit under way, as they are: the next server goes on with them. */
  async leave(): Promise<void> {
    this.leaving = true;
    await this.close();
    for (const { abort } of this.underWay.values()) abort.abort();
    await this.settled();
  }

  private begin(run: Beginning): Promise<Run> {
    if (this.closed) {
      throw new RunyardError('unavailable', 'The workspace takes no submits now: it is being closed.', {
        action: 'Try again.',
      });
    }
    const begun = this.create(run).finally(() => this.beginning.delete(begun));
    this.beginning.add(begun);
    return begun;
  }

  private async create(run: Beginning): Promise<Run> {
    const { workspace, writer } = this.options;
    const { environment, runEnvironment, ...rest } = run;
    const id = newRunId(run.experiment);
    // Another machine never gets this one's variables.
    const sent = this.options.hosts.get(run.compute).sharesFiles ? environment : {};
    await this.pending.put(id, { environment: sent });
    let created: Run;
    try {
      created = await writer.write<RunWrites, 'runs.create'>(workspace.file, 'runs.create', {
        ...rest,
        environment: runEnvironment,
        id,
        script: run.launch.script,
        createdAt: Date.now(),
        reason: run.snapshotOf ? `The snapshot of ${run.snapshotOf} is used` : 'Taking the snapshot',
      });
    } catch (error) {
      await this.pending.remove(id);
      throw error;
    }
    if (created.id !== id) {
      // The same request came twice.
      await this.pending.remove(id);
      return created;
    }
    this.track(id);
    return created;
  }

  private track(id: string): void {
    const abort = new AbortController();
    const current: UnderWay = { abort, canceled: false, asking: false, done: Promise.resolve() };
    this.underWay.set(id, current);
    current.done = this.handOver(id, current)
      .catch((error: unknown) => this.fail(id, error, current))
      .finally(() => {
        if (this.underWay.get(id) === current) this.underWay.delete(id);
      });
  }

  private async handOver(id: string, current: UnderWay): Promise<void> {
    const { workspace, hosts, handedOver, log } = this.options;
    const { signal } = current.abort;
    const row = runRow(workspace.reader, id);
    const pending = await this.pending.get(id);
    if (!pending) {
      // The last server was killed after it had cleared the submit away, and before it wrote that it was canceled.
      current.canceled = row.status === 'CancelRequested';
      throw new RunyardError('conflict', 'The server ended before it had handed the run to its host.', {
        action: 'Submit again.',
      });
    }
    const waits = (problem: RunyardError) => this.sayWaiting(id, row.compute, problem);
    if (row.status === 'CancelRequested') {
      current.asking = true;
      const host = hosts.get(row.compute);
      if (row.attempts === 0 || !(await hostHasInTheEnd(host, id, row.attempts, { signal, waits }))) {
        current.canceled = true;
        throw new RunyardError('conflict', 'The run was canceled.');
      }
    }
    const { snapshot, attempt } = await this.prepare(row, signal);
    const spec = specOf(JSON.parse(row.launch) as Launch, {
      run: id,
      attempt,
      experiment: row.experiment,
      workspace: workspace.name,
      manifest: snapshot.id,
    });
    await deliver(hosts.get(row.compute), workspace.blobs, snapshot.id, {
      request: { spec, environment: pending.environment },
      contexts: contextsOf(spec.environment?.recipe),
      signal,
      log,
      waits,
      progress: (bytes, totalBytes) =>
        this.hintProgress(id, {
          stage: 'sending',
          files: snapshot.files,
          totalFiles: snapshot.files,
          bytes,
          totalBytes,
        }),
    });
    await this.pending.remove(id);
    handedOver(id, attempt);
  }

  /**
   * The snapshot and the git facts: those the run has (of the run that is run again), else taken now. Until the
   * run owns them no garbage is collected.
   */
  private prepare(
    row: RunRow,
    signal: AbortSignal,
  ): Promise<{ snapshot: PreparedRun['snapshot']; attempt: number }> {
    const { workspace, snapshots } = this.options;
    return workspace.blobs.using(async () => {
      const { id, snapshot_id: known, snapshot_files: files, snapshot_bytes: bytes } = row;
      const warnings = JSON.parse(row.warnings) as string[];
      if (known) {
        const snapshot = { id: known, files: files ?? 0, bytes: bytes ?? 0 };
        const git = row.git === null ? null : (JSON.parse(row.git) as GitFacts);
        return { snapshot, attempt: await this.savePrepared({ id, snapshot, git, warnings }) };
      }
      const taken = await snapshots.take(
        {
          folder: row.source_directory,
          blobs: workspace.blobs.dir,
          cache: path.join(workspace.dir, 'cache'),
        },
        { signal, progress: (progress) => this.hintProgress(id, progress) },
      );
      const { git, id: snapshotId } = taken;
      const snapshot = { id: snapshotId, files: taken.files, bytes: taken.bytes };
      const all = [...warnings, ...taken.warnings, ...(git?.changes?.problems ?? [])];
      return { snapshot, attempt: await this.savePrepared({ id, snapshot, git, warnings: all }) };
    });
  }

  private savePrepared(prepared: Omit<PreparedRun, 'properties'>): Promise<number> {
    const { workspace, writer } = this.options;
    const { snapshot, git } = prepared;
    return writer.write<RunWrites, 'runs.prepared'>(workspace.file, 'runs.prepared', {
      ...prepared,
      properties: { ContentSnapshotId: snapshot.id, ...(git ? gitProperties(git) : {}) },
    });
  }

  private sayWaiting(id: string, compute: string, problem: RunyardError): void {
    const { workspace, writer, log } = this.options;
    const reason = [`Waiting for ${compute}: ${problem.message}`, problem.action].filter(Boolean).join(' ');
    if (runRow(workspace.reader, id).status_reason === reason) return;
    writer
      .write<RunWrites, 'runs.reason'>(workspace.file, 'runs.reason', { id, reason })
      .catch((error: Error) => log(`${id}: ${error.message}`));
  }

  private hintProgress(runId: string, progress: object): void {
    this.options.hint({ type: 'progress', runId, ...progress });
  }

  private async fail(id: string, cause: unknown, { abort, canceled }: UnderWay): Promise<void> {
    const { workspace, writer, log } = this.options;
    // The server ends: the next one goes on with it.
    if (abort.signal.aborted && !canceled) return;
    // The host may have it: as after a kill of the server, it is asked once it is back.
    if (canceled && cause instanceof Unanswered) {
      if (!this.leaving) this.track(id);
      return;
    }
    if (!canceled) log(`submit of ${id}: ${(cause as Error).stack ?? String(cause)}`);
    const known = cause instanceof RunyardError ? cause : undefined;
    const message = known
      ? [known.message, known.action].filter(Boolean).join(' ')
      : `The run could not be submitted: ${(cause as Error).message}`;
    await this.pending.remove(id);
    await writer
      .write<RunWrites, 'runs.transition'>(workspace.file, 'runs.transition', {
        id,
        attempt: 0,
        time: Date.now(),
        status: canceled ? 'Canceled' : 'Failed',
        reason: canceled ? 'Canceled before the host had it' : message,
        error: canceled ? null : { code: known?.code ?? 'internal', message, tail: '' },
      })
      .catch((error: Error) => log(`${id}: ${error.message}`));
  }
}

/** A password of a registry stands in some of Azure's files; no record keeps it. */
function withoutSecrets(configuration: RunConfiguration): RunConfiguration {
  const clean = <S extends RunConfiguration['docker']>(section: S): S =>
    section?.baseImageRegistry
      ? { ...section, baseImageRegistry: addressOnly(section.baseImageRegistry) }
      : section;
  const { docker, environment } = configuration;
  return {
    ...configuration,
    ...(docker ? { docker: clean(docker) } : {}),
    ...(environment?.docker ? { environment: { ...environment, docker: clean(environment.docker) } } : {}),
  };
}

function addressOnly(registry: Record<string, unknown>): Record<string, unknown> {
  const { address } = registry;
  return typeof address === 'string' ? { address } : {};
}

/** The name as it is kept. Throws `bad_request`: it may come from a configuration or be a folder's name. */
function experimentOf(name: string): string {
  const parsed = experimentNameSchema.safeParse(name);
  if (parsed.success) return parsed.data;
  throw new RunyardError('bad_request', `"${name.slice(0, 100)}" cannot be the name of an experiment.`, {
    action: 'Give the experiment a name: at most 255 characters, none of them a control character.',
  });
}

/** As Azure ML v1 made them: experiment, seconds, random. */
export function newRunId(experiment: string): string {
  const name = experiment
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+|-+$/g, '')
    .slice(0, 64);
  return `${name || 'run'}_${Math.floor(Date.now() / 1000)}_${randomBytes(4).toString('hex')}`;
}
