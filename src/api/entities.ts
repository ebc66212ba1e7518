import * as z from 'zod';
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
  snapshotId: z.string().nullable(),
  /** False while the host of a live run cannot be reached; a state of the host, not of the run. */
  hostReachable: z.boolean(),
});
export type Run = z.infer<typeof runSchema>;

export const gitFactsSchema = z.object({
  repositoryUri: z.string().nullable(),
  branch: z.string().nullable(),
  commit: z.string().nullable(),
  dirty: z.boolean(),
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

export const runDetailSchema = runSchema.extend({
  parameters: strings,
  /** Immutable facts, Azure's names: `azureml.git.commit`, `ContentSnapshotId`, ... */
  properties: strings,
  configuration: runConfigurationSchema,
  /** The folder it was submitted from, on the submitter's machine. */
  sourceDirectory: z.string(),
  command: z.array(z.string()),
  interpreter: z.string(),
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

export const computeSchema = z.object({
  name: z.string(),
  kind: z.enum(['local']),
  state: z.enum(['idle', 'connecting', 'connected', 'unreachable']),
  problem: z.string().nullable(),
  slots: z.number().nullable(),
  running: z.number().nullable(),
  queued: z.number().nullable(),
});
export type Compute = z.infer<typeof computeSchema>;

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
