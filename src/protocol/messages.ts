import * as z from 'zod';

/** The version of docs/agent-protocol.md that this side speaks. */
export const protocolVersion = 1;

/** Statuses that an agent reports; a part of the run statuses. */
export const attemptStates = [
  'Queued',
  'Preparing',
  'Starting',
  'Running',
  'CancelRequested',
  'Finalizing',
  'Completed',
  'Failed',
  'Canceled',
  /** The scheduler has taken it back into its queue: the next attempt goes on. */
  'Requeued',
] as const;

export const manifestEntrySchema = z.union([
  z.object({
    path: z.string(),
    /** Permission bits. */
    mode: z.number().int().min(0).max(0o777),
    size: z.number().int().min(0),
    hash: z.string().regex(/^[0-9a-f]{64}$/),
  }),
  z.object({ path: z.string(), link: z.string() }),
  z.object({ path: z.string(), dir: z.literal(true) }),
]);
export type ManifestEntry = z.infer<typeof manifestEntrySchema>;

export const manifestSchema = z.object({ version: z.literal(1), entries: z.array(manifestEntrySchema) });
export type Manifest = z.infer<typeof manifestSchema>;

/** What is built on a host, once, whatever runs ask for it. `files` are written beside those of `context`. */
const recipeFiles = {
  files: z.record(z.string(), z.string()),
  context: z.string().nullable(),
};
const venvRecipeSchema = z.object({
  kind: z.literal('venv'),
  ...recipeFiles,
  interpreter: z.string().nullable(),
});
export const recipeSchema = z.discriminatedUnion('kind', [
  venvRecipeSchema,
  z.object({ kind: z.literal('conda'), ...recipeFiles, otherwise: venvRecipeSchema.nullable() }),
  z.object({ kind: z.literal('image'), ...recipeFiles, base: z.string().nullable() }),
]);
export type Recipe = z.infer<typeof recipeSchema>;

/** Manifests of files that something is built of. */
export function contextsOf(recipe: Recipe | null | undefined): string[] {
  const contexts = [recipe?.context, recipe?.kind === 'conda' ? recipe.otherwise?.context : null];
  return [...new Set(contexts.filter((one): one is string => Boolean(one)))];
}

/** How the engine is told to run it; null: its own default. */
export const containerSchema = z.object({
  /** Null: the recipe's. */
  image: z.string().nullable(),
  shm_size: z.string().nullable(),
  memory: z.string().nullable(),
  cpus: z.number().nullable(),
  network: z.string().nullable(),
  arguments: z.array(z.string()),
  /** All GPUs of the host where the run leases none. */
  all_gpus: z.boolean(),
});

export const specEnvironmentSchema = z.object({
  hash: z.string(),
  name: z.string().nullable(),
  version: z.number().nullable(),
  /** For people. */
  label: z.string(),
  recipe: recipeSchema.nullable(),
  conda_environment: z.string().nullable(),
  /** What takes the place of the command's first word; null: the environment's own Python. */
  interpreter: z.string().nullable(),
  container: containerSchema.nullable(),
  /** False: fail where it is not built yet. */
  prepare: z.boolean(),
});
export type SpecEnvironment = z.infer<typeof specEnvironmentSchema>;

/** Several processes of one run, one after the other over its nodes. */
export const distributedSchema = z.object({
  /** `tasks`: the same command that often, and nothing but the variables of the others. */
  kind: z.enum(['tasks', 'mpi', 'pytorch', 'tensorflow']),
  /** Of all nodes together; the first nodes have one more where it does not come out even. */
  processes: z.number().int().min(1),
  /** TensorFlow: so many of the processes, the last ones, are parameter servers. */
  parameter_servers: z.number().int().min(0),
  /** `gloo`, `nccl`: told as `RUNYARD_BACKEND`; null: the script's own choice. */
  backend: z.string().nullable(),
  /** Whose metrics are kept. */
  log_ranks: z.enum(['first', 'all']),
});
export type Distributed = z.infer<typeof distributedSchema>;

/** What sbatch is asked for, where the host's scheduler is Slurm; null: the cluster's own default. */
export const slurmSpecSchema = z.object({
  partition: z.string().nullable(),
  account: z.string().nullable(),
  qos: z.string().nullable(),
  constraint: z.string().nullable(),
  dependency: z.string().nullable(),
  /** As sbatch's --time has it. */
  time: z.string().nullable(),
  cpus_per_task: z.number().int().min(1).nullable(),
  /** Of a node, as --mem has it. */
  memory: z.string().nullable(),
  /** As --gres has it; `resources.gpus` of each node where it is null. */
  gres: z.string().nullable(),
  /** Lines of the script's head, without `#SBATCH`. */
  options: z.array(z.string()),
  /** Shell lines of the job before anything else. */
  setup: z.array(z.string()),
  /** How MPI processes are started on several nodes. */
  mpi_launcher: z.enum(['auto', 'mpirun', 'srun']),
});
export type SlurmSpec = z.infer<typeof slurmSpecSchema>;

