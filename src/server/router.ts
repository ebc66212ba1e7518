import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type * as z from 'zod';
import {
  contract,
  type ParsedBodyOf,
  type ParsedQueryOf,
  type ResponseOf,
  type RouteContract,
} from '../api/contract.ts';
import { errorStatus, RunyardError, systemErrorCode } from '../api/errors.ts';
import { routes, type RouteName } from '../api/routes.ts';

export interface Call<R extends RouteName> {
  params: Record<string, string>;
  query: ParsedQueryOf<R>;
  body: ParsedBodyOf<R>;
  req: IncomingMessage;
  res: ServerResponse;
}

/** Bytes as an answer, whole or as a stream. */
export class Bytes {
  readonly content: Uint8Array | NodeJS.ReadableStream;
  readonly headers: Record<string, string>;

  constructor(content: Uint8Array | NodeJS.ReadableStream, headers: Record<string, string> = {}) {
    this.content = content;
    this.headers = headers;
  }
}

type Answer<R extends RouteName> = (typeof contract)[R]['response'] extends 'bytes'
  ? Bytes
  : (typeof contract)[R]['response'] extends 'events'
    ? void
    : ResponseOf<R>;

export type Handlers = { [R in RouteName]: (call: Call<R>) => Promise<Answer<R>> | Answer<R> };

/** A submit carries an environment; nothing larger belongs into a request. */
const mostBodyBytes = 16 * 1024 * 1024;

const table = (Object.keys(routes) as RouteName[]).map((name) => {
  const names: string[] = [];
  const pattern = routes[name].path.replace(/:(\w+)/g, (_, parameter: string) => {
    names.push(parameter);
    return '([^/]+)';
  });
  return { name, method: routes[name].method, pattern: new RegExp(`^${pattern}$`), names };
});

/** Finds the route, checks what came, calls the handler, answers. Never throws. */
export async function route(
  handlers: Handlers,
  req: IncomingMessage,
  res: ServerResponse,
  log: (line: string) => void,
): Promise<void> {
  try {
    // Not by URL, which takes a name like ".." for a step up.
    const [pathname = '/', search = ''] = (req.url ?? '/').split(/\?(.*)/s);
    const matching = table.filter(({ pattern }) => pattern.test(pathname));
    const found = matching.find(({ method }) => method === req.method);
    if (!found) {
      throw new RunyardError('not_found', `There is nothing at ${req.method} ${pathname}.`);
    }
    const entry: RouteContract = contract[found.name];
    const values = found.pattern.exec(pathname)!.slice(1).map(decode);
    const params = Object.fromEntries(found.names.map((name, i) => [name, values[i]!]));
    const query = entry.query
      ? check(entry.query, Object.fromEntries(new URLSearchParams(search)), 'query')
      : undefined;
    const body = entry.body ? check(entry.body, await readJson(req), 'body') : undefined;
    const handler = handlers[found.name] as (call: Call<RouteName>) => unknown;
    const answer = await handler({ params, query, body, req, res } as Call<RouteName>);
    if (entry.response === 'events') return;
    if (answer instanceof Bytes) await sendBytes(res, answer);
    else sendJson(res, 200, answer);
  } catch (error) {
    answerError(res, error, `${req.method} ${req.url}`, log);
  }
}

export function sendJson(res: ServerResponse, status: number, value: unknown): void {
  const text = Buffer.from(JSON.stringify(value));
  res.writeHead(status, { 'content-type': 'application/json', 'content-length': text.length });
  res.end(text);
}

/** What of an error a person may see; the rest goes to the log. */
export function answerError(
  res: ServerResponse,
  error: unknown,
  what: string,
  log: (line: string) => void,
): void {
  const known = error instanceof RunyardError ? error : unexpected(error);
  if (known.code === 'internal') log(`${what}: ${(error as Error).stack ?? String(error)}`);
  if (res.headersSent) {
    res.destroy();
    return;
  }
  sendJson(res, errorStatus[known.code], known.toBody());
}

function unexpected(error: unknown): RunyardError {
  const code = systemErrorCode(error);
  if (code === 'ENOSPC')
    return new RunyardError('no_space', 'The disk is full.', { action: 'Free some room.', cause: error });
  if (code === 'EACCES' || code === 'EPERM') {
    return new RunyardError('not_permitted', (error as Error).message, { cause: error });
  }
  return new RunyardError('internal', `Something went wrong inside Runyard: ${(error as Error).message}`, {
    action: 'See the server log, and report it.',
    cause: error,
  });
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    throw new RunyardError('bad_request', 'The address is not well-formed.');
  }
}

function check(schema: z.ZodType, value: unknown, where: string): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || where}: ${message}`);
  throw new RunyardError('bad_request', `The request is not right. ${problems.join('; ')}.`);
}

async function readJson(req: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of req) {
    size += (part as Buffer).length;
    if (size > mostBodyBytes) throw new RunyardError('too_large', 'The request is too large.');
    parts.push(part as Buffer);
  }
  const text = Buffer.concat(parts).toString();
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RunyardError('bad_request', 'The request is not JSON.', { cause });
  }
}

async function sendBytes(res: ServerResponse, { content, headers }: Bytes): Promise<void> {
  if (content instanceof Uint8Array) {
    res.writeHead(200, {
      'content-type': 'application/octet-stream',
      'content-length': content.length,
      ...headers,
    });
    res.end(content);
    return;
  }
  res.writeHead(200, { 'content-type': 'application/octet-stream', ...headers });
  await pipeline(content, res);
}
