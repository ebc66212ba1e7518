import * as z from 'zod';
import { runEnvironmentRefSchema } from './environment.ts';
import { errorStatus, type ErrorCode } from './errors.ts';
import { runConfigurationSchema } from './run-configuration.ts';
import { runStatuses } from './run-status.ts';

/** Times are epoch milliseconds everywhere; durations say their unit in the name. */
const time = z.number();
const nullableTime = time.nullable();
const strings = z.record(z.string(), z.string());

/** A number, or the name of a value that JSON has no number for. */
export const metricValueSchema = z.union([z.number(), z.enum(['NaN', 'Infinity', '-Infinity'])]);
export type MetricValue = z.infer<typeof metricValueSchema>;

export const serverSchema = z.object({
  version: z.string(),
  /** Hash over the server's files: the same hash is the same server. */
  build: z.string(),
  builtAt: time,
  pid: z.number(),
  home: z.string(),
  startedAt: time,
  /** Loopback TCP port, for what cannot speak over the socket. */
  tcpPort: z.number(),
  activeRuns: z.number(),
  draining: z.boolean(),
  memoryBytes: z.number(),
});
export type ServerInfo = z.infer<typeof serverSchema>;

export const workspaceSchema = z.object({
  name: z.string(),
  path: z.string(),
  createdAt: time,
  /** The one that commands use when none is named. */
  current: z.boolean(),
  /** Why the workspace cannot be used (its database does not open), or null. */
  problem: z.string().nullable(),
});
export type Workspace = z.infer<typeof workspaceSchema>;

export const experimentSchema = z.object({
  name: z.string(),
  createdAt: time,
  runs: z.number(),
  activeRuns: z.number(),
  lastRunAt: nullableTime,
});
export type Experiment = z.infer<typeof experimentSchema>;

export const runErrorSchema = z.object({
  /** `exit`, `signal`, `out_of_memory`, `time_limit`, `not_found`, `no_space`, `supervisor_lost`, ... */
  code: z.string(),
  message: z.string(),
  /** The last lines of the log. */
  tail: z.string(),
});
export type RunError = z.infer<typeof runErrorSchema>;

/** What a cluster's scheduler says of a run's job. */
export const runSchedulerSchema = z.object({
  kind: z.literal('slurm'),
  job: z.number(),
  /** Slurm's own name: PENDING, RUNNING, COMPLETING, ... */
  state: z.string(),
  /** Slurm's own word: Priority, Resources, JobHeldUser. */
  reason: z.string().nullable(),
  priority: z.number().nullable(),
  partition: z.string().nullable(),
  /** Allotted nodes as Slurm writes them: `node[1-2]`. */
  nodes: z.string().nullable(),
  /** Place among the waiting jobs of its partition, from 1. */
  position: z.number().nullable(),
  /** When Slurm expects it to start. */
  expectedStart: nullableTime,
  /** When its time is over. */
  timeLimitAt: nullableTime,
  /** How often it was requeued. */
  restarts: z.number(),
});
export type RunScheduler = z.infer<typeof runSchedulerSchema>;

export const runSchema = z.object({
  id: z.string(),
  /** Counts from 1 in its experiment. */
  number: z.number(),
  displayName: z.string(),
  experiment: z.string(),
  parentId: z.string().nullable(),
  status: z.enum(runStatuses),
  /** Why the run is where it is: "Waiting for one of 2 slots (3 ahead)". */
  statusReason: z.string(),
  compute: z.string(),
  script: z.string(),
  createdAt: time,
  startedAt: nullableTime,
  endedAt: nullableTime,
  /** Wall time of the command in ms; null before it started. */
  durationMs: z.number().nullable(),
  exitCode: z.number().nullable(),
  error: runErrorSchema.nullable(),
  tags: strings,
  /** Attempts so far; 0 before the first. */
  attempts: z.number(),
  /** Null where no cluster's scheduler has it. */
  scheduler: runSchedulerSchema.nullable().default(null),
  snapshotId: z.string().nullable(),
  /** False while the host of a live run cannot be reached; a state of the host, not of the run. */
  hostReachable: z.boolean(),
});
export type Run = z.infer<typeof runSchema>;

export const gitFactsSchema = z.object({
  /** Without user name, password or token. */
  repositoryUri: z.string().nullable(),
  /** Null for a detached HEAD. */
  branch: z.string().nullable(),
  /** Null before the first commit. */
  commit: z.string().nullable(),
  /** The folder differs from the commit. */
  dirty: z.boolean(),
  /** Where the folder is in its repository; empty at the root. */
  folder: z.string().default(''),
  /** A linked worktree. */
  worktree: z.boolean().default(false),
  shallow: z.boolean().default(false),
  /** Whether a remote has the commit, as far as this clone knows; null without a remote or a commit. */
  pushed: z.boolean().nullable().default(null),
  submodules: z
    .array(z.object({ path: z.string(), commit: z.string().nullable(), dirty: z.boolean() }))
    .default([]),
  /** How the repository differs from the commit; null when it does not. */
  changes: z
    .object({
      /** `git apply` at the commit gives the tracked files back: SHA-256 of `git/changes.patch`. */
      patch: z.object({ hash: z.string(), size: z.number() }).nullable(),
      /** Untracked files, by a manifest of paths relative to the repository's root. */
      untracked: z
        .object({ manifest: z.string(), manifestBytes: z.number(), files: z.number(), bytes: z.number() })
        .nullable(),
      /** What could not be kept, and why. */
      problems: z.array(z.string()),
    })
    .nullable()
    .default(null),
});
export type GitFacts = z.infer<typeof gitFactsSchema>;

