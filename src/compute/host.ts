import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster, ComputeFacts, ComputeLoad, computeStates } from '../api/compute.ts';
import { RunyardError } from '../api/errors.ts';
import {
  helloSchema,
  hostLoadSchema,
  protocolVersion,
  slurmInfoSchema,
  type Hello,
} from '../protocol/messages.ts';
import { AgentChannel, type DuplexToAgent } from './channel.ts';
import { clusterOf } from './cluster.ts';
import { plainText } from './plain-text.ts';
import { HostProblem, problemOf } from './problem.ts';
import { Steps } from './steps.ts';

export interface Connecting {
  nonce: string;
  steps: Steps;
  signal: AbortSignal;
  /** False once a person wants the connection: then questions are shown. */
  background(): boolean;
}

/** A stream to an agent, and how it was made. */
export interface Duplex extends DuplexToAgent {
  transport?: string;
  address?: string;
}

/** Makes a new stream to the host's agent. Throws RunyardError with what a person can do. */
export type Transport = (connecting: Connecting) => Promise<Duplex>;

export interface HostOptions {
  name: string;
  transport: Transport;
  /** Its state changed. */
  changed: () => void;
  /** It sees this machine's files: blobs need not be sent. */
  sharesFiles?: boolean;
  /** Hexadecimal; by it the agent knows what an earlier connection of this host has left, and ends it. */
  session?: string;
  /** What `host.configure` is told on every connection. */
  configuration?: object;
  /** A person wants the connection that is being made: questions are to be shown. */
  raised?: () => void;
}

/** A channel that has said hello. */
export interface Connection {
  /** What it was made with. */
  options: HostOptions;
  channel: AgentChannel;
  hello: Hello;
  transport: string | null;
  address: string | null;
}

const firstRetryMs = 200;
const longestRetryMs = 30_000;
const helloTimeoutMs = 20_000;
/** A connection that lived shorter does not count as a success: what breaks at once is tried less often. */
const steadyMs = 10_000;
/** A host that takes longer shows what it last said. */
const loadMs = 1500;
const clusterMs = 4000;
/** How long a broken line is made again that nobody waits for. */
const comeBackMs = 15 * 60_000;

/**
 * A machine that runs things: one channel to its agent for everything, made when first needed and again when
 * it broke. "Cannot be reached" is a state of the host, never of a run.
 */
export class Host {
  readonly name: string;
  readonly sharesFiles: boolean;
  private options: HostOptions;
  private connecting: Promise<AgentChannel> | undefined;
  private connection: Connection | undefined;
  private stopped = false;
  private person = false;
  private failure: HostProblem | undefined;
  private lastFacts: ComputeFacts | null = null;
  private lastLoad: ComputeLoad | null = null;
  private lastCluster: Cluster | null = null;
  private pauseMs = firstRetryMs;
  private resting: Promise<void> | undefined;
  private wake: (() => void) | undefined;
  /** Those who rest do so until a person acts. */
  private restsForPerson = false;
  /** The try that is under way; aborted when its settings are others now. */
  private attempt = new AbortController();
  private readonly ending = new AbortController();

  constructor(options: HostOptions) {
    this.options = options;
    this.name = options.name;
    this.sharesFiles = options.sharesFiles ?? false;
  }

  get reachable(): boolean {
    return this.connection !== undefined;
  }

  /** Why there is no connection, when the last try failed. */
  get problem(): HostProblem | undefined {
    return this.connection ? undefined : this.failure;
  }

  get state(): (typeof computeStates)[number] {
    if (this.connection) return 'connected';
    if (this.connecting) return 'connecting';
    if (!this.failure) return 'idle';
    return this.failure.kind;
  }

  /** How the living connection was made. */
  get via(): Pick<Connection, 'transport' | 'address'> | undefined {
    return this.connection;
  }

  /** What the host said of itself when it was last connected. */
  get facts(): ComputeFacts | null {
    return this.lastFacts;
  }

  /**
   * The living channel, or a new one; callers at the same time share one try. Only a `person`'s wish shows
   * questions, and tries again what needs a person. Throws HostProblem.
   */
  connect({ person = false } = {}): Promise<AgentChannel> {
    if (this.stopped) return Promise.reject(new HostProblem('unreachable', 'The server is ending.'));
    if (this.connection) return Promise.resolve(this.connection.channel);
    if (!person && !this.connecting && this.failure?.kind === 'attention')
      return Promise.reject(this.failure);
    if (person && !this.person) {
      this.person = true;
      this.options.raised?.();
    }
    if (!this.connecting) {
      this.connecting = this.open().finally(() => {
        this.connecting = undefined;
        this.person = false;
        this.options.changed();
      });
      this.options.changed();
    }
    return this.connecting;
  }

