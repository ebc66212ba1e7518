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
  /** The submitter's environment: handed to a local run, never kept in a record. */
  environment: environmentSchema.default({}),
  /** Identifies this submit: sent twice (a lost answer), it makes one run. */
  requestId: z.string().max(64).optional(),
});
export type SubmitRequest = z.input<typeof submitSchema>;

export const rerunSchema = z.object({
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

export const configurationsQuerySchema = z.object({ folder: absolutePath });

export const writeConfigurationSchema = z.object({
  folder: absolutePath,
  name: z.string().regex(/^[\w][\w .-]{0,63}$/, 'use letters, digits, spaces, ".", "_" and "-"'),
  configuration: runConfigurationSchema,
});

export const drainSchema = z.object({ reason: z.string().default('asked to stop') });
