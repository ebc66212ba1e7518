import { PassThrough } from 'node:stream';
import { previewLaunch } from '../runs/configuration/preview-launch.ts';
import type { SnapshotService } from '../runs/snapshots/service.ts';
import { existingFolder } from '../snapshot/folder.ts';
import { ignorePath } from '../snapshot/ignore-path.ts';
import { signalOf } from './closed-requests.ts';
import { Bytes, type Handlers } from './router.ts';
import type { RunyardServer } from './server.ts';

type SnapshotRoutes =
  | 'previewSnapshot'
  | 'dryRunSnapshot'
  | 'ignorePath'
  | 'createSnapshot'
  | 'listSnapshots'
  | 'getSnapshot'
  | 'deleteSnapshot'
  | 'listSnapshotEntries'
  | 'readSnapshotFile'
  | 'searchSnapshot'
  | 'compareSnapshot'
  | 'restoreSnapshot'
  | 'downloadSnapshot'
  | 'collectGarbage';

/** What the routes of snapshots do. */
export function snapshotHandlers(server: RunyardServer): Pick<Handlers, SnapshotRoutes> {
  const service = (params: Record<string, string>): Promise<SnapshotService> =>
    server.snapshotsOf(params['workspace']!);

  return {
    previewSnapshot: async ({ body, res }) => {
      const folder = await existingFolder(body.folder);
      const launch = await previewLaunch(folder, body);
      return server.snapshots.preview({ folder, ...launch }, { signal: signalOf(res) });
    },
    dryRunSnapshot: async ({ body, res }) => {
      const folder = await existingFolder(body.folder);
      const lines = new PassThrough();
      const done = server.snapshots.dryRun(folder, (part) => lines.write(part), signalOf(res));
      // What goes wrong before the first line is an error as of any other route.
      await Promise.race([done, new Promise((resolve) => lines.once('readable', resolve))]);
      done.then(
        () => lines.end(),
        (error: Error) => lines.destroy(error),
      );
      return new Bytes(lines, { 'content-type': 'application/x-ndjson' });
    },
    ignorePath: ({ body }) => ignorePath(body.folder, body.path),

    createSnapshot: async ({ params, body, res }) => {
      server.refuseWhenDraining();
      return (await service(params)).create(await existingFolder(body.folder), signalOf(res));
    },
    listSnapshots: async ({ params }) => ({ snapshots: (await service(params)).list() }),
    getSnapshot: async ({ params }) => (await service(params)).get(params['snapshot']!),
    deleteSnapshot: async ({ params }) => {
      await (await service(params)).delete(params['snapshot']!);
      return {};
    },
    listSnapshotEntries: async ({ params, query }) =>
      (await service(params)).entries(params['snapshot']!, query.path),
    readSnapshotFile: async ({ params, query }) => {
      const { path, offset, length } = query;
      const { size, data } = await (await service(params)).read(params['snapshot']!, path, offset, length);
      return new Bytes(data, { 'x-runyard-size': String(size) });
    },
    searchSnapshot: async ({ params, body, res }) =>
      (await service(params)).search(params['snapshot']!, body, signalOf(res)),
    compareSnapshot: async ({ params, body, res }) => {
      const other = body.snapshot === undefined ? { folder: body.folder! } : { snapshot: body.snapshot };
      return (await service(params)).compare(params['snapshot']!, other, signalOf(res));
    },
    restoreSnapshot: async ({ params, body, res }) =>
      (await service(params)).restore(params['snapshot']!, body, signalOf(res)),
    downloadSnapshot: async ({ params, res }) => {
      const { size, content } = await (await service(params)).download(params['snapshot']!, signalOf(res));
      return new Bytes(content, { 'content-type': 'application/zip', 'content-length': String(size) });
    },
    collectGarbage: async ({ params }) => (await server.runsOf(params['workspace']!)).collectGarbage(),
  };
}
