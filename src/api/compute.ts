import * as z from 'zod';

/** This machine, as a compute target; it is always there. */
export const localCompute = 'local';

/** As experiments and files are named; "local" is taken. */
export const computeNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'use letters, digits, ".", "_" and "-", at most 63')
  .refine((name) => name !== localCompute, { message: '"local" is this machine' });

/** A name or address, never an option of a program. */
const hostName = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[^-\s/\\'"`$;&|<>(){}*?!#~,@\p{Cc}][^\s/\\'"`$;&|<>(){}*?!#~,@\p{Cc}]*$/u, 'is no host name')
  .refine((name) => !/^[^:]*:[^:]*$/.test(name), {
    message: 'is no host name: the port is a number, and stands apart',
  });
const userName = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[^-\s'"`$;&|<>(){}*?!#\p{Cc}][^\s'"`$;&|<>(){}*?!#\p{Cc}]*$/u, 'is no user name');
const line = z
  .string()
  .max(4096)
  .regex(/^[^\p{Cc}]*$/u, 'holds a control character');

/** `auto`: the built-in client, and the system's `ssh` where it has no answer. */
export const transports = ['auto', 'builtin', 'system'] as const;

const keepDays = z.number().min(0).max(36_500);
const keepBytes = z.number().int().min(0);

/** How long run folders and cached blobs stay on a host; what exists only there always stays. */
export const keepSchema = z.strictObject({
  /** Days after which the folder of a collected run goes; 0 keeps none longer than needed. */
  days: keepDays.default(14),
  /** Bytes above which the oldest go earlier. */
  bytes: keepBytes.default(50_000_000_000),
});
export type Keep = z.infer<typeof keepSchema>;

/** Who says when a run starts: the host's own queue of ours, or the cluster's. */
export const schedulers = ['direct', 'slurm'] as const;

/** One word of sbatch, never another option. */
const slurmWord = z
  .string()
  .min(1)
  .max(1024)
  .regex(/^[^\s\p{Cc}][^\p{Cc}]*$/u, 'holds a control character or begins with white space');

/** A line as it stands behind `#SBATCH` in a job's script. */
const sbatchLine = z
  .string()
  .max(1024)
  .regex(/^--?[A-Za-z][^\p{Cc}]*$/u, 'is no line of sbatch: it begins with "-" or "--"');

/** What a job asks Slurm for. Null: what the target says, else the cluster's own default. */
export const slurmOptionsSchema = z.strictObject({
  partition: slurmWord.nullable().default(null),
  account: slurmWord.nullable().default(null),
  qos: slurmWord.nullable().default(null),
  constraint: slurmWord.nullable().default(null),
  dependency: slurmWord.nullable().default(null),
  /** As sbatch has it: `30` (minutes), `2:00:00`, `1-12:00:00`. Null: the run's `maxRunDurationSeconds`, if any. */
  time: slurmWord.nullable().default(null),
  cpusPerTask: z.number().int().min(1).max(100_000).nullable().default(null),
  /** Of each node: `16G`. */
  memory: slurmWord.nullable().default(null),
  /** `gpu:a100:2`. Null: `gpu:N` with the GPUs that the run asks for. */
  gres: slurmWord.nullable().default(null),
  /** More lines of the job's head, without `#SBATCH`: `--exclusive`. */
  options: z.array(sbatchLine).max(100).default([]),
  /** Shell lines of the job before anything else, after the target's `setup`. */
  setup: z.array(line).max(100).default([]),
  /** How MPI processes are started: by mpirun where there is one, else by srun. */
  mpiLauncher: z.enum(['auto', 'mpirun', 'srun']).default('auto'),
});
export type SlurmOptions = z.infer<typeof slurmOptionsSchema>;

/** The same, where what is absent stays as it is. */
export const slurmChangesSchema = z.strictObject({
  partition: slurmWord.nullish(),
  account: slurmWord.nullish(),
  qos: slurmWord.nullish(),
  constraint: slurmWord.nullish(),
  dependency: slurmWord.nullish(),
  time: slurmWord.nullish(),
  cpusPerTask: z.number().int().min(1).max(100_000).nullish(),
  memory: slurmWord.nullish(),
  gres: slurmWord.nullish(),
  options: z.array(sbatchLine).max(100).optional(),
  setup: z.array(line).max(100).optional(),
  mpiLauncher: z.enum(['auto', 'mpirun', 'srun']).optional(),
});
export type SlurmChanges = z.infer<typeof slurmChangesSchema>;

/** What a person sets of a target; kept in `<home>/computes.json`. Holds no secret. */
export const computeSettingsSchema = z.strictObject({
  /** An alias of the ssh configuration, a host name or an address; null: this machine, as a cluster's login node. */
  host: hostName.nullable(),
  /** Where these are null the ssh configuration decides. */
  user: userName.nullable().default(null),
  port: z.number().int().min(1).max(65_535).nullable().default(null),
  transport: z.enum(transports).default('auto'),
  /** Another ssh configuration file than `~/.ssh/config`. */
  configFile: line.nullable().default(null),
  /** Our folder on the host; `~` is the home folder there. */
  root: line.min(1).default('~/.runyard/host'),
  /** Shell lines before anything else is started: `module load cuda`, `conda activate ml`. */
  setup: z.array(line).max(100).default([]),
  /** The Python of runs; null: python3 of the PATH after the set-up lines. */
  interpreter: line.min(1).nullable().default(null),
  /** Runs at a time; null: one for each GPU, else half of the CPUs. */
  slots: z.number().int().min(1).max(1024).nullable().default(null),
  /** Runs are started under `systemd-run --user`, where the host ends what a session leaves. */
  detach: z.enum(['process', 'systemd']).default('process'),
  keep: keepSchema.default(keepSchema.parse({})),
  scheduler: z.enum(schedulers).default('direct'),
  /** What jobs ask for where their run configuration does not say it. */
  slurm: slurmOptionsSchema.default(slurmOptionsSchema.parse({})),
});
export type ComputeSettings = z.infer<typeof computeSettingsSchema>;
/** Of a target that is reached over SSH. */
export type SshSettings = ComputeSettings & { host: string };

export function isOverSsh(settings: ComputeSettings): settings is SshSettings {
  return settings.host !== null;
}

export const addComputeSchema = computeSettingsSchema.extend({ name: computeNameSchema });
export type AddComputeRequest = z.input<typeof addComputeSchema>;

/** What is absent stays as it is; null sets back to what the default is. */
export const updateComputeSchema = z.strictObject({
  host: hostName.optional(),
  user: userName.nullish(),
  port: z.number().int().min(1).max(65_535).nullish(),
  transport: z.enum(transports).optional(),
  configFile: line.nullish(),
  root: line.min(1).optional(),
  setup: z.array(line).max(100).optional(),
  interpreter: line.min(1).nullish(),
  slots: z.number().int().min(1).max(1024).nullish(),
  detach: z.enum(['process', 'systemd']).optional(),
  keep: z.strictObject({ days: keepDays.optional(), bytes: keepBytes.optional() }).optional(),
  scheduler: z.enum(schedulers).optional(),
  slurm: slurmChangesSchema.optional(),
});
export type UpdateComputeRequest = z.input<typeof updateComputeSchema>;

export const connectComputeSchema = z.strictObject({
  /** The caller's ssh agent (`SSH_AUTH_SOCK`): the server's own may be of a window that is long gone. */
  agentSocket: z.string().optional(),
});

/** What a test is told; `environment` says which container engine is meant on this machine. Never kept. */
export const testComputeSchema = connectComputeSchema.extend({
  environment: z.record(z.string(), z.string()).optional(),
});

/** A connection that a face tries by itself: what it knows it answers, nobody else is asked. */
export const connectNowSchema = connectComputeSchema.extend({ silent: z.boolean().default(false) });

export const forgetSecretsSchema = z.strictObject({
  /** Keys as prompts name them. */
  keys: z.array(z.string().max(16_384)).max(1000),
});

/** 0..1 and bytes. */
export const gpuLoadSchema = z.object({
  index: z.number(),
  name: z.string().nullable(),
  utilisation: z.number().nullable(),
  memoryUsed: z.number().nullable(),
  memoryTotal: z.number().nullable(),
});

export const computeLoadSchema = z.object({
  /** 0..1 of all CPUs. */
  cpu: z.number().nullable(),
  memoryUsed: z.number().nullable(),
  memoryTotal: z.number().nullable(),
  /** Bytes a user may still write where our folder is. */
  diskFree: z.number().nullable(),
  gpus: z.array(gpuLoadSchema),
  running: z.number(),
  queued: z.number(),
  slots: z.number(),
});
export type ComputeLoad = z.infer<typeof computeLoadSchema>;

/** What the host said of itself when it was last connected. */
export const computeFactsSchema = z.object({
  hostname: z.string(),
  os: z.string(),
  arch: z.string(),
  python: z.string(),
  cpus: z.number(),
  memoryBytes: z.number(),
  gpus: z.array(z.object({ index: z.number(), name: z.string().nullable() })),
  /** Our folder there, in full. */
  root: z.string(),
  /** Jobs can be given to Slurm from here: its version. */
  slurm: z.string().nullable().default(null),
});
export type ComputeFacts = z.infer<typeof computeFactsSchema>;

const shares = z.object({ total: z.number(), idle: z.number(), used: z.number(), unavailable: z.number() });

/** A partition of a cluster. Counts; bytes; seconds. */
export const partitionSchema = z.object({
  name: z.string(),
  default: z.boolean(),
  /** Slurm's own word: UP, DOWN, DRAIN, INACTIVE. */
  state: z.string(),
  /** Null: none. */
  timeLimitSeconds: z.number().nullable(),
  nodes: shares,
  cpus: shares,
  /** Of its largest node. */
  cpusPerNode: z.number().nullable(),
  memoryBytes: z.number().nullable(),
  gpus: z.array(z.object({ type: z.string().nullable(), total: z.number(), used: z.number().nullable() })),
});
export type Partition = z.infer<typeof partitionSchema>;

/** A cluster as Slurm shows it; looked at every twenty seconds at most. */
export const clusterSchema = z.object({
  version: z.string().nullable(),
  name: z.string().nullable(),
  partitions: z.array(partitionSchema),
  /** Jobs of this user. */
  running: z.number(),
  pending: z.number(),
  /** Why Slurm does not answer, and what to do. */
  problem: z.string().nullable(),
  action: z.string().nullable(),
});
export type Cluster = z.infer<typeof clusterSchema>;

export const computeStates = [
  /** Nobody needed it yet. */
  'idle',
  'connecting',
  'connected',
  /** Tried again by itself, with growing pauses. */
  'unreachable',
  /** Waits for a person: a password, a host key, something to be mended. Not tried again by itself. */
  'attention',
] as const;

export const computeSchema = z.object({
  name: z.string(),
  kind: z.enum(['local', 'ssh']),
  /** Null for this machine. */
  settings: computeSettingsSchema.nullable(),
  /** `user@host:port` as it is connected to, for people. */
  address: z.string().nullable(),
  state: z.enum(computeStates),
  /** Why it is unreachable or needs attention: a sentence, and what to do. */
  problem: z.string().nullable(),
  action: z.string().nullable(),
  /** Under which a face may keep the secret that is missing; null when none is. */
  secretKey: z.string().nullable(),
  /** `builtin` or `system`, while connected. */
  transport: z.string().nullable(),
  facts: computeFactsSchema.nullable(),
  load: computeLoadSchema.nullable(),
  /** Where the scheduler is Slurm, and the target is connected. */
  cluster: clusterSchema.nullable().default(null),
  /** Runs of all workspaces that have not ended. */
  activeRuns: z.number(),
});
export type Compute = z.infer<typeof computeSchema>;

export const stepStates = ['ok', 'warning', 'failed', 'skipped'] as const;

/** One step of *Test Connection*. */
export const connectionStepSchema = z.object({
  /** `configuration`, `connect`, `host-key`, `sign-in`, `setup`, `python`, `root`, `agent`, `survival`, ... */
  id: z.string(),
  title: z.string(),
  state: z.enum(stepStates),
  detail: z.string(),
  /** What to do about it; null when nothing is to be done. */
  action: z.string().nullable(),
  ms: z.number(),
  /** A change of settings that mends it, which a face offers. */
  fix: updateComputeSchema.nullable(),
});
export type ConnectionStep = z.infer<typeof connectionStepSchema>;

export const connectionTestSchema = z.object({
  /** No step failed. */
  ok: z.boolean(),
  steps: z.array(connectionStepSchema),
});
export type ConnectionTest = z.infer<typeof connectionTestSchema>;

/** What a clean-up has removed from a host. */
export const cleanedSchema = z.object({
  runs: z.number(),
  blobs: z.number(),
  /** Built environments. */
  environments: z.number().default(0),
  bytes: z.number(),
});
export type Cleaned = z.infer<typeof cleanedSchema>;

/** A host that the ssh configuration names. */
export const computeCandidateSchema = z.object({
  host: z.string(),
  user: z.string().nullable(),
  hostName: z.string().nullable(),
  port: z.number().nullable(),
  /** Names of targets that use it already. */
  usedBy: z.array(z.string()),
});
export type ComputeCandidate = z.infer<typeof computeCandidateSchema>;

export const promptKinds = ['password', 'passphrase', 'keyboard-interactive', 'host-key', 'notice'] as const;

/**
 * A question only a person (or their secret store) can answer, asked while a host is connected to. The first
 * answer counts; an answer never stands in an event, a record or a log.
 */
export const promptSchema = z.object({
  id: z.string(),
  compute: z.string(),
  kind: z.enum(promptKinds),
  /** "Password of mia@gpu.example.org". */
  title: z.string(),
  /** What the host wants to say, or the fingerprint and what it means; may be empty. */
  message: z.string(),
  /** One answer each; a `host-key` and a `notice` have none: they are accepted or dismissed. */
  fields: z.array(z.object({ label: z.string(), secret: z.boolean() })),
  /** A face may keep the answer in its secret store under this key; null: never. */
  secretKey: z.string().nullable(),
  /** The last answer was refused: what is kept under `secretKey` is wrong. */
  refused: z.boolean(),
  /** Nobody asked for the connection just now: a face answers from its secret store or stays silent. */
  background: z.boolean(),
});
export type Prompt = z.infer<typeof promptSchema>;

export const answerPromptSchema = z.union([
  /** As many as there are fields. */
  z.strictObject({ answers: z.array(z.string().max(16_384)).max(20) }),
  z.strictObject({ dismiss: z.literal(true) }),
]);
export type AnswerPromptRequest = z.input<typeof answerPromptSchema>;
