import { RunyardError } from '../api/errors.ts';
import { openApiDocument } from '../api/openapi.ts';
import { findConfigurations, findScripts, writeConfiguration } from '../runs/configuration/files.ts';
import * as queries from '../runs/queries.ts';
import type { RunService } from '../runs/run-service.ts';
import { existingFolder } from '../snapshot/folder.ts';
import type { RunyardServer } from './server.ts';
import { signalOf } from './closed-requests.ts';
import { Bytes, type Handlers } from './router.ts';
import { computeHandlers } from './compute-handlers.ts';
import { environmentHandlers } from './environment-handlers.ts';
import { snapshotHandlers } from './snapshot-handlers.ts';

/** What each route of the API does. */
export function makeHandlers(server: RunyardServer): Handlers {
  const runs = (params: Record<string, string>): Promise<RunService> => server.runsOf(params['workspace']!);
  const runSeq = (service: RunService, id: string) => queries.runRow(service.reader, id).seq;

  return {
    getServer: () => server.info(),
    drainServer: ({ body }) => {
      server.drain(body.reason);
      return {};
    },
    getOpenApi: () => openApiDocument(server.version),

    listWorkspaces: async () => ({ workspaces: await server.workspaces.list() }),
    createWorkspace: async ({ body }) => {
      const workspace = await server.workspaces.create(body.name);
      server.hub.announce({ type: 'workspaces' });
      return workspace;
    },
    useWorkspace: async ({ params }) => {
      const workspace = await server.workspaces.use(params['workspace']!);
      server.hub.announce({ type: 'workspaces' });
      return workspace;
    },
    deleteWorkspace: async ({ params }) => {
      await server.deleteWorkspace(params['workspace']!);
      server.hub.announce({ type: 'workspaces' });
      return {};
    },

    ...computeHandlers(server),

    listConfigurations: async ({ query }) => {
      const folder = await existingFolder(query.folder);
      return { configurations: await findConfigurations(folder), scripts: await findScripts(folder) };
    },
    writeConfiguration: async ({ body }) => ({
      path: await writeConfiguration(await existingFolder(body.folder), body.name, body.configuration),
    }),

    ...snapshotHandlers(server),

    ...environmentHandlers(server),

    listExperiments: async ({ params }) => ({
      experiments: queries.listExperiments((await runs(params)).reader),
    }),
    deleteExperiment: async ({ params }) => {
      await (await runs(params)).deleteExperiment(params['experiment']!);
      return {};
    },

    submitRun: async ({ params, body }) => {
      server.refuseWhenDraining();
      return (await runs(params)).submit(body);
    },
    listRuns: async ({ params, query }) =>
      (await runs(params)).list({
        ...query,
        active: query.active === undefined ? undefined : query.active === 'true',
      }),
    getRun: async ({ params }) => (await runs(params)).detail(params['run']!),
    updateRun: async ({ params, body }) => (await runs(params)).update({ id: params['run']!, ...body }),
    deleteRun: async ({ params }) => {
      await (await runs(params)).delete(params['run']!);
      return {};
    },
    cancelRun: async ({ params }) => (await runs(params)).cancel(params['run']!),
    rerun: async ({ params, body }) => {
      server.refuseWhenDraining();
      return (await runs(params)).rerun(params['run']!, body);
    },

    listSeries: async ({ params }) => {
      const service = await runs(params);
      return { series: queries.listSeries(service.reader, runSeq(service, params['run']!)) };
    },
    getWindows: async ({ params, body }) => {
      if (body.from !== undefined && body.to !== undefined && body.from > body.to) {
        throw new RunyardError('bad_request', `"from" (${body.from}) is greater than "to" (${body.to}).`);
      }
      return { windows: (await runs(params)).windows(params['run']!, body) };
    },
    getMonitor: async ({ params }) => {
      const service = await runs(params);
      return { samples: queries.listMonitorSamples(service.reader, runSeq(service, params['run']!)) };
    },
    listDocuments: async ({ params }) => {
      const service = await runs(params);
      return { documents: queries.listDocuments(service.reader, runSeq(service, params['run']!)) };
    },
    listImages: async ({ params }) => {
      const service = await runs(params);
      return { images: queries.listImages(service.reader, runSeq(service, params['run']!)) };
    },
    listArtifacts: async ({ params }) => ({
      artifacts: await (await runs(params)).artifacts(params['run']!),
    }),
    fetchArtifacts: async ({ params, body, res }) => ({
      artifacts: await (await runs(params)).fetchArtifacts(params['run']!, body.paths, signalOf(res)),
    }),
    readArtifact: async ({ params, query }) => {
      const service = await runs(params);
      const { size, data } = await service.readArtifact(
        params['run']!,
        query.path,
        query.offset,
        query.length,
      );
      return new Bytes(data, { 'x-runyard-size': String(size) });
    },
    downloadRun: async ({ params, res }) => {
      const { size, content } = await (await runs(params)).download(params['run']!, signalOf(res));
      return new Bytes(content, { 'content-type': 'application/zip', 'content-length': String(size) });
    },

    streamEvents: async ({ params, req, res }) => {
      const workspace = await server.workspaces.get(params['workspace']!);
      const last = req.headers['last-event-id'];
      server.hub.join(workspace, res, typeof last === 'string' ? last : undefined);
    },
  };
}
