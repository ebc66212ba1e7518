import http from 'node:http';
import path from 'node:path';
import { RunyardError, type ErrorBody } from '../api/errors.ts';
import { socketFolderIsSafe } from '../api/home.ts';

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: Buffer;
}

export interface Request {
  method: string;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** Thrown when nobody answers at the socket, or the line broke before the answer was there. */
export class NoServerError extends Error {}

/** One request over the control socket; the whole answer in memory. Throws NoServerError. */
export async function request(socketPath: string, agent: http.Agent, what: Request): Promise<Answer> {
  if (!socketFolderIsSafe(socketPath)) {
    const dir = path.dirname(socketPath);
    throw new RunyardError(
      'not_permitted',
      `The folder ${dir} is not yours alone; Runyard does not use it.`,
      {
        action: `Remove it or take its rights from others (chmod 700), or set RUNYARD_HOME to another folder.`,
      },
    );
  }
  return new Promise((resolve, reject) => {
    const body = what.body === undefined ? undefined : Buffer.from(JSON.stringify(what.body));
    const req = http.request(
      {
        socketPath,
        agent,
        method: what.method,
        path: what.path,
        headers: {
          ...what.headers,
          ...(body ? { 'content-type': 'application/json', 'content-length': body.length } : {}),
        },
        signal: what.signal,
      },
      (res) => {
        const parts: Buffer[] = [];
        res.on('data', (part: Buffer) => parts.push(part));
        res.on('error', (cause) => reject(new NoServerError('the answer broke off', { cause })));
        res.on('end', () =>
          resolve({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(parts) }),
        );
      },
    );
    req.on('error', (cause) => {
      if (what.signal?.aborted) reject(new RunyardError('canceled', 'The request was canceled.', { cause }));
      else reject(new NoServerError(`no answer at ${socketPath}`, { cause }));
    });
    req.end(body);
  });
}

/** The error that an answer carries, or undefined when it is a success. */
export function errorOf(answer: Answer): RunyardError | undefined {
  if (answer.status >= 200 && answer.status < 300) return undefined;
  try {
    return RunyardError.fromBody(JSON.parse(answer.body.toString()) as ErrorBody);
  } catch (cause) {
    return new RunyardError('internal', `The server answered with status ${answer.status}.`, { cause });
  }
}