  /** Tries until it is connected, with growing pauses, as long as somebody wants it. */
  async reconnect(
    wanted: () => boolean,
    failed: (problem: HostProblem) => void = () => {},
  ): Promise<AgentChannel | undefined> {
    while (wanted() && !this.stopped) {
      try {
        return await this.connect();
      } catch (error) {
        const problem = problemOf(this.name, error);
        failed(problem);
        await this.rest(problem);
      }
    }
    return undefined;
  }

  /** What needed a person may be mended: tried again, by whoever waits. */
  retry(): void {
    if (!this.connection) this.failure = undefined;
    this.pauseMs = firstRetryMs;
    this.wake?.();
    this.options.changed();
  }

  /** New settings: the connection is made anew with them. */
  reconfigure(options: HostOptions): void {
    this.options = options;
    this.attempt.abort();
    this.connection?.channel.close();
    this.retry();
  }

  async load(): Promise<ComputeLoad | null> {
    const channel = this.connection?.channel;
    if (!channel) return null;
    const answer = await Promise.race([
      channel.request<unknown>('host.load').catch(() => undefined),
      sleep(loadMs, undefined, { ref: false }),
    ]);
    const said = answer ? hostLoadSchema.safeParse(answer.result).data : undefined;
    if (!said) return this.lastLoad;
    const names = new Map(this.lastFacts?.gpus.map(({ index, name }) => [index, name]));
    this.lastLoad = {
      cpu: said.cpu ?? null,
      memoryUsed: said.memory_used ?? null,
      memoryTotal: said.memory_total ?? null,
      diskFree: said.disk_free ?? null,
      gpus: (said.gpus ?? []).map((gpu) => ({
        index: gpu.index,
        name: names.get(gpu.index) ?? null,
        utilisation: gpu.utilisation ?? null,
        memoryUsed: gpu.memory_used ?? null,
        memoryTotal: gpu.memory_total ?? null,
      })),
      running: said.running,
      queued: said.queued,
      slots: said.slots,
    };
    return this.lastLoad;
  }

  /** The cluster that the host is a login node of; null while it is not connected or does not answer. */
  async cluster(): Promise<Cluster | null> {
    const channel = this.connection?.channel;
    if (!channel) return null;
    const answer = await Promise.race([
      channel.request<unknown>('slurm.info').catch(() => undefined),
      sleep(clusterMs, undefined, { ref: false }),
    ]);
    const said = answer ? slurmInfoSchema.safeParse(answer.result).data : undefined;
    if (said) this.lastCluster = clusterOf(said);
    return this.lastCluster;
  }

  /** A test has found out why there is no connection. */
  note(error: unknown): void {
    if (this.connection || this.connecting) return;
    this.failure = problemOf(this.name, error);
    this.options.changed();
  }

  /** A connection beside the living one, for a test; the caller closes it or lets it be adopted. */
  openAnother(steps: Steps): Promise<Connection> {
    return this.make(steps, () => false, { session: undefined, signal: this.ending.signal });
  }

  /** Takes a new connection for the host's own, where there is none; false when it is not needed. */
  adopt(connection: Connection): boolean {
    if (this.connection || this.connecting || this.stopped || !connection.channel.isOpen) return false;
    if (connection.options !== this.options) return false;
    this.take(connection);
    this.wake?.();
    // From now on it is the one that a later connection takes over from.
    void this.greet(connection.channel, this.options, this.options.session).catch(() => undefined);
    return true;
  }

  stop(): void {
    this.stopped = true;
    this.ending.abort();
    this.wake?.();
    this.connection?.channel.close();
  }

  private async open(): Promise<AgentChannel> {
    for (;;) {
      const { options } = this;
      this.attempt = new AbortController();
      try {
        const signal = AbortSignal.any([this.ending.signal, this.attempt.signal]);
        const connection = await this.make(new Steps(), () => !this.person, {
          session: options.session,
          signal,
        });
        if (this.stopped) {
          connection.channel.close();
          throw new HostProblem('unreachable', 'The server is ending.');
        }
        if (options !== this.options) {
          connection.channel.close();
          continue;
        }
        this.take(connection);
        this.wake?.();
        return connection.channel;
      } catch (error) {
        // With the settings of now it may be another place.
        if (options !== this.options && !this.stopped) continue;
        this.failure = problemOf(this.name, error);
        // A person has acted, and now it is the line: those who wait try by themselves again.
        if (this.failure.kind === 'unreachable' && this.restsForPerson) this.wake?.();
        throw this.failure;
      }
    }
  }

