import * as vscode from 'vscode';
import type { Compute } from '../../api/compute.ts';
import type { Connection } from '../connection.ts';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';

/** Events of one target within this time are one look. */
const lookDelayMs = 100;

/** The compute targets as last seen. Looks again when the server says so; never asks for a server by itself. */
export class Computes implements vscode.Disposable {
  private readonly connection: Connection;
  private readonly log: Log;
  private readonly known = new Map<string, Compute>();
  private asking: Promise<readonly Compute[]> | undefined;
  private readonly looks = new Map<string, NodeJS.Timeout>();
  private readonly changed = new vscode.EventEmitter<readonly Compute[]>();
  private readonly subscriptions: vscode.Disposable[];

  /** Tells the targets that were looked at, whether or not they are different. */
  readonly onDidLook = this.changed.event;

  constructor(connection: Connection, live: Live, log: Log) {
    this.connection = connection;
    this.log = log;
    this.subscriptions = [
      live.onEvent(({ event }) => {
        if (event.type === 'compute') this.lookSoon(event.name);
      }),
      live.onLookAgain(() => {
        this.refresh().catch((error: unknown) => log.error('The compute targets cannot be fetched', error));
      }),
      connection.onDidChangeHome(() => {
        this.known.clear();
        this.changed.fire([]);
      }),
    ];
  }

  get list(): readonly Compute[] {
    return [...this.known.values()];
  }

  get(name: string): Compute | undefined {
    return this.known.get(name);
  }

  /** Fetches all of them; callers at the same time share one call. */
  refresh(): Promise<readonly Compute[]> {
    this.asking ??= this.fetch().finally(() => (this.asking = undefined));
    return this.asking;
  }

  /** What an answer of the server has told of a target. */
  take(compute: Compute): void {
    this.known.set(compute.name, compute);
    this.changed.fire([compute]);
  }

  /** Looks at one target now; undefined when it is gone. */
  async look(name: string): Promise<Compute | undefined> {
    const client = await this.connection.client();
    try {
      const compute = await client.call('getCompute', { params: { compute: name } });
      this.take(compute);
      return compute;
    } catch (error) {
      if ((error as { code?: string }).code !== 'not_found') throw error;
      this.known.delete(name);
      this.changed.fire([]);
      return undefined;
    }
  }

  dispose(): void {
    for (const timer of this.looks.values()) clearTimeout(timer);
    for (const subscription of this.subscriptions) subscription.dispose();
    this.changed.dispose();
  }

  private async fetch(): Promise<readonly Compute[]> {
    const client = await this.connection.client();
    const { computes } = await client.call('listComputes');
    this.known.clear();
    for (const compute of computes) this.known.set(compute.name, compute);
    this.changed.fire(computes);
    return computes;
  }

  private lookSoon(name: string): void {
    if (this.looks.has(name)) return;
    const look = () => {
      this.looks.delete(name);
      this.look(name).catch((error: unknown) => this.log.error(`${name} cannot be looked at`, error));
    };
    this.looks.set(name, setTimeout(look, lookDelayMs));
  }
}
