import * as z from 'zod';
import * as compute from './compute.ts';
import * as environment from './environment.ts';
import * as entity from './entities.ts';
import * as request from './requests.ts';
import type { RouteName } from './routes.ts';

/** What a route takes and gives. `bytes` and `events` answers are streams, not JSON. */
export interface RouteContract {
  summary: string;
  query?: z.ZodType;
  body?: z.ZodType;
  response: z.ZodType | 'bytes' | 'events';
}

const ok = z.object({});

export const contract = {
  getServer: { summary: 'The server itself', response: entity.serverSchema },
  drainServer: {
    summary: 'Take no new work, finish what is under way, end',
    body: request.drainSchema,
    response: ok,
  },
  getOpenApi: { summary: 'This interface as OpenAPI 3.1', response: z.unknown() },

  listWorkspaces: {
    summary: 'All workspaces',
    response: z.object({ workspaces: z.array(entity.workspaceSchema) }),
  },
  createWorkspace: {
    summary: 'Create a workspace',
    body: z.object({ name: request.workspaceNameSchema }),
    response: entity.workspaceSchema,
  },
  useWorkspace: { summary: 'Make a workspace the current one', response: entity.workspaceSchema },
  deleteWorkspace: {
    summary: 'Delete a workspace with everything in it; refused while a run is active',
    response: ok,
  },

  listComputes: {
    summary: 'Compute targets',
    response: z.object({ computes: z.array(compute.computeSchema) }),
  },
  addCompute: {
    summary: 'Add a host over SSH, or a cluster that this machine belongs to; nothing is connected yet',
    body: compute.addComputeSchema,
    response: compute.computeSchema,
  },
  getCompute: { summary: 'One compute target with its load', response: compute.computeSchema },
  updateCompute: {
    summary: 'Change the settings of a target; a connection is made anew',
    body: compute.updateComputeSchema,
    response: compute.computeSchema,
  },
  removeCompute: {
    summary: 'Forget a target; refused while a run is active there or outputs exist only there',
    query: z.object({ force: z.enum(['true', 'false']).optional() }),
    response: ok,
  },
  connectCompute: {
    summary: 'Connect to a target now; questions come as prompts',
    body: compute.connectNowSchema,
    response: compute.computeSchema,
  },
  testCompute: {
    summary: 'Connect anew and look at everything a run needs, step by step',
    body: compute.testComputeSchema,
    response: compute.connectionTestSchema,
  },
  cleanCompute: {
    summary: 'Clean up there now: old run folders and cached files that nothing needs',
    response: compute.cleanedSchema,
  },
  getEngine: {
    summary: 'The container engine of a host, and the images it has',
    body: environment.engineQuestionSchema,
    response: environment.engineSchema,
  },
  listHostEnvironments: {
    summary: 'What is built on a host',
    response: z.object({ environments: z.array(environment.hostEnvironmentSchema) }),
  },
  removeHostEnvironment: {
    summary: 'Remove what is built on a host; refused while a run uses it. The environment itself stays',
    response: ok,
  },
  listComputeCandidates: {
    summary: 'Hosts that the ssh configuration names',
    query: z.object({ configFile: z.string().optional() }),
    response: z.object({ candidates: z.array(compute.computeCandidateSchema) }),
  },
  forgetSecrets: {
    summary: 'Forget passwords and passphrases that the server has in its memory',
    body: compute.forgetSecretsSchema,
    response: ok,
  },
  listPrompts: {
    summary: 'Questions that wait for a person',
    response: z.object({ prompts: z.array(compute.promptSchema) }),
  },
  answerPrompt: {
    summary: 'Answer or dismiss a prompt; the first answer counts',
    body: compute.answerPromptSchema,
    response: ok,
  },

  listConfigurations: {
    summary: 'Run configurations in a folder, and the scripts it has',
    query: request.configurationsQuerySchema,
    response: z.object({
      configurations: z.array(entity.foundConfigurationSchema),
      /** Python files at the top of the folder, the likeliest entry script first. */
      scripts: z.array(z.string()),
    }),
  },
  writeConfiguration: {
    summary: 'Write `.runyard/<name>.runconfig` in a folder',
    body: request.writeConfigurationSchema,
    response: z.object({ path: z.string() }),
  },

  previewSnapshot: {
    summary: 'What a snapshot of a folder would be, and what to know before it is submitted',
    body: request.previewSnapshotSchema,
    response: entity.snapshotPreviewSchema,
  },
  dryRunSnapshot: {
    summary: 'Every path that a snapshot would take or leave out and why, a JSON document a line',
    body: request.dryRunSchema,
    response: 'bytes',
  },
  ignorePath: {
    summary: "Leave a path out of a folder's snapshots from now on",
    body: request.ignorePathSchema,
    /** The file that was changed, relative to the folder, and the line that was added. */
    response: z.object({ file: z.string(), line: z.string() }),
  },
  createSnapshot: {
    summary: 'Take a snapshot of a folder and keep it without a run',
    body: request.createSnapshotSchema,
    response: entity.newSnapshotSchema,
  },
  listSnapshots: {
    summary: 'Snapshots that are kept without a run, newest first',
    response: z.object({ snapshots: z.array(entity.snapshotSchema) }),
  },
  getSnapshot: { summary: 'One snapshot', response: entity.snapshotSchema },
  deleteSnapshot: { summary: 'Keep a snapshot no longer; runs keep theirs', response: ok },
  listSnapshotEntries: {
    summary: 'What is in a folder of a snapshot, or one file',
    query: request.snapshotEntriesQuerySchema,
    /** `entry` is what was asked for (null for the snapshot itself), `entries` what is directly in it. */
    response: z.object({
      entry: entity.snapshotEntrySchema.nullable(),
      entries: z.array(entity.snapshotEntrySchema),
    }),
  },
  readSnapshotFile: {
    summary: 'Bytes of one file of a snapshot',
    query: request.snapshotFileQuerySchema,
    response: 'bytes',
  },
  searchSnapshot: {
    summary: "Lines of a snapshot's text files that match",
    body: request.searchSnapshotSchema,
    response: z.object({
      matches: z.array(entity.searchMatchSchema),
      /** True when there are more than `limit`. */
      more: z.boolean(),
    }),
  },
  compareSnapshot: {
    summary: 'How another snapshot, or a folder as it is now, differs',
    body: request.compareSnapshotSchema,
    response: entity.comparisonSchema,
  },
  restoreSnapshot: {
    summary: 'Write a snapshot into a folder or a new git worktree',
    body: request.restoreSnapshotSchema,
    response: entity.restoredSchema,
  },
  downloadSnapshot: {
    summary: 'A snapshot as a zip; the same snapshot gives the same bytes',
    response: 'bytes',
  },
  collectGarbage: {
    summary: 'Remove blobs that no run, artifact or kept snapshot has',
    response: entity.garbageSchema,
  },

  listEnvironments: {
    summary: 'Environments of a workspace, each at its latest version',
    response: z.object({ environments: z.array(environment.environmentSchema) }),
  },
  createEnvironment: {
    summary: 'Register an environment from a definition or a file; the same content makes no new version',
    body: environment.createEnvironmentSchema,
    response: environment.createdEnvironmentSchema,
  },
  getEnvironment: { summary: 'One environment', response: environment.environmentDetailSchema },
  deleteEnvironment: {
    summary: 'Forget an environment, or one version of it; runs keep what they used',
    response: ok,
  },
  exportEnvironment: {
    summary: "Write it as Azure ML v1's azureml_environment.json, conda_dependencies.yml, BaseDockerfile",
    body: environment.exportEnvironmentSchema,
    /** Absolute paths. */
    response: z.object({ files: z.array(z.string()), warnings: z.array(z.string()) }),
  },
  freezeEnvironment: {
    summary: 'A copy with every package pinned to what a run has found installed',
    body: environment.freezeEnvironmentSchema,
    response: environment.createdEnvironmentSchema,
  },
  buildEnvironment: {
    summary: 'Build an environment on a host, ahead of a run or anew',
    body: environment.buildEnvironmentSchema,
    response: 'bytes',
  },
  getRunEnvironment: {
    summary: 'The environment of a run, with the packages that were installed',
    response: environment.runEnvironmentSchema,
  },
  compareRunEnvironments: {
    summary: "How another run's environment differs",
    query: z.object({ with: request.runIdSchema }),
    response: environment.environmentComparisonSchema,
  },

  listExperiments: {
    summary: 'Experiments of a workspace, the latest run first',
    response: z.object({ experiments: z.array(entity.experimentSchema) }),
  },
  deleteExperiment: {
    summary: 'Delete an experiment with its runs; refused while one is active',
    response: ok,
  },

  submitRun: {
    summary: 'Submit a folder; answers as soon as the run has an id',
    body: request.submitSchema,
    response: entity.runSchema,
  },
  listRuns: {
    summary: 'Runs, newest first',
    query: request.runListQuerySchema,
    response: z.object({ runs: z.array(entity.runSchema), cursor: z.string().nullable() }),
  },
  getRun: { summary: 'One run whole', response: entity.runDetailSchema },
  updateRun: {
    summary: 'Rename a run, set or remove tags',
    body: request.updateRunSchema,
    response: entity.runSchema,
  },
  deleteRun: { summary: 'Delete a run; refused while it is active', response: ok },
  cancelRun: { summary: 'Cancel a run; its status follows', response: entity.runSchema },
  rerun: {
    summary: 'Submit the same snapshot again, with the same configuration or a changed one',
    body: request.rerunSchema,
    response: entity.runSchema,
  },

  listSeries: {
    summary: 'Metric series of a run',
    response: z.object({ series: z.array(entity.seriesSchema) }),
  },
  getWindows: {
    summary: 'Parts of metric series at a resolution',
    body: request.windowsSchema,
    response: z.object({ windows: z.array(entity.windowSchema) }),
  },
  getMonitor: {
    summary: 'CPU, memory and GPU of a run and its host over time',
    response: z.object({ samples: z.array(entity.monitorSampleSchema) }),
  },
  listDocuments: {
    summary: 'Tables, confusion matrices and other logged documents',
    response: z.object({ documents: z.array(entity.documentSchema) }),
  },
  listImages: { summary: 'Logged images', response: z.object({ images: z.array(entity.imageSchema) }) },
  listArtifacts: {
    summary: 'Files of a run: logs, outputs, logged artifacts',
    response: z.object({ artifacts: z.array(entity.artifactSchema) }),
  },
  fetchArtifacts: {
    summary: 'Bring files that are on the host only into the workspace; goes on where it stopped',
    body: request.fetchArtifactsSchema,
    response: z.object({ artifacts: z.array(entity.artifactSchema) }),
  },
  readArtifact: {
    summary: 'Bytes of one file, from an offset',
    query: request.fileQuerySchema,
    response: 'bytes',
  },
  downloadRun: { summary: 'Code, logs and outputs as one zip', response: 'bytes' },
  streamEvents: { summary: 'What happens in the workspace, as server-sent events', response: 'events' },
} as const satisfies Record<RouteName, RouteContract>;

type Contract = typeof contract;
export type BodyOf<R extends RouteName> = Contract[R] extends { body: infer B extends z.ZodType }
  ? z.input<B>
  : undefined;
export type QueryOf<R extends RouteName> = Contract[R] extends { query: infer Q extends z.ZodType }
  ? z.input<Q>
  : undefined;
export type ParsedBodyOf<R extends RouteName> = Contract[R] extends { body: infer B extends z.ZodType }
  ? z.output<B>
  : undefined;
export type ParsedQueryOf<R extends RouteName> = Contract[R] extends { query: infer Q extends z.ZodType }
  ? z.output<Q>
  : undefined;
export type ResponseOf<R extends RouteName> = Contract[R]['response'] extends z.ZodType
  ? z.output<Contract[R]['response']>
  : Uint8Array;