  private take(connection: Connection): void {
    const { channel } = connection;
    const since = performance.now();
    this.connection = connection;
    this.failure = undefined;
    void channel.closed.then((error) => {
      if (this.connection !== connection) return;
      if (performance.now() - since > steadyMs) this.pauseMs = firstRetryMs;
      this.connection = undefined;
      this.failure = problemOf(this.name, error);
      this.options.changed();
      this.comeBack();
    });
    this.options.changed();
  }

  /** A line that was there is made again for a while, also when nobody waits for it: somebody looks at the host. */
  private comeBack(): void {
    if (this.sharesFiles) return;
    const until = performance.now() + comeBackMs;
    void this.reconnect(() => performance.now() < until);
  }

  private async make(
    steps: Steps,
    background: () => boolean,
    { session, signal }: { session: string | undefined; signal: AbortSignal },
  ): Promise<Connection> {
    const { options } = this;
    const nonce = randomBytes(16).toString('hex');
    const duplex = await options.transport({ nonce, steps, background, signal });
    const channel = new AgentChannel(duplex, nonce);
    try {
      const hello = await steps.run(
        'hello',
        'Agent answers',
        () => this.greet(channel, options, session),
        ({ facts }) => ({ detail: describeFacts(facts) }),
      );
      this.lastFacts = factsOf(hello);
      const { transport = null, address = null } = duplex;
      return { options, channel, hello, transport, address };
    } catch (error) {
      channel.close();
      throw error;
    }
  }

  private async greet(
    channel: AgentChannel,
    { configuration }: HostOptions,
    session: string | undefined,
  ): Promise<Hello> {
    const answer = await Promise.race([
      channel.request<unknown>('hello', { protocol: protocolVersion, client: 'runyard', session }),
      sleep(helloTimeoutMs, undefined, { ref: false }),
    ]);
    if (!answer) throw new HostProblem('unreachable', `The agent on ${this.name} does not answer.`);
    const hello = helloSchema.safeParse(answer.result);
    if (!hello.success) throw new HostProblem('unreachable', `The agent on ${this.name} speaks garbage.`);
    // On a full disk the settings wait; what is there can still be collected.
    if (configuration) {
      await channel.request('host.configure', configuration).catch((error: RunyardError) => {
        if (error.code !== 'no_space') throw error;
      });
    }
    return hello.data;
  }

  /** Until the next try: a pause for all who wait, or until a person has acted. */
  private rest(problem: HostProblem): Promise<void> {
    this.resting ??= new Promise<void>((resolve) => {
      this.restsForPerson = problem.kind === 'attention';
      const timer = problem.kind === 'attention' ? undefined : setTimeout(resolve, this.pauseMs).unref();
      this.pauseMs = Math.min(this.pauseMs * 2, longestRetryMs);
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    }).finally(() => {
      this.resting = undefined;
      this.restsForPerson = false;
      this.wake = undefined;
    });
    return this.resting;
  }
}

function factsOf({ facts, root }: Hello): ComputeFacts {
  return {
    hostname: plainText(facts.hostname),
    os: plainText(facts.os),
    arch: facts.arch,
    python: facts.python.version,
    cpus: facts.cpus,
    memoryBytes: facts.memory,
    gpus: facts.gpus.map(({ index, name }) => ({ index, name: name == null ? null : plainText(name) })),
    root: plainText(root),
    slurm: facts.slurm ? plainText(facts.slurm.version) : null,
  };
}

function describeFacts({ hostname, os, arch, cpus, memory, gpus }: Hello['facts']): string {
  const names = gpus.map(({ name }) => name ?? 'GPU');
  const has = names.length > 0 ? names.join(', ') : 'no GPU';
  return `${hostname}: ${os} ${arch}, ${cpus} CPUs, ${Math.round(memory / 1e9)} GB of memory, ${has}.`;
}

/** Only for errors of a request: the channel's own are problems of the host. */
export function isRefusal(error: unknown): boolean {
  return error instanceof RunyardError && !(error instanceof HostProblem) && error.code !== 'unavailable';
}
