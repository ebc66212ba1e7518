import * as vscode from 'vscode';
import { localCompute } from '../../api/compute.ts';
import type { Environment, HostEnvironment } from '../../api/environment.ts';
import type { Run } from '../../api/entities.ts';
import type { Computes } from '../computes/computes.ts';
import type { Connection } from '../connection.ts';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import { labelOf } from './reference.ts';

/** Events within this time are one look. */
const lookDelayMs = 250;
/** Runs that are named below an environment; the page of each says more. */
export const mostRuns = 20;

/** What is built where. */
export interface Built {
  compute: string;
  build: HostEnvironment;
}

/** The environments of the window's workspace as last seen, and what hosts have built of them. */
export class Environments implements vscode.Disposable {
  private readonly connection: Connection;
  private readonly choice: WorkspaceChoice;
  private readonly computes: Computes;
  private readonly log: Log;
  private readonly changed = new vscode.EventEmitter<void>();
  private readonly subscriptions: vscode.Disposable[];
  private timer: NodeJS.Timeout | undefined;
  private wanted = false;
  private hosts = '';
  workspace = '';
  list: readonly Environment[] = [];
  built: readonly Built[] = [];

  readonly onDidChange = this.changed.event;

  constructor(connection: Connection, choice: WorkspaceChoice, computes: Computes, live: Live, log: Log) {
    this.connection = connection;
    this.choice = choice;
    this.computes = computes;
    this.log = log;
    this.subscriptions = [
      live.onEvent(({ workspace, event }) => {
        if (workspace !== this.workspace) return;
        // A run that was begun or has ended may have built something, and uses something.
        if (event.type === 'environments' || event.type === 'run' || event.type === 'run.deleted')
          this.lookSoon();
      }),
      live.onLookAgain(() => this.lookSoon()),
      computes.onDidLook(() => {
        if (this.hostsNow().join('\n') !== this.hosts) this.lookSoon();
      }),
      connection.onDidChangeHome(() => {
        this.list = [];
        this.built = [];
        this.changed.fire();
      }),
    ];
  }

  /** Whether somebody looks: only then events are followed by a look. */
  set shown(shown: boolean) {
    this.wanted = shown;
  }

  /** Fetches the environments; what hosts have built follows when they have said it. */
  async refresh(): Promise<readonly Environment[]> {
    const workspace = await this.choice.name();
    const client = await this.connection.client();
    const { environments } = await client.call('listEnvironments', { params: { workspace } });
    this.workspace = workspace;
    this.list = environments;
    this.changed.fire();
    void this.lookAtHosts();
    return environments;
  }

  /** What is built of an environment, whichever version. */
  builtOf({ name, hash }: Environment): Built[] {
    return this.built.filter(
      ({ build }) => build.name === name || (build.hash !== null && build.hash === hash),
    );
  }

  /** The newest runs that used it. */
  async usesOf(environment: Environment, most = mostRuns): Promise<Run[]> {
    const { workspace } = this;
    const client = await this.connection.client();
    const params = { workspace, environment: labelOf(environment) };
    const { usedBy } = await client.call('getEnvironment', { params });
    const runs = usedBy
      .slice(0, most)
      .map((run) => client.call('getRun', { params: { workspace, run } }).catch(() => undefined));
    return (await Promise.all(runs)).filter((run) => run !== undefined);
  }

  dispose(): void {
    clearTimeout(this.timer);
    for (const subscription of this.subscriptions) subscription.dispose();
    this.changed.dispose();
  }

  /** This machine, and hosts that are connected anyway: nobody is asked for a password for a list. */
  private hostsNow(): string[] {
    const connected = this.computes.list.filter(
      ({ settings, state }) => settings !== null && state === 'connected',
    );
    return [localCompute, ...connected.map(({ name }) => name)];
  }

  private async lookAtHosts(): Promise<void> {
    const hosts = this.hostsNow();
    this.hosts = hosts.join('\n');
    // Nothing can be built of nothing: no agent is started to say so.
    if (this.list.length === 0) return;
    const client = await this.connection.client();
    const lists = await Promise.all(
      hosts.map(async (compute) => {
        try {
          const { environments } = await client.call('listHostEnvironments', { params: { compute } });
          return environments.map((build) => ({ compute, build }));
        } catch (error) {
          this.log.error(`What is built on ${compute} is not known`, error);
          return this.built.filter((one) => one.compute === compute);
        }
      }),
    );
    const built = lists.flat();
    if (JSON.stringify(built) === JSON.stringify(this.built)) return;
    this.built = built;
    this.changed.fire();
  }

  private lookSoon(): void {
    if (!this.wanted) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.refresh().catch((error: unknown) => this.log.error('The environments cannot be fetched', error));
    }, lookDelayMs);
  }
}