export const runEventSchema = z.object({
  time,
  attempt: z.number(),
  status: z.enum(runStatuses),
  reason: z.string(),
});
export type RunEvent = z.infer<typeof runEventSchema>;

export const seriesSchema = z.object({
  name: z.string(),
  /** Points stored, non-finite ones too. */
  count: z.number(),
  last: metricValueSchema.nullable(),
  lastStep: z.number().nullable(),
  lastTime: nullableTime,
  /** Over finite values; null when there is none. */
  min: z.number().nullable(),
  max: z.number().nullable(),
  firstStep: z.number().nullable(),
});
export type Series = z.infer<typeof seriesSchema>;

export const snapshotSummarySchema = z.object({
  id: z.string(),
  files: z.number(),
  bytes: z.number(),
});
export type SnapshotSummary = z.infer<typeof snapshotSummarySchema>;

/** A snapshot that a workspace has: of runs, or kept for itself. */
export const snapshotSchema = snapshotSummarySchema.extend({
  createdAt: time,
  /** The folder it was taken of, on the machine it was taken on. */
  sourceDirectory: z.string(),
  git: gitFactsSchema.nullable(),
  /** Runs that have it, newest first; at most 100. */
  runs: z.array(z.string()),
  /** True when it stays without a run until it is deleted. */
  kept: z.boolean(),
});
export type Snapshot = z.infer<typeof snapshotSchema>;

/** How much of a new snapshot the workspace did not have yet. */
export const newSnapshotSchema = snapshotSchema.extend({
  stored: z.object({ blobs: z.number(), bytes: z.number() }),
  warnings: z.array(z.string()),
});
export type NewSnapshot = z.infer<typeof newSnapshotSchema>;

export const snapshotEntrySchema = z.object({
  /** Relative to the snapshot, with `/`. A byte that is no UTF-8 stands as U+F700 + byte. */
  path: z.string(),
  kind: z.enum(['file', 'folder', 'link']),
  /** Bytes of a file, 0 otherwise. */
  size: z.number(),
  /** Permission bits of a file. */
  mode: z.number().nullable(),
  hash: z.string().nullable(),
  /** Where a link points to. */
  target: z.string().nullable(),
});
export type SnapshotEntry = z.infer<typeof snapshotEntrySchema>;

export const searchMatchSchema = z.object({
  path: z.string(),
  /** From 1. */
  line: z.number(),
  /** From 1, in UTF-16 units as editors count. */
  column: z.number(),
  length: z.number(),
  /** The line, or the part of a long one around the match. */
  text: z.string(),
});
export type SearchMatch = z.infer<typeof searchMatchSchema>;

/** How one path differs; `left` is the snapshot that was asked, `right` what it is compared with. */
export const snapshotChangeSchema = z.object({
  path: z.string(),
  /** `modified` content, `mode` alone, or another `kind` of thing. */
  change: z.enum(['added', 'deleted', 'modified', 'mode', 'kind']),
  left: snapshotEntrySchema.nullable(),
  right: snapshotEntrySchema.nullable(),
});
export type SnapshotChange = z.infer<typeof snapshotChangeSchema>;

export const comparisonSchema = z.object({
  changes: z.array(snapshotChangeSchema),
  /** True when there are more than these. */
  more: z.boolean(),
  /** Paths that are the same. */
  same: z.number(),
});
export type Comparison = z.infer<typeof comparisonSchema>;

export const restoredSchema = z.object({
  folder: z.string(),
  files: z.number(),
  bytes: z.number(),
  /** What a person should know: submodules that were left out, a commit that is not pushed. */
  notes: z.array(z.string()),
});
export type Restored = z.infer<typeof restoredSchema>;

/** Something to know before a folder is submitted. */
export const concernSchema = z.object({
  /** `refused`: the snapshot cannot be taken like this. */
  kind: z.enum(['refused', 'secret', 'argument', 'editable_install', 'left_out']),
  /** Relative to the folder. */
  path: z.string(),
  /** A sentence: what it is, and what it means. */
  message: z.string(),
  action: z.string().optional(),
});
export type Concern = z.infer<typeof concernSchema>;

