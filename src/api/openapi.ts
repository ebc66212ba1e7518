import * as z from 'zod';
import { contract, type RouteContract } from './contract.ts';
import { errorBodySchema } from './entities.ts';
import { routes, type RouteName } from './routes.ts';

const json = (schema: z.ZodType, io: 'input' | 'output') => ({
  'application/json': { schema: z.toJSONSchema(schema, { io, unrepresentable: 'any' }) },
});

/** The whole API as an OpenAPI 3.1 document; `docs/openapi.json` is this, written by `npm run docs`. */
export function openApiDocument(version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const [name, route] of Object.entries(routes) as [RouteName, (typeof routes)[RouteName]][]) {
    const entry: RouteContract = contract[name];
    const template = route.path.replace(/:(\w+)/g, '{$1}');
    const parameters: object[] = [...route.path.matchAll(/:(\w+)/g)].map((match) => ({
      name: match[1],
      in: 'path',
      required: true,
      schema: { type: 'string' },
    }));
    if (entry.query) {
      const schema = z.toJSONSchema(entry.query, { io: 'input', unrepresentable: 'any' });
      const required = new Set(schema.required ?? []);
      for (const [key, value] of Object.entries(schema.properties ?? {})) {
        parameters.push({ name: key, in: 'query', required: required.has(key), schema: value });
      }
    }
    const content =
      entry.response === 'bytes'
        ? { 'application/octet-stream': {} }
        : entry.response === 'events'
          ? { 'text/event-stream': {} }
          : json(entry.response, 'output');
    (paths[template] ??= {})[route.method.toLowerCase()] = {
      operationId: name,
      summary: entry.summary,
      parameters,
      ...(entry.body ? { requestBody: { required: true, content: json(entry.body, 'input') } } : {}),
      responses: {
        200: { description: 'Done', content },
        default: { description: 'Not done', content: json(errorBodySchema, 'output') },
      },
    };
  }
  return { openapi: '3.1.0', info: { title: 'Runyard', version }, paths };
}
