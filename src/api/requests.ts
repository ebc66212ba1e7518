import * as z from 'zod';
import { runConfigurationSchema } from './run-configuration.ts';
import { runStatuses } from './run-status.ts';

const strings = z.record(z.string(), z.string());

/** What the system can hand to a process. Values are never shown: they may be secrets. */
const environmentSchema = strings.superRefine((variables, context) => {
  for (const [name, value] of Object.entries(variables)) {
    if (name === '' || /[=\0]/.test(name))
      context.addIssue({ code: 'custom', message: `"${name}" cannot be the name of a variable` });
    else if (value.includes('\0') || /\p{Surrogate}/u.test(value))
      context.addIssue({ code: 'custom', message: `the value of ${name} cannot be given to a process` });
  }
});

/** The server's own folder is nobody's. */
const absolutePath = z.string().regex(/^(?:\/|[A-Za-z]:[\\/])/, 'is not an absolute path');

/** Names of workspaces are folder names. */
export const workspaceNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'use letters, digits, ".", "_" and "-", at most 63 of them');

/** Experiments may have any name a person can read, as in MLflow. */
export const experimentNameSchema = z
  .string()
  .trim()
  .min(1)
  .max(255)
  .regex(/^[^\p{Cc}]*$/u, 'control characters cannot be part of an experiment name');

/** The same rule on both sides of the agent channel. */
export const runIdSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$/, 'is not a run id');

export const submitSchema = z.object({
  /** Absolute path of the folder to snapshot. */
  folder: absolutePath,
  /** Name of a run configuration in the folder (`digits` for `.runyard/digits.runconfig`). */
  configurationName: z.string().max(200).optional(),
  /** Or the configuration itself; its members win over the named one's. */
  configuration: runConfigurationSchema.partial().optional(),
  experiment: experimentNameSchema.optional(),
  displayName: z.string().max(255).optional(),
  tags: strings.optional(),
  /** Interpreter the person has selected; the configuration's own wins. */
  interpreter: z.string().optional(),
  /**
   * The environment, whatever the configuration says: `name`, `name:version`, or the absolute path of a file that
   * `createEnvironment` takes.
   */
  useEnvironment: z.string().max(4096).optional(),
  /** The image that the packages of that file go into. */
  useImage: z.string().max(4096).optional(),
  /** The submitter's environment: handed to a local run, never kept in a record. */
  environment: environmentSchema.default({}),
  /** Identifies this submit: sent twice (a lost answer), it makes one run. */
  requestId: z.string().max(64).optional(),
});
export type SubmitRequest = z.input<typeof submitSchema>;

export const rerunSchema = z.object({
  /** What is to be different; everything else is as in the run that is run again. */
  configuration: runConfigurationSchema.partial().optional(),
  experiment: experimentNameSchema.optional(),
  displayName: z.string().max(255).optional(),
  interpreter: z.string().optional(),
  /** As in a submit. */
  useEnvironment: z.string().max(4096).optional(),
  useImage: z.string().max(4096).optional(),
  environment: environmentSchema.default({}),
  requestId: z.string().max(64).optional(),
});

export const runListQuerySchema = z.object({
  experiment: z.string().optional(),
  status: z.enum(runStatuses).optional(),
  active: z.enum(['true', 'false']).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  /** Opaque; from the page before. */
  cursor: z.string().optional(),
});

export const updateRunSchema = z.object({
  displayName: z.string().min(1).max(255).optional(),
  /** Set; a null value removes the tag. */
  tags: z.record(z.string(), z.string().nullable()).optional(),
});

export const windowsSchema = z.object({
  names: z.array(z.string()).min(1).max(1000),
  /** Bounds of the axis, inclusive; absent: open. */
  from: z.number().optional(),
  to: z.number().optional(),
  axis: z.enum(['step', 'time']).default('step'),
  /** At most about this many points for each name. */
  points: z.number().int().min(4).max(20_000).default(2000),
});
export type WindowsRequest = z.input<typeof windowsSchema>;

export const fileQuerySchema = z.object({
  path: z.string().min(1),
  offset: z.coerce.number().int().min(0).default(0),
  /** Bytes; the answer's body may be shorter at the end of the file. */
  length: z.coerce
    .number()
    .int()
    .min(1)
    .max(16 * 1024 * 1024)
    .default(1024 * 1024),
});

export const fetchArtifactsSchema = z.object({
  /** Absent: every file that is on the host only. */
  paths: z.array(z.string().min(1)).max(10_000).optional(),
});

/** A path inside a snapshot: `/` between names, none in front; `` is the folder itself. */
const snapshotPath = z
  .string()
  .max(16_384)
  .refine((value) => value === '' || value.split('/').every((part) => !['', '.', '..'].includes(part)), {
    message: 'is not a path inside the snapshot',
  });

export const previewSnapshotSchema = z.object({
  folder: absolutePath,
  /** What is going to run there, so that its arguments can be looked at. */
  configurationName: z.string().max(200).optional(),
  configuration: runConfigurationSchema.partial().optional(),
  interpreter: z.string().optional(),
  /** The submitter's PATH: where an interpreter without a folder is looked for. */
  path: z.string().optional(),
});
export type PreviewSnapshotRequest = z.input<typeof previewSnapshotSchema>;

export const dryRunSchema = z.object({ folder: absolutePath });

export const ignorePathSchema = z.object({ folder: absolutePath, path: snapshotPath.min(1) });

export const createSnapshotSchema = z.object({ folder: absolutePath });

export const snapshotEntriesQuerySchema = z.object({
  /** The folder whose entries are asked for, or a file. */
  path: snapshotPath.default(''),
});

export const snapshotFileQuerySchema = z.object({
  path: snapshotPath.min(1),
  offset: z.coerce.number().int().min(0).default(0),
  length: z.coerce
    .number()
    .int()
    .min(1)
    .max(16 * 1024 * 1024)
    .default(1024 * 1024),
});

export const searchSnapshotSchema = z.object({
  query: z.string().min(1).max(1000),
  regex: z.boolean().default(false),
  caseSensitive: z.boolean().default(false),
  limit: z.number().int().min(1).max(10_000).default(1000),
});

/** One of both: another snapshot of the workspace, or a folder as it is now. */
export const compareSnapshotSchema = z
  .object({ snapshot: z.string().optional(), folder: absolutePath.optional() })
  .refine(({ snapshot, folder }) => (snapshot === undefined) !== (folder === undefined), {
    message: 'say either a snapshot or a folder',
  });

export const restoreSnapshotSchema = z.object({
  /** Where to; must not be there, or be empty. */
  folder: absolutePath,
  /**
   * `folder`: the snapshot's files. `worktree`: a new git worktree at the recorded commit, with the recorded
   * changes and untracked files.
   */
  as: z.enum(['folder', 'worktree']).default('folder'),
});

export const configurationsQuerySchema = z.object({ folder: absolutePath });

export const writeConfigurationSchema = z.object({
  folder: absolutePath,
  name: z.string().regex(/^[\w][\w .-]{0,63}$/, 'use letters, digits, spaces, ".", "_" and "-"'),
  configuration: runConfigurationSchema,
});

export const drainSchema = z.object({ reason: z.string().default('asked to stop') });
