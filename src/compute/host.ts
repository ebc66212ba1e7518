import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Compute } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import {
  helloSchema,
  hostLoadSchema,
  protocolVersion,
  type Hello,
  type HostLoad,
} from '../protocol/messages.ts';
import { AgentChannel, type DuplexToAgent } from './channel.ts';

/** Makes a new stream to the host's agent. Throws RunyardError with what a person can do. */
export type Transport = (nonce: string) => Promise<DuplexToAgent>;

const firstRetryMs = 200;
const longestRetryMs = 30_000;
const helloTimeoutMs = 20_000;

/**
 * A machine that runs things: one channel to its agent, made when first needed and again when it broke.
 * "Cannot be reached" is a state of the host, never of a run.
 */
export class Host {
  readonly name: string;
  /** It sees this machine's files: blobs need not be sent. */
  readonly sharesFiles: boolean;
  private readonly transport: Transport;
  private readonly changed: () => void;
  private connecting: Promise<AgentChannel> | undefined;
  private channel: AgentChannel | undefined;
  private stopped = false;
  private failure: RunyardError | undefined;
  private load: HostLoad | undefined;
  hello: Hello | undefined;

  constructor(name: string, transport: Transport, changed: () => void, sharesFiles = false) {
    this.name = name;
    this.sharesFiles = sharesFiles;
    this.transport = transport;
    this.changed = changed;
  }

  get reachable(): boolean {
    return this.channel !== undefined;
  }

  /** The living channel, or a new one. Callers at the same time share one attempt. */
  connect(): Promise<AgentChannel> {
    if (this.stopped) return Promise.reject(new RunyardError('unavailable', 'The server is ending.'));
    if (this.channel) return Promise.resolve(this.channel);
    this.connecting ??= this.open().finally(() => (this.connecting = undefined));
    return this.connecting;
  }

  /** Tries until it is connected, with growing pauses, as long as somebody wants it. */
  async reconnect(wanted: () => boolean): Promise<AgentChannel | undefined> {
    for (let pause = firstRetryMs; wanted() && !this.stopped; pause = Math.min(pause * 2, longestRetryMs)) {
      try {
        return await this.connect();
      } catch {
        await sleep(pause, undefined, { ref: false });
      }
    }
    return undefined;
  }

  async describe(): Promise<Compute> {
    if (this.channel) {
      const answer = await this.channel.request<unknown>('host.load').catch(() => undefined);
      this.load = answer ? hostLoadSchema.safeParse(answer.result).data : undefined;
    }
    return {
      name: this.name,
      kind: 'local',
      state: this.channel
        ? 'connected'
        : this.connecting
          ? 'connecting'
          : this.failure
            ? 'unreachable'
            : 'idle',
      problem: this.failure?.message ?? null,
      slots: this.load?.slots ?? null,
      running: this.load?.running ?? null,
      queued: this.load?.queued ?? null,
    };
  }

  stop(): void {
    this.stopped = true;
    this.channel?.close();
  }

  private async open(): Promise<AgentChannel> {
    try {
      const nonce = randomBytes(16).toString('hex');
      const channel = new AgentChannel(await this.transport(nonce), nonce);
      const answer = await Promise.race([
        channel.request<unknown>('hello', { protocol: protocolVersion, client: 'runyard' }),
        sleep(helloTimeoutMs, undefined, { ref: false }),
      ]);
      if (!answer) {
        channel.close();
        throw new RunyardError('unavailable', `The agent on ${this.name} does not answer.`);
      }
      this.hello = helloSchema.parse(answer.result);
      this.channel = channel;
      this.failure = undefined;
      void channel.closed.then((error) => {
        if (this.channel !== channel) return;
        this.channel = undefined;
        this.failure = error;
        this.changed();
      });
      return channel;
    } catch (error) {
      this.failure =
        error instanceof RunyardError
          ? error
          : new RunyardError('unavailable', `${this.name} cannot be used: ${(error as Error).message}`, {
              cause: error,
            });
      throw this.failure;
    } finally {
      this.changed();
    }
  }
}
