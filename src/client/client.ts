import http from 'node:http';
import type { BodyOf, QueryOf, ResponseOf } from '../api/contract.ts';
import { RunyardError } from '../api/errors.ts';
import { resolveHome, type Home } from '../api/home.ts';
import { routes, type RouteName } from '../api/routes.ts';
import { followEvents, type EventHandlers, type Subscription } from './event-stream.ts';
import { errorOf, NoServerError, request, type Answer, type Request } from './http.ts';
import { ensureServer, type Launcher } from './launch.ts';

export type { EventHandlers, Subscription } from './event-stream.ts';
export type { Launcher } from './launch.ts';

export interface ClientOptions {
  home?: string | undefined;
  distDir: string;
  launcher?: Launcher | undefined;
  log?: (line: string) => void;
}

export interface CallOptions<R extends RouteName> {
  params?: Record<string, string>;
  query?: QueryOf<R>;
  body?: BodyOf<R>;
  signal?: AbortSignal;
}

/** A request is sent so often while one server after the other ends. */
const mostTries = 4;

/** Typed access to the server of one home. Finds or starts it, also when it was replaced meanwhile. */
export class Client {
  readonly home: Home;
  private readonly options: ClientOptions;
  private readonly agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  private readonly subscriptions = new Set<Subscription>();
  private starting: Promise<unknown> | undefined;
  private closed = false;

  constructor(options: ClientOptions) {
    this.options = options;
    this.home = resolveHome(options.home);
  }

  /** Makes sure that the server answers; callers at the same time share one attempt. */
  ready(): Promise<unknown> {
    this.starting ??= ensureServer(
      {
        home: this.home,
        distDir: this.options.distDir,
        launcher: this.options.launcher,
        wanted: () => !this.closed,
        log: this.options.log ?? (() => {}),
      },
      this.agent,
    ).finally(() => (this.starting = undefined));
    return this.starting;
  }

  /** One call of the API. Throws RunyardError; a sentence for a person is in `message`. */
  async call<R extends RouteName>(route: R, options: CallOptions<R> = {}): Promise<ResponseOf<R>> {
    const answer = await this.send(route, options);
    return JSON.parse(answer.body.toString()) as ResponseOf<R>;
  }

  /** A call whose answer is bytes (`readArtifact`). */
  async bytes<R extends RouteName>(
    route: R,
    options: CallOptions<R> = {},
  ): Promise<{ data: Uint8Array; headers: http.IncomingHttpHeaders }> {
    const answer = await this.send(route, options);
    return { data: answer.body, headers: answer.headers };
  }

  /** A call whose answer is a stream of bytes of any length (`downloadRun`). */
  async stream<R extends RouteName>(route: R, options: CallOptions<R> = {}): Promise<http.IncomingMessage> {
    await this.ready();
    const req = http.request({
      socketPath: this.home.socket,
      agent: false,
      method: routes[route].method,
      path: pathOf(route, options.params, options.query),
      headers: options.body === undefined ? {} : { 'content-type': 'application/json' },
      signal: options.signal,
    });
    req.end(options.body === undefined ? undefined : JSON.stringify(options.body));
    const res = await new Promise<http.IncomingMessage>((resolve, reject) =>
      req.on('response', resolve).on('error', (cause) => {
        reject(options.signal?.aborted ? new RunyardError('canceled', 'It was canceled.', { cause }) : cause);
      }),
    );
    if (res.statusCode === 200) return res;
    const parts: Buffer[] = [];
    for await (const part of res) parts.push(part as Buffer);
    throw (
      errorOf({ status: res.statusCode ?? 0, headers: res.headers, body: Buffer.concat(parts) }) ??
      new RunyardError('internal', 'The server gave no content.')
    );
  }

  /** Follows what happens in a workspace until closed, over server restarts too. */
  events(workspace: string, handlers: EventHandlers): Subscription {
    const inner = followEvents(
      this.home.socket,
      pathOf('streamEvents', { workspace }, undefined),
      () => this.ready(),
      handlers,
    );
    const subscription = {
      close: () => {
        this.subscriptions.delete(subscription);
        inner.close();
      },
    };
    this.subscriptions.add(subscription);
    return subscription;
  }

  close(): void {
    this.closed = true;
    for (const subscription of this.subscriptions) subscription.close();
    this.agent.destroy();
  }

  /** The answer to a request, over a new server when the old one is gone. */
  private async exchange(what: Request, repeatable: (error: NoServerError) => boolean): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      try {
        return await request(this.home.socket, this.agent, what);
      } catch (cause) {
        if (!(cause instanceof NoServerError)) throw cause;
        if (tries === mostTries) {
          throw new RunyardError('unavailable', 'The Runyard server does not answer.', {
            action: `See ${this.home.serverLog}.`,
            cause,
          });
        }
        await this.ready();
        if (!repeatable(cause)) {
          throw new RunyardError('unavailable', 'The server ended before it answered.', {
            action: 'See whether the change is there, and try again.',
            cause,
          });
        }
      }
    }
  }

  private async send<R extends RouteName>(route: R, options: CallOptions<R>): Promise<Answer> {
    const { method } = routes[route];
    const what = {
      method,
      path: pathOf(route, options.params, options.query),
      body: options.body,
      signal: options.signal,
    };
    const answer = await this.exchange(what, (error) => {
      // A write may have been done before the line broke: it is sent again only if it is known to be
      // the same (a request id), or if doing it twice is doing it once.
      const { requestId } = (options.body ?? {}) as { requestId?: string };
      return method !== 'POST' || wasRefused(error) || requestId !== undefined;
    });
    const error = errorOf(answer);
    if (error) throw error;
    return answer;
  }
}

/** Opens a client and makes sure that the server answers and is not older than this client. */
export async function openClient(options: ClientOptions): Promise<Client> {
  const client = new Client(options);
  await client.ready();
  return client;
}

function wasRefused(error: NoServerError): boolean {
  const code = (error.cause as NodeJS.ErrnoException | undefined)?.code;
  return code === 'ECONNREFUSED' || code === 'ENOENT';
}

function pathOf(route: RouteName, params: Record<string, string> = {}, query: unknown): string {
  const path = routes[route].path.replace(/:(\w+)/g, (_, name: string) => {
    const value = params[name];
    if (!value) throw new RunyardError('bad_request', `The ${name} is missing.`);
    return encodeURIComponent(value);
  });
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries((query ?? {}) as Record<string, unknown>)) {
    if (value !== undefined) search.set(key, String(value));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}