export const specSchema = z.object({
  protocol: z.literal(protocolVersion),
  run: z.string(),
  attempt: z.number().int().min(1),
  experiment: z.string(),
  workspace: z.string(),
  manifest: z.string(),
  command: z.array(z.string()).nullable(),
  shell: z.string().nullable(),
  /** The command's first word stands for the environment's Python. */
  python: z.boolean().default(false),
  /** Null: the command runs on the host as it is. */
  environment: specEnvironmentSchema.nullable().default(null),
  variables: z.record(z.string(), z.string()),
  inherit_environment: z.boolean(),
  /** GPUs are those of each node. */
  resources: z.object({
    slots: z.number().int().min(1),
    gpus: z.number().int().min(0),
    nodes: z.number().int().min(1).default(1),
  }),
  /** Null: one process. */
  distributed: distributedSchema.nullable().default(null),
  /** Null: the host's own queue. */
  slurm: slurmSpecSchema.nullable().default(null),
  max_seconds: z.number().nullable(),
  grace_seconds: z.number(),
  monitor_seconds: z.number(),
});
export type Spec = z.infer<typeof specSchema>;

const attemptErrorSchema = z.object({ code: z.string(), message: z.string(), tail: z.string() });

/** What Slurm says of an attempt's job; `serve` fills it in. */
export const slurmStatusSchema = z.object({
  job: z.number(),
  /** PENDING, RUNNING, COMPLETING, ...: Slurm's own names. */
  state: z.string(),
  /** Slurm's own word: Priority, Resources, JobHeldUser; null when it says none. */
  reason: z.string().nullish(),
  priority: z.number().nullish(),
  partition: z.string().nullish(),
  /** Allotted nodes as Slurm writes them: `node[1-2]`. */
  nodes: z.string().nullish(),
  /** Place among the waiting jobs of its partition, from 1. */
  position: z.number().nullish(),
  /** Epoch ms at which Slurm expects it to start. */
  expected_start: z.number().nullish(),
  /** Epoch ms at which its time is over. */
  time_limit_at: z.number().nullish(),
  restarts: z.number().nullish(),
});
export type SlurmStatus = z.infer<typeof slurmStatusSchema>;

export const attemptStatusSchema = z.object({
  state: z.enum(attemptStates),
  since: z.number(),
  reason: z.string(),
  heartbeat: z.number(),
  exit_code: z.number().nullish(),
  signal: z.union([z.number(), z.string()]).nullish(),
  error: attemptErrorSchema.nullish(),
  started: z.number().nullish(),
  ended: z.number().nullish(),
  queue: z.object({ position: z.number(), ahead: z.number(), slots: z.number() }).partial().nullish(),
  gpus: z.array(z.number()).nullish(),
  slurm: slurmStatusSchema.nullish(),
  /** Where the state is Requeued: the attempt that goes on. */
  next: z.number().int().nullish(),
});
export type AttemptStatus = z.infer<typeof attemptStatusSchema>;

export const attemptEventSchema = z.object({
  n: z.number().int(),
  t: z.number().min(-8.64e15).max(8.64e15),
  state: z.enum(attemptStates),
  reason: z.string(),
  exit_code: z.number().nullish(),
  signal: z.union([z.number(), z.string()]).nullish(),
  error: attemptErrorSchema.nullish(),
  next: z.number().int().nullish(),
});
export type AttemptEvent = z.infer<typeof attemptEventSchema>;

export const monitorRecordSchema = z.object({
  n: z.number().int(),
  t: z.number(),
  cpu: z.number().nullish(),
  rss: z.number().nullish(),
  host_cpu: z.number().nullish(),
  host_memory: z.number().nullish(),
  gpus: z.array(z.object({ index: z.number(), utilisation: z.number(), memory: z.number() })).nullish(),
  disk_free: z.number().nullish(),
});
export type MonitorRecord = z.infer<typeof monitorRecordSchema>;

export const fileEntrySchema = z.object({
  path: z.string(),
  size: z.number().int().min(0),
  mtime: z.number(),
  sha256: z.string().nullish(),
});
export type FileEntry = z.infer<typeof fileEntrySchema>;

