import * as z from 'zod';
import { slurmChangesSchema } from './compute.ts';

/**
 * The run configuration: Azure ML v1's `.runconfig` schema is our own file format
 * (see docs/run-configuration.md). Sections that other capabilities use are carried through unchanged.
 */
const scalar = z.union([z.string(), z.number(), z.boolean()]).transform(String);
const text = z.string().nullish();
const variables = z.record(z.string(), scalar).nullish();
/** A section that is kept and shown, and whose meaning belongs to a capability that is not there yet. */
const carried = z.record(z.string(), z.unknown()).nullish();

const dockerSection = z
  .strictObject({
    enabled: z.boolean().nullish(),
    useDocker: z.boolean().nullish(),
    baseImage: text,
    baseDockerfile: text,
    sharedVolumes: z.boolean().nullish(),
    shmSize: text,
    arguments: z.array(scalar).nullish(),
    baseImageRegistry: carried,
    platform: carried,
    gpuSupport: z.boolean().nullish(),
    /** Ours: limits of the container, as the engine's own command line has them (`4g`, `1.5`, `none`). */
    memory: scalar.nullish(),
    cpus: z.number().positive().nullish(),
    network: text,
  })
  .nullish();

const environmentSection = z
  .strictObject({
    name: text,
    version: scalar.nullish(),
    environmentVariables: variables,
    python: z
      .strictObject({
        userManagedDependencies: z.boolean().nullish(),
        interpreterPath: text,
        condaDependenciesFile: text,
        condaDependencies: z.unknown().optional(),
        /** Ours: a requirements.txt or pyproject.toml of the folder. */
        requirementsFile: text,
        baseCondaEnvironment: text,
      })
      .nullish(),
    docker: dockerSection,
    spark: carried,
    databricks: carried,
    r: carried,
    inferencingStackVersion: text,
  })
  .nullish();

const count = z.number().int().min(0).max(100_000).nullish();

export const frameworks = ['Python', 'PySpark', 'CNTK', 'TensorFlow', 'PyTorch'] as const;
export const communicators = [
  'None',
  'ParameterServer',
  'OpenMpi',
  'IntelMpi',
  'Gloo',
  'Nccl',
  'Mpi',
] as const;

export const runConfigurationSchema = z.strictObject({
  script: text,
  arguments: z.array(scalar).nullish(),
  command: z.union([z.string(), z.array(scalar)]).nullish(),
  target: text,
  /** Ours, beside Azure's keys: the experiment a submit goes to when none is asked for. */
  experiment: text,
  /** Ours: tags and a display name every run of this configuration starts with. */
  tags: variables,
  displayName: text,
  /** Ours: what the run takes of the host's queue. */
  resources: z
    .strictObject({
      slots: z.number().int().min(1).max(1024).nullish(),
      gpus: z.number().int().min(0).max(64).nullish(),
    })
    .nullish(),
  framework: z.enum(frameworks).nullish(),
  communicator: z.enum(communicators).nullish(),
  autoPrepareEnvironment: z.boolean().nullish(),
  maxRunDurationSeconds: z.number().min(0.001).max(1e9).nullish(),
  nodeCount: z.number().int().min(1).nullish(),
  environment: environmentSection,
  environmentVariables: variables,
  history: z
    .strictObject({
      outputCollection: z.boolean().nullish(),
      snapshotProject: z.boolean().nullish(),
      directoriesToWatch: z.array(z.string()).nullish(),
    })
    .nullish(),
  docker: dockerSection,
  spark: carried,
  hdi: carried,
  tensorflow: z.strictObject({ workerCount: count, parameterServerCount: count }).nullish(),
  mpi: z.strictObject({ processCountPerNode: count, nodeCount: count }).nullish(),
  pyTorch: z.strictObject({ communicationBackend: text, processCount: count, nodeCount: count }).nullish(),
  /** Ours: whose metrics are kept where there are several processes; the first one's by default. */
  logRanks: z.enum(['first', 'all']).nullish(),
  /** Ours: what the job asks Slurm for, over what the target says. */
  slurm: slurmChangesSchema.nullish(),
  dataReferences: carried,
  data: carried,
  outputData: carried,
  sourceDirectoryDataStore: text,
  amlcompute: carried,
  amlCompute: carried,
  kubernetescompute: carried,
  paralleltask: carried,
  credentialPassthrough: z.boolean().nullish(),
});

export type RunConfiguration = z.output<typeof runConfigurationSchema>;
