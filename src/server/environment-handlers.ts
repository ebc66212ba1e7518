import { PassThrough } from 'node:stream';
import path from 'node:path';
import { engineSchema, hostEnvironmentSchema, type BuildLine } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import type { EnvironmentService } from '../environments/service.ts';
import * as z from 'zod';
import { signalOf } from './closed-requests.ts';
import { Bytes, type Handlers } from './router.ts';
import type { RunyardServer } from './server.ts';

type EnvironmentRoute = Extract<keyof Handlers, `${string}Environment${string}`> | 'getEngine';

/** As the agent says it. */
const listedSchema = z.object({
  environments: z.array(
    z
      .looseObject({
        built_at: z.number().nullish(),
        used_at: z.number().nullish(),
        in_use: z.number().nullish(),
      })
      .transform(({ built_at, used_at, in_use, ...rest }) =>
        hostEnvironmentSchema.parse({
          hash: null,
          name: null,
          version: null,
          label: null,
          bytes: null,
          packages: null,
          image: null,
          ...rest,
          builtAt: built_at ?? null,
          usedAt: used_at ?? null,
          inUse: in_use ?? 0,
        }),
      ),
  ),
});

const engineReplySchema = z
  .looseObject({
    images: z.array(z.looseObject({ created_at: z.number().nullish() })).default([]),
  })
  .transform(({ images, ...rest }) =>
    engineSchema.parse({
      version: null,
      problem: null,
      action: null,
      start: null,
      ...rest,
      images: images.map(({ created_at, ...image }) => ({ ...image, createdAt: created_at ?? null })),
    }),
  );

/** Environments: what is registered, what is built where, and what runs had. */
export function environmentHandlers(server: RunyardServer): Pick<Handlers, EnvironmentRoute> {
  const service = (params: Record<string, string>): Promise<EnvironmentService> =>
    server.environmentsOf(params['workspace']!);
  const channelOf = (compute: string) => server.hosts.get(compute).connect({ person: true });
  const ofRun = async (params: Record<string, string>, run: string) => {
    const { environment } = (await server.runsOf(params['workspace']!)).detail(run);
    return (await service(params)).ofRun(run, environment);
  };

  return {
    listEnvironments: async ({ params }) => ({ environments: (await service(params)).list() }),
    getEnvironment: async ({ params }) => (await service(params)).get(params['environment']!),
    createEnvironment: async ({ params, body }) => {
      server.refuseWhenDraining();
      return (await service(params)).create(body);
    },
    deleteEnvironment: async ({ params }) => {
      await (await service(params)).delete(params['environment']!);
      return {};
    },
    exportEnvironment: async ({ params, body }) => {
      if (!path.isAbsolute(body.folder))
        throw new RunyardError('bad_request', `"${body.folder}" is not an absolute path.`);
      return (await service(params)).export(params['environment']!, body.folder);
    },
    freezeEnvironment: async ({ params, body }) => {
      server.refuseWhenDraining();
      return (await service(params)).freeze(params['environment']!, body);
    },
    buildEnvironment: async ({ params, body, res }) => {
      server.refuseWhenDraining();
      const { compute, rebuild, environment } = body;
      const signal = signalOf(res);
      const lines = (await service(params)).build(
        params['environment']!,
        { compute, rebuild, variables: environment },
        signal,
      );
      // What cannot even begin is an error as of any other route.
      const first = await lines.next();
      const answer = new PassThrough();
      void pour(first, lines, answer);
      return new Bytes(answer, { 'content-type': 'application/x-ndjson' });
    },
    getRunEnvironment: ({ params }) => ofRun(params, params['run']!),
    compareRunEnvironments: async ({ params, query }) => {
      const left = await ofRun(params, params['run']!);
      const right = await ofRun(params, query.with);
      return (await service(params)).compare(left, right);
    },
    listHostEnvironments: async ({ params }) => {
      const channel = await channelOf(params['compute']!);
      return listedSchema.parse((await channel.request('environments.list')).result);
    },
    removeHostEnvironment: async ({ params }) => {
      const channel = await channelOf(params['compute']!);
      await channel.request('environment.remove', { key: params['key']! });
      return {};
    },
    getEngine: async ({ params, body }) => {
      const compute = params['compute']!;
      const channel = await channelOf(compute);
      // Another machine has variables of its own.
      const here = server.hosts.get(compute).sharesFiles && body.environment;
      const { result } = await channel.request('host.engine', here ? { variables: here } : {});
      return engineReplySchema.parse(result);
    },
  };
}

/** A document a line; an error that comes in the middle is the last one. */
async function pour(
  first: IteratorResult<BuildLine, void>,
  rest: AsyncGenerator<BuildLine>,
  answer: PassThrough,
): Promise<void> {
  try {
    for (let next = first; !next.done; next = await rest.next()) {
      if (!answer.write(`${JSON.stringify(next.value)}\n`))
        await new Promise((resolve) => answer.once('drain', resolve).once('close', resolve));
    }
  } catch (cause) {
    const { code, message, action } =
      cause instanceof RunyardError ? cause : new RunyardError('internal', (cause as Error).message);
    answer.write(`${JSON.stringify({ error: { code, message, action, tail: '' } } satisfies BuildLine)}\n`);
  }
  answer.end();
}
