import * as z from 'zod';

/**
 * What a run finds installed. An environment is what it contains: two with the same hash are the same one, whatever
 * their names. Azure ML v1's words (`azureml_environment.json`, `conda_dependencies.yml`) where it has some.
 */

export const environmentKinds = [
  /** The host's own Python: nothing is installed. */
  'system',
  /** An interpreter that is there: a path, or a name on the host's PATH. */
  'interpreter',
  /** A conda environment that is there: its name or its folder. */
  'conda-environment',
  /** pip requirements, built into a venv on the host. */
  'venv',
  /** A conda specification, built into a conda environment on the host. */
  'conda',
  /** A container of an image, as it is or with packages installed on top. */
  'image',
  /** A container of an image that a Dockerfile builds. */
  'dockerfile',
] as const;
export type EnvironmentKind = (typeof environmentKinds)[number];

/** Azure's rule: anything readable that is no path. */
export const environmentNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][\w .-]{0,254}$/, 'use letters, digits, spaces, ".", "_" and "-", at most 255 of them');

const text = z.string().max(1_000_000);

/** A conda specification as environment.yml has it: channels, and dependencies of conda and of pip. */
export const condaSpecificationSchema = z.strictObject({
  channels: z.array(z.string()).default([]),
  /** `numpy=1.24`, `conda-forge::scipy`. */
  conda: z.array(z.string()).default([]),
  /** Lines as in requirements.txt. */
  pip: z.array(z.string()).default([]),
});
export type CondaSpecification = z.infer<typeof condaSpecificationSchema>;

export const packageHomes = ['auto', 'venv', 'conda', 'image'] as const;

/** What an environment contains. Its hash is that of its canonical JSON. */
export const environmentDefinitionSchema = z.strictObject({
  /** The image of the container; null: no container, unless there is a Dockerfile. */
  image: z.string().max(1024).nullable().default(null),
  /** Text of a Dockerfile; excludes `image`. */
  dockerfile: text.nullable().default(null),
  /** Files that the Dockerfile or the requirements name, by the manifest they are kept as. */
  context: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .nullable()
    .default(null),
  /** The Python of runs, or the one a venv is made with: a path or a name; null: the usual one. */
  interpreter: z.string().max(4096).nullable().default(null),
  /** An existing conda environment: its name or folder. */
  condaEnvironment: z.string().max(4096).nullable().default(null),
  /** Text of a requirements.txt without includes. */
  requirements: text.nullable().default(null),
  condaSpecification: condaSpecificationSchema.nullable().default(null),
  /** Where packages are installed: `auto` is an image where there is one, else conda or a venv as the host has it. */
  into: z.enum(packageHomes).default('auto'),
  /** Set for every run in it. Not part of what is built. */
  variables: z.record(z.string(), z.string()).default({}),
});
export type EnvironmentDefinition = z.output<typeof environmentDefinitionSchema>;

/** A named environment at one version. */
export const environmentSchema = z.object({
  name: z.string(),
  /** From 1; the same content again makes no new version. */
  version: z.number(),
  hash: z.string(),
  kind: z.enum(environmentKinds),
  /** What it is, in a line: "venv with 4 packages", "image python:3.12-slim". */
  summary: z.string(),
  definition: environmentDefinitionSchema,
  createdAt: z.number(),
  /** All versions of that name, ascending. */
  versions: z.array(z.number()),
  /** Runs that used this version. */
  runs: z.number(),
  /** Packages without an exact version: what they are is decided when it is built. */
  unpinned: z.array(z.string()),
});
export type Environment = z.infer<typeof environmentSchema>;

export const environmentDetailSchema = environmentSchema.extend({
  /** Runs that used this version, newest first; at most 100. */
  usedBy: z.array(z.string()),
});
export type EnvironmentDetail = z.infer<typeof environmentDetailSchema>;

export const installedPackageSchema = z.object({
  name: z.string(),
  version: z.string(),
  /** `pip` or `conda`. */
  source: z.string().default('pip'),
});
export type InstalledPackage = z.infer<typeof installedPackageSchema>;

/** What an environment turned out to be on a host: `environment/environment.json` among a run's files. */
export const environmentFactsSchema = z.object({
  /** Names one build on one host: see docs/agent-protocol.md. */
  key: z.string().nullish(),
  kind: z.string().nullish(),
  interpreter: z.string().nullish(),
  /** "3.11.7". */
  python: z.string().nullish(),
  engine: z.string().nullish(),
  image: z.string().nullish(),
  image_id: z.string().nullish(),
  /** `name@sha256:...` where the engine knows it from a registry. */
  image_digest: z.string().nullish(),
  /** Epoch ms when it was built; null when nothing is. */
  built: z.number().nullish(),
  /** False for the run whose build it was. */
  cached: z.boolean().nullish(),
  /** Milliseconds this run has waited for its environment. */
  waited_ms: z.number().nullish(),
  /** Null while they are not known yet, or where the environment has no Python. */
  packages: z.array(installedPackageSchema).nullish(),
});
export type EnvironmentFacts = z.infer<typeof environmentFactsSchema>;

/** Which environment a run uses. */
export const runEnvironmentRefSchema = z.object({
  /** Null for one without a name. */
  name: z.string().nullable(),
  version: z.number().nullable(),
  hash: z.string().nullable(),
  kind: z.enum(environmentKinds),
  /** For people: "digits:2", "python:3.12-slim", "/usr/bin/python3". */
  label: z.string(),
});
export type RunEnvironmentRef = z.infer<typeof runEnvironmentRefSchema>;

