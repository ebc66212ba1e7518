/** Every route of the API by name. Plain data, so that a client needs no validation library. */
export const routes = {
  getServer: { method: 'GET', path: '/v1/server' },
  drainServer: { method: 'POST', path: '/v1/server/drain' },
  getOpenApi: { method: 'GET', path: '/v1/openapi.json' },

  listWorkspaces: { method: 'GET', path: '/v1/workspaces' },
  createWorkspace: { method: 'POST', path: '/v1/workspaces' },
  useWorkspace: { method: 'POST', path: '/v1/workspaces/:workspace/use' },
  deleteWorkspace: { method: 'DELETE', path: '/v1/workspaces/:workspace' },

  listComputes: { method: 'GET', path: '/v1/computes' },
  addCompute: { method: 'POST', path: '/v1/computes' },
  getCompute: { method: 'GET', path: '/v1/computes/:compute' },
  updateCompute: { method: 'PATCH', path: '/v1/computes/:compute' },
  removeCompute: { method: 'DELETE', path: '/v1/computes/:compute' },
  connectCompute: { method: 'POST', path: '/v1/computes/:compute/connect' },
  testCompute: { method: 'POST', path: '/v1/computes/:compute/test' },
  cleanCompute: { method: 'POST', path: '/v1/computes/:compute/clean' },
  /** The container engine of a host, and its images. */
  getEngine: { method: 'POST', path: '/v1/computes/:compute/engine' },
  /** What is built on a host. */
  listHostEnvironments: { method: 'GET', path: '/v1/computes/:compute/environments' },
  removeHostEnvironment: { method: 'DELETE', path: '/v1/computes/:compute/environments/:key' },
  listComputeCandidates: { method: 'GET', path: '/v1/compute-candidates' },
  forgetSecrets: { method: 'POST', path: '/v1/secrets/forget' },
  /** Questions of hosts that only a person can answer. */
  listPrompts: { method: 'GET', path: '/v1/prompts' },
  answerPrompt: { method: 'POST', path: '/v1/prompts/:prompt' },

  listConfigurations: { method: 'GET', path: '/v1/configurations' },
  writeConfiguration: { method: 'PUT', path: '/v1/configurations' },

  /** What a snapshot of the folder would take, and what a person should know before. Stores nothing. */
  previewSnapshot: { method: 'POST', path: '/v1/snapshots/preview' },
  /** Answers with a JSON document a line: every path that would be taken, and every one that would not. */
  dryRunSnapshot: { method: 'POST', path: '/v1/snapshots/dry-run' },
  /** Adds a line to the ignore file of the folder that counts. */
  ignorePath: { method: 'POST', path: '/v1/snapshots/ignore' },

  /** `:snapshot` is an id, its first characters (six or more), or the id of a run. */
  createSnapshot: { method: 'POST', path: '/v1/workspaces/:workspace/snapshots' },
  listSnapshots: { method: 'GET', path: '/v1/workspaces/:workspace/snapshots' },
  getSnapshot: { method: 'GET', path: '/v1/workspaces/:workspace/snapshots/:snapshot' },
  deleteSnapshot: { method: 'DELETE', path: '/v1/workspaces/:workspace/snapshots/:snapshot' },
  listSnapshotEntries: { method: 'GET', path: '/v1/workspaces/:workspace/snapshots/:snapshot/entries' },
  /** Answers with bytes; header `x-runyard-size` is the file's size. */
  readSnapshotFile: { method: 'GET', path: '/v1/workspaces/:workspace/snapshots/:snapshot/content' },
  searchSnapshot: { method: 'POST', path: '/v1/workspaces/:workspace/snapshots/:snapshot/search' },
  compareSnapshot: { method: 'POST', path: '/v1/workspaces/:workspace/snapshots/:snapshot/compare' },
  restoreSnapshot: { method: 'POST', path: '/v1/workspaces/:workspace/snapshots/:snapshot/restore' },
  /** Answers with a zip: the same snapshot, the same bytes. */
  downloadSnapshot: { method: 'GET', path: '/v1/workspaces/:workspace/snapshots/:snapshot/download' },
  /** Removes blobs that nothing owns. */
  collectGarbage: { method: 'POST', path: '/v1/workspaces/:workspace/gc' },

  /** `:environment` is a name, or `name:version`; a name alone is its latest version. */
  listEnvironments: { method: 'GET', path: '/v1/workspaces/:workspace/environments' },
  createEnvironment: { method: 'POST', path: '/v1/workspaces/:workspace/environments' },
  getEnvironment: { method: 'GET', path: '/v1/workspaces/:workspace/environments/:environment' },
  deleteEnvironment: { method: 'DELETE', path: '/v1/workspaces/:workspace/environments/:environment' },
  exportEnvironment: { method: 'POST', path: '/v1/workspaces/:workspace/environments/:environment/export' },
  freezeEnvironment: { method: 'POST', path: '/v1/workspaces/:workspace/environments/:environment/freeze' },
  /** Answers with a JSON document a line, the build's log first; closing the connection cancels the build. */
  buildEnvironment: { method: 'POST', path: '/v1/workspaces/:workspace/environments/:environment/build' },
  getRunEnvironment: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run/environment' },
  compareRunEnvironments: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run/environment/compare' },

  listExperiments: { method: 'GET', path: '/v1/workspaces/:workspace/experiments' },
  deleteExperiment: { method: 'DELETE', path: '/v1/workspaces/:workspace/experiments/:experiment' },

  submitRun: { method: 'POST', path: '/v1/workspaces/:workspace/runs' },
  listRuns: { method: 'GET', path: '/v1/workspaces/:workspace/runs' },
  getRun: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run' },
  updateRun: { method: 'PATCH', path: '/v1/workspaces/:workspace/runs/:run' },
  deleteRun: { method: 'DELETE', path: '/v1/workspaces/:workspace/runs/:run' },
  cancelRun: { method: 'POST', path: '/v1/workspaces/:workspace/runs/:run/cancel' },
  rerun: { method: 'POST', path: '/v1/workspaces/:workspace/runs/:run/rerun' },

  listSeries: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run/metrics' },
  getWindows: { method: 'POST', path: '/v1/workspaces/:workspace/runs/:run/metrics/windows' },
  getMonitor: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run/monitor' },
  listDocuments: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run/documents' },
  listImages: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run/images' },
  listArtifacts: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run/artifacts' },
  /** Answers when all of them are there; the events say how far it is. */
  fetchArtifacts: { method: 'POST', path: '/v1/workspaces/:workspace/runs/:run/artifacts/fetch' },
  /** Answers with bytes; header `x-runyard-size` is the file's size now. */
  readArtifact: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run/artifacts/content' },
  /** Answers with a zip: code (the snapshot), logs and outputs that are in the workspace. */
  downloadRun: { method: 'GET', path: '/v1/workspaces/:workspace/runs/:run/download' },

  /** Server-sent events; see events.ts. */
  streamEvents: { method: 'GET', path: '/v1/workspaces/:workspace/events' },
} as const;

export type RouteName = keyof typeof routes;