export const hostLoadSchema = z.object({
  cpu: z.number().nullish(),
  memory_used: z.number().nullish(),
  memory_total: z.number().nullish(),
  disk_free: z.number().nullish(),
  gpus: z
    .array(
      z.object({
        index: z.number(),
        utilisation: z.number().nullish(),
        memory_used: z.number().nullish(),
        memory_total: z.number().nullish(),
      }),
    )
    .nullish(),
  running: z.number(),
  queued: z.number(),
  slots: z.number(),
});
export type HostLoad = z.infer<typeof hostLoadSchema>;

/** What the agent says of its host; sizes in bytes. */
export const factsSchema = z.object({
  hostname: z.string(),
  os: z.string(),
  arch: z.string(),
  python: z.object({ version: z.string(), executable: z.string() }),
  cpus: z.number(),
  memory: z.number(),
  gpus: z.array(z.object({ index: z.number(), name: z.string().nullish(), memory: z.number().nullish() })),
  boot: z.string(),
  /** Epoch ms of the host's clock. */
  time: z.number().nullish(),
  /** Where jobs can be given to Slurm from here. */
  slurm: z.object({ version: z.string() }).nullish(),
});

/** What `slurm.info` says of the cluster. Counts of nodes and CPUs; memory in bytes; times in seconds. */
export const slurmInfoSchema = z.object({
  version: z.string().nullable(),
  cluster: z.string().nullable(),
  partitions: z.array(
    z.object({
      name: z.string(),
      default: z.boolean(),
      /** UP, DOWN, DRAIN, INACTIVE. */
      state: z.string(),
      /** Null: none. */
      time_limit: z.number().nullable(),
      nodes: z.object({ total: z.number(), idle: z.number(), used: z.number(), unavailable: z.number() }),
      cpus: z.object({ total: z.number(), idle: z.number(), used: z.number(), unavailable: z.number() }),
      /** Of its largest node. */
      memory: z.number().nullable(),
      cpus_per_node: z.number().nullable(),
      gpus: z.array(
        z.object({ type: z.string().nullable(), total: z.number(), used: z.number().nullable() }),
      ),
    }),
  ),
  /** Of this user, whoever has submitted them. */
  running: z.number(),
  pending: z.number(),
  /** Why Slurm does not answer, in its own words, and what to do; null when it does. */
  problem: z.string().nullable(),
  action: z.string().nullable(),
});
export type SlurmInfoReply = z.infer<typeof slurmInfoSchema>;

/** Whether the nodes of a cluster can be expected to see the root folder. */
export const slurmSharedSchema = z.object({
  /** Type of the root's file system: nfs4, lustre, ext4. */
  filesystem: z.string().nullable(),
  /** Null: it cannot be told from here. */
  shared: z.boolean().nullable(),
});

export const canarySchema = z.object({
  pid: z.number(),
  start: z.unknown(),
  systemd: z.boolean(),
  linger: z.boolean().nullish(),
});

export const helloSchema = z.object({
  protocol: z.number(),
  agent: z.string(),
  pid: z.number(),
  root: z.string(),
  facts: factsSchema,
});
export type Hello = z.infer<typeof helloSchema>;

/** One page of a listing. */
export const filesReplySchema = z.object({ files: z.array(fileEntrySchema), more: z.boolean().optional() });

/** Where the server is in a streamed file. */
export interface Cursor {
  offset: number;
  generation: string;
}

/** Size and generation of each streamed file at its end. */
const endsSchema = z.record(z.string(), z.object({ size: z.number(), generation: z.string() }));
export type Ends = z.infer<typeof endsSchema>;

/** What a watch reports. */
export const notificationSchema = z.discriminatedUnion('kind', [
  z.object({ watch: z.number(), kind: z.literal('status'), status: attemptStatusSchema }),
  z.object({
    watch: z.number(),
    kind: z.literal('data'),
    file: z.string(),
    generation: z.string(),
    offset: z.number().int().min(0),
  }),
  z.object({
    watch: z.number(),
    kind: z.literal('files'),
    files: z.array(fileEntrySchema),
    /** A header holds no more of them: the rest is asked for. */
    more: z.boolean().optional(),
  }),
  z.object({
    watch: z.number(),
    /** A part of what `end` says, when that is too long for a header. */
    kind: z.literal('ends'),
    ends: endsSchema,
  }),
  z.object({
    watch: z.number(),
    kind: z.literal('end'),
    files: z.array(fileEntrySchema),
    more: z.boolean().optional(),
    ends: endsSchema,
  }),
]);
export type Notification = z.infer<typeof notificationSchema>;