export const runEnvironmentSchema = runEnvironmentRefSchema.extend({
  /** Null for a run that used an interpreter as it is, and for one before there were environments. */
  definition: environmentDefinitionSchema.nullable(),
  /** Null while the host has not said. */
  facts: environmentFactsSchema.nullable(),
  unpinned: z.array(z.string()),
});
export type RunEnvironment = z.infer<typeof runEnvironmentSchema>;

export const environmentComparisonSchema = z.object({
  /** Packages that differ, by name; null: not there. */
  packages: z.array(
    z.object({ name: z.string(), left: z.string().nullable(), right: z.string().nullable() }),
  ),
  /** Packages that are the same in both. */
  same: z.number(),
  /** Other differences: Python, image, variables. */
  facts: z.array(z.object({ name: z.string(), left: z.string().nullable(), right: z.string().nullable() })),
  /** Why a side has no package list; null when both have. */
  problem: z.string().nullable(),
});
export type EnvironmentComparison = z.infer<typeof environmentComparisonSchema>;

/** Exactly one of `definition`, `file`. */
export const createEnvironmentSchema = z
  .strictObject({
    name: environmentNameSchema,
    definition: environmentDefinitionSchema.optional(),
    /**
     * Absolute path of a requirements.txt, environment.yml, conda_dependencies.yml, pyproject.toml, Dockerfile,
     * azureml_environment.json, or of the folder that Azure's `save_to_directory` wrote.
     */
    file: z.string().optional(),
    /** With a file of packages: into an image on top of this one. */
    image: z.string().max(1024).optional(),
    into: z.enum(packageHomes).optional(),
    interpreter: z.string().max(4096).optional(),
  })
  .refine(({ definition, file }) => (definition === undefined) !== (file === undefined), {
    message: 'say either a definition or a file',
  });
export type CreateEnvironmentRequest = z.input<typeof createEnvironmentSchema>;

export const createdEnvironmentSchema = environmentSchema.extend({
  /** False when that name had this very content already. */
  created: z.boolean(),
  warnings: z.array(z.string()),
});
export type CreatedEnvironment = z.infer<typeof createdEnvironmentSchema>;

export const exportEnvironmentSchema = z.strictObject({
  /** Absolute path; made when it is not there. Files of the same names are not written over. */
  folder: z.string(),
});

export const freezeEnvironmentSchema = z.strictObject({
  /** The pinned copy's name; absent: `<name>-frozen`. */
  name: environmentNameSchema.optional(),
  /** Of this run; absent: of the latest run that used it and knows its packages. */
  run: z.string().optional(),
});

export const buildEnvironmentSchema = z.strictObject({
  compute: z.string().default('local'),
  /** Anew though it is built: unpinned packages become what they are today. */
  rebuild: z.boolean().default(false),
  /** The caller's variables: where this machine's interpreter is, and what pip is told. Never kept. */
  environment: z.record(z.string(), z.string()).optional(),
});

/** A line of the answer to `buildEnvironment`. */
export const buildLineSchema = z.union([
  z.object({ log: z.string() }),
  z.object({ reason: z.string() }),
  z.object({ result: environmentFactsSchema }),
  z.object({
    error: z.object({
      code: z.string(),
      message: z.string(),
      action: z.string().nullish(),
      tail: z.string(),
    }),
  }),
]);
export type BuildLine = z.infer<typeof buildLineSchema>;

/** Something that is built on a host. */
export const hostEnvironmentSchema = z.object({
  key: z.string(),
  /** The definition's hash. */
  hash: z.string().nullable(),
  name: z.string().nullable(),
  version: z.number().nullable(),
  /** For people, also without a name. */
  label: z.string().nullable(),
  kind: z.string(),
  state: z.enum(['building', 'ready', 'failed']),
  /** On the disk; of an image what the engine says. Null while it is not known. */
  bytes: z.number().nullable(),
  builtAt: z.number().nullable(),
  usedAt: z.number().nullable(),
  /** Runs that use it right now. */
  inUse: z.number(),
  packages: z.number().nullable(),
  image: z.string().nullable(),
});
export type HostEnvironment = z.infer<typeof hostEnvironmentSchema>;

export const engineQuestionSchema = z.strictObject({
  /** The caller's variables: DOCKER_HOST and the like say which engine this machine's is. Never kept. */
  environment: z.record(z.string(), z.string()).optional(),
});

/** The container engine of a host. */
export const engineSchema = z.object({
  /** Null where there is none. */
  kind: z.enum(['docker', 'podman', 'apptainer', 'singularity']).nullable(),
  version: z.string().nullable(),
  rootless: z.boolean(),
  running: z.boolean(),
  /** Why it cannot be used: a sentence, and what to do. */
  problem: z.string().nullable(),
  action: z.string().nullable(),
  /** A command that starts it (`sudo systemctl start docker`), where one is known. */
  start: z.string().nullable(),
  /** Images with a name, the newest first. */
  images: z.array(
    z.object({ name: z.string(), id: z.string(), bytes: z.number(), createdAt: z.number().nullable() }),
  ),
});
export type Engine = z.infer<typeof engineSchema>;