export const snapshotPreviewSchema = z.object({
  files: z.number(),
  bytes: z.number(),
  /** Above 300 MB or 2,000 files: what Azure ML v1 refused, and what a person should look at. */
  large: z.boolean(),
  /** Name of the ignore file that counts in the folder (`.amlignore`, `.gitignore`), whether or not it is there. */
  ignoreFile: z.string(),
  /** The heaviest folders and files, a parent before what is in it, the heaviest first. */
  heaviest: z.array(
    z.object({ path: z.string(), folder: z.boolean(), files: z.number(), bytes: z.number() }),
  ),
  concerns: z.array(concernSchema),
});
export type SnapshotPreview = z.infer<typeof snapshotPreviewSchema>;

/** A line of a dry run. */
export const dryRunLineSchema = z.union([
  z.object({ taken: z.string(), kind: z.enum(['file', 'folder', 'link']), size: z.number() }),
  z.object({
    leftOut: z.string(),
    folder: z.boolean(),
    /** `ignored` by a line of a file, by one of Runyard's `default`s, or because it is no file (`special`). */
    reason: z.enum(['ignored', 'default', 'special', 'home']),
    /** The ignore file (relative to the folder where it is inside), or what the default is for. */
    source: z.string(),
    line: z.number().nullable(),
    pattern: z.string().nullable(),
  }),
  z.object({ files: z.number(), bytes: z.number() }),
]);
export type DryRunLine = z.infer<typeof dryRunLineSchema>;

export const garbageSchema = z.object({
  /** What was removed. */
  blobs: z.number(),
  bytes: z.number(),
  /** What stays. */
  kept: z.number(),
});
export type Garbage = z.infer<typeof garbageSchema>;

export const runDetailSchema = runSchema.extend({
  parameters: strings,
  /** Immutable facts, Azure's names: `azureml.git.commit`, `ContentSnapshotId`, ... */
  properties: strings,
  configuration: runConfigurationSchema,
  /** The folder it was submitted from, on the submitter's machine. */
  sourceDirectory: z.string(),
  command: z.array(z.string()),
  interpreter: z.string(),
  environment: runEnvironmentRefSchema,
  git: gitFactsSchema.nullable(),
  snapshot: snapshotSummarySchema.nullable(),
  events: z.array(runEventSchema),
  series: z.array(seriesSchema),
  /** Journal lines that could not be read; each costs that line only. */
  badJournalLines: z.number(),
  /** The first such line's reason, so that the person can find it. */
  badJournalReason: z.string().nullable(),
  warnings: z.array(z.string()),
});
export type RunDetail = z.infer<typeof runDetailSchema>;

/**
 * A part of a series at a resolution: parallel arrays in order of arrival. Every point is a real point of
 * the series; where points were left out, the minimum and the maximum of each part stay, and one
 * non-finite value of each part that has any.
 */
export const windowSchema = z.object({
  name: z.string(),
  /** Points of the series within from..to; a lower bound's complement is not computed. */
  total: z.number(),
  /** True when not every point is here. */
  sampled: z.boolean(),
  steps: z.array(z.number()),
  times: z.array(time),
  values: z.array(metricValueSchema),
});
export type MetricWindow = z.infer<typeof windowSchema>;

export const artifactSchema = z.object({
  path: z.string(),
  size: z.number(),
  modifiedAt: time,
  /** True once the bytes are in the workspace; otherwise they are read from the host. */
  stored: z.boolean(),
});
export type Artifact = z.infer<typeof artifactSchema>;

export const documentSchema = z.object({
  type: z.string(),
  name: z.string(),
  step: z.number().nullable(),
  time,
  value: z.unknown(),
});
export type RunDocument = z.infer<typeof documentSchema>;

export const imageSchema = z.object({
  name: z.string(),
  path: z.string(),
  step: z.number().nullable(),
  time,
});
export type RunImage = z.infer<typeof imageSchema>;

export const monitorSampleSchema = z.object({
  time,
  /** Cores in use by the run. */
  cpu: z.number().nullable(),
  memoryBytes: z.number().nullable(),
  hostCpu: z.number().nullable(),
  hostMemoryBytes: z.number().nullable(),
  gpus: z.array(z.object({ index: z.number(), utilisation: z.number(), memoryBytes: z.number() })),
});
export type MonitorSample = z.infer<typeof monitorSampleSchema>;

/** A run configuration found in a folder, or the reason why it cannot be used. */
export const foundConfigurationSchema = z.object({
  /** `digits` for `.runyard/digits.runconfig`. */
  name: z.string(),
  /** Relative to the folder. */
  path: z.string(),
  configuration: runConfigurationSchema.nullable(),
  /** `.runyard/digits.runconfig:4: ...`: keys that are not known. */
  warnings: z.array(z.string()),
  problem: z.string().nullable(),
});
export type FoundConfiguration = z.infer<typeof foundConfigurationSchema>;

export const errorBodySchema = z.object({
  code: z.enum(Object.keys(errorStatus) as [ErrorCode, ...ErrorCode[]]),
  message: z.string(),
  action: z.string().optional(),
});
