import type { Readable, Writable } from 'node:stream';
import { RunyardError, type ErrorCode } from '../api/errors.ts';
import { plainText } from './plain-text.ts';
import { encodeFrame, encodeHead, FrameDecoder, ProtocolError } from '../protocol/frames.ts';
import { notificationSchema, type Cursor, type Notification } from '../protocol/messages.ts';

/** A stream to an agent and back, however it is made (child process, SSH). */
export interface DuplexToAgent {
  input: Writable;
  output: Readable;
  /** Ends the transport. */
  close(): void;
  /** The last lines the agent (or what stood in its way) wrote to stderr. */
  diagnostics(): string;
}

export interface Reply<R> {
  result: R;
  payload: Uint8Array;
}

interface Waiting {
  resolve(reply: Reply<never>): void;
  reject(error: Error): void;
}

/** Cursors in one header; each has about a hundred bytes, and a name of at most some hundreds. */
const cursorsPerRequest = 1000;

function pagesOf(cursors: Record<string, Cursor>): Record<string, Cursor>[] {
  const all = Object.entries(cursors);
  const pages: Record<string, Cursor>[] = [];
  for (let at = 0; at < all.length; at += cursorsPerRequest)
    pages.push(Object.fromEntries(all.slice(at, at + cursorsPerRequest)));
  return pages;
}

type WatchHandler = (notification: Notification, payload: Uint8Array) => void;

/** Codes of the agent that are also ours. */
const codes = new Set<string>([
  'bad_request',
  'not_found',
  'conflict',
  'no_space',
  'not_permitted',
  'internal',
]);

/** Requests, replies and watches over one duplex stream. Lives until the stream ends. */
export class AgentChannel {
  /** Settles when the channel has ended; the error says why. */
  readonly closed: Promise<RunyardError>;
  private readonly duplex: DuplexToAgent;
  private readonly waiting = new Map<number, Waiting>();
  private readonly watches = new Map<number, WatchHandler>();
  private readonly decoder: FrameDecoder;
  private nextId = 1;
  private ended: RunyardError | undefined;
  private resolveClosed!: (error: RunyardError) => void;

  constructor(duplex: DuplexToAgent, nonce: string) {
    this.duplex = duplex;
    this.decoder = new FrameDecoder(nonce);
    this.closed = new Promise((resolve) => (this.resolveClosed = resolve));
    duplex.output.on('data', (bytes: Buffer) => this.receive(bytes));
    duplex.output.on('close', () => this.end());
    duplex.output.on('error', (error: Error) => this.end(error));
    duplex.input.on('error', (error: Error) => this.end(error));
    // Whoever made the stream may have stopped it, so that nothing is lost before somebody listens.
    duplex.output.resume();
  }

  get isOpen(): boolean {
    return this.ended === undefined;
  }

  /**
   * One request. Throws RunyardError: what the agent says, or `unavailable` when the channel ended. The payload's
   * memory is not to be written to before `left` is called: it was sent then, or never will be.
   */
  request<R>(
    method: string,
    params: object = {},
    payload?: Uint8Array,
    left: () => void = () => {},
  ): Promise<Reply<R>> {
    if (this.ended) return Promise.reject(this.ended);
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      try {
        const { input } = this.duplex;
        input.write(encodeHead({ id, method, params }, payload?.byteLength ?? 0));
        if (payload && payload.byteLength > 0) input.write(payload, () => left());
      } catch (error) {
        this.waiting.delete(id);
        reject(error as Error);
      }
    });
  }

  /** Resolves when what was sent so far has left: keeps an upload from filling the memory. */
  async drained(): Promise<void> {
    const { input } = this.duplex;
    if (this.ended || !input.writableNeedDrain) return;
    await Promise.race([new Promise((resolve) => input.once('drain', resolve)), this.closed]);
  }

  /** Starts a watch; notifications that come before the reply is handled are not lost. */
  async watch(
    attempt: { run: string; attempt: number },
    cursors: Record<string, Cursor>,
    handler: WatchHandler,
  ): Promise<number> {
    const [first = {}, ...rest] = pagesOf(cursors);
    const params = { ...attempt, cursors: first, more: rest.length > 0 };
    const id = this.nextId;
    const early: [Notification, Uint8Array][] = [];
    const reply = this.request<{ watch: number }>('run.watch', params);
    // The reply comes before the first notification: the handler is set in the same turn as the reply.
    const waiting = this.waiting.get(id);
    if (waiting) {
      const resolve = waiting.resolve;
      waiting.resolve = (value: Reply<never>) => {
        this.watches.set((value.result as { watch: number }).watch, (n, p) => early.push([n, p]));
        resolve(value);
      };
    }
    const { result } = await reply;
    this.watches.set(result.watch, handler);
    for (const [i, page] of rest.entries()) {
      const more = i < rest.length - 1;
      await this.request('watch.cursors', { watch: result.watch, cursors: page, more });
    }
    for (const [notification, payload] of early) handler(notification, payload);
    return result.watch;
  }

  /** Tells the agent that so many payload bytes of a watch are stored. */
  credit(watch: number, bytes: number): void {
    if (!this.ended) this.duplex.input.write(encodeFrame({ watch, credit: bytes }));
  }

  unwatch(watch: number): void {
    if (this.watches.delete(watch) && !this.ended)
      void this.request('watch.stop', { watch }).catch(() => undefined);
  }

  close(): void {
    this.end();
  }

  private receive(bytes: Buffer): void {
    try {
      for (const { header, payload } of this.decoder.push(bytes)) {
        if (typeof header['id'] === 'number') this.settle(header['id'], header, payload);
        else this.notify(header, payload);
      }
    } catch (error) {
      this.end(error as Error);
    }
  }

  private settle(id: number, header: Record<string, unknown>, payload: Uint8Array): void {
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    this.waiting.delete(id);
    const error = header['error'] as { code?: string; message?: string; action?: string } | undefined;
    if (!error) {
      waiting.resolve({ result: (header['result'] ?? {}) as never, payload });
      return;
    }
    const code = (codes.has(error.code ?? '') ? error.code : 'internal') as ErrorCode;
    waiting.reject(
      new RunyardError(code, plainText(String(error.message ?? 'The agent gave an error without words.')), {
        ...(error.action ? { action: plainText(String(error.action)) } : {}),
      }),
    );
  }

  private notify(header: Record<string, unknown>, payload: Uint8Array): void {
    const parsed = notificationSchema.safeParse(header);
    // Kinds that this version does not know are left out, as the protocol says.
    if (!parsed.success) return;
    this.watches.get(parsed.data.watch)?.(parsed.data, payload);
  }

  private end(cause?: Error): void {
    if (this.ended) return;
    const words = [this.decoder.synchronised ? '' : this.decoder.noise, this.duplex.diagnostics()];
    const said = plainText(words.join('\n')).trim().slice(-1000);
    const what =
      cause instanceof ProtocolError
        ? `The agent speaks no protocol of ours: ${cause.message}.`
        : 'The connection to the agent ended.';
    this.ended = new RunyardError('unavailable', said ? `${what} It said: ${said}` : what, { cause });
    for (const { reject } of this.waiting.values()) reject(this.ended);
    this.waiting.clear();
    this.watches.clear();
    // An agent that was killed leaves the connection open that it was spoken to over.
    this.duplex.close();
    this.resolveClosed(this.ended);
  }
}
