import { chmodSync, lstatSync, mkdirSync, rmSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import type { Run, ServerInfo } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import type { Home } from '../api/home.ts';
import { Hosts } from '../compute/hosts.ts';
import { Prompts } from '../compute/prompts.ts';
import { EnvironmentService } from '../environments/service.ts';
import { RunService } from '../runs/run-service.ts';
import { SnapshotService } from '../runs/snapshots/service.ts';
import { Snapshots } from '../snapshot/snapshots.ts';
import { SnapshotThreads } from '../snapshot/threads.ts';
import { Workspaces, type OpenWorkspace } from '../store/workspaces.ts';
import { Writer } from '../store/writer.ts';
import { EventHub } from './event-hub.ts';
import { makeHandlers } from './handlers.ts';
import { route } from './router.ts';
import { TcpPort } from './tcp-port.ts';

export interface ServerOptions {
  home: Home;
  version: string;
  build: string;
  builtAt: number;
  agentFile: string;
  writerThread: URL;
  snapshotThread: URL;
  /** With nothing to do and nobody connected for this long, the server ends. */
  idleMs: number;
  log(line: string): void;
  /** Called once everything is closed. */
  ended(): void;
}

/** How long requests under way may take once the server drains. */
const drainMs = 10_000;

/** One server of one home: everything put together, and its end. */
export class RunyardServer {
  readonly version: string;
  readonly hub: EventHub;
  readonly workspaces: Workspaces;
  readonly prompts: Prompts;
  readonly hosts: Hosts;
  readonly snapshots: Snapshots;
  private readonly options: ServerOptions;
  private readonly writer: Writer;
  private readonly services = new Map<string, RunService>();
  private readonly snapshotServices = new Map<string, SnapshotService>();
  private readonly environmentServices = new Map<string, EnvironmentService>();
  private readonly http: http.Server;
  private readonly startedAt = Date.now();
  private tcp: TcpPort | undefined;
  private requests = 0;
  private draining = false;
  private idleTimer: NodeJS.Timeout | undefined;

  constructor(options: ServerOptions) {
    const { home, log } = options;
    this.options = options;
    this.version = options.version;
    this.hub = new EventHub(() => this.noteActivity());
    this.writer = new Writer(options.writerThread, (file, event, id) => this.publish(file, event, id), log);
    this.prompts = new Prompts((event) => this.hub.announce(event));
    this.hosts = new Hosts({
      agentFile: options.agentFile,
      localRoot: home.localHostDir,
      computesFile: home.computesFile,
      prompts: this.prompts,
      changed: (name) => {
        this.hub.announce({ type: 'compute', name });
        for (const service of this.services.values()) service.computeChanged(name);
      },
    });
    this.snapshots = new Snapshots(new SnapshotThreads(options.snapshotThread, log), home.dir);
    this.workspaces = new Workspaces(home.workspacesDir, this.writer, (workspace) => this.opened(workspace));
    const handlers = makeHandlers(this);
    this.http = http.createServer((req, res) => {
      this.requests++;
      this.noteActivity();
      res.on('close', () => {
        this.requests--;
        this.noteActivity();
      });
      void route(handlers, req, res, log);
    });
    this.http.keepAliveTimeout = 60_000;
  }

  /** Opens the socket and the loopback port, and takes up the runs that are active. */
  async start(): Promise<void> {
    const { home, log } = this.options;
    prepareSocketFolder(home.socket);
    await new Promise<void>((resolve, reject) => {
      this.http.once('error', reject);
      this.http.listen(home.socket, resolve);
    });
    if (process.platform !== 'win32') chmodSync(home.socket, 0o600);
    this.tcp = await TcpPort.open(home.serverDir, this.version, log);
    void this.workspaces.openAll();
    this.noteActivity();
    log(`serving ${home.dir} as process ${process.pid} (${this.version}, ${this.options.build})`);
  }

  info(): ServerInfo {
    return {
      version: this.version,
      build: this.options.build,
      builtAt: this.options.builtAt,
      pid: process.pid,
      home: this.options.home.dir,
      startedAt: this.startedAt,
      tcpPort: this.tcp?.number ?? 0,
      activeRuns: this.activeRuns,
      draining: this.draining,
      memoryBytes: process.memoryUsage.rss(),
    };
  }

  /** Runs of a workspace; opens it. Throws `not_found`. */
  async runsOf(name: string): Promise<RunService> {
    const workspace = await this.workspaces.get(name);
    return this.services.get(workspace.file)!;
  }

  /** Snapshots of a workspace; opens it. Throws `not_found`. */
  async snapshotsOf(name: string): Promise<SnapshotService> {
    const workspace = await this.workspaces.get(name);
    return this.snapshotServices.get(workspace.file)!;
  }

  /** Environments of a workspace; opens it. Throws `not_found`. */
  async environmentsOf(name: string): Promise<EnvironmentService> {
    const workspace = await this.workspaces.get(name);
    return this.environmentServices.get(workspace.file)!;
  }

  /** Services of the workspaces that are open. */
  get openServices(): RunService[] {
    return [...this.services.values()];
  }

  deleteWorkspace(name: string): Promise<void> {
    return this.workspaces.delete(name, async (workspace) => {
      const service = this.services.get(workspace.file);
      if (!service) return;
      await service.close();
      if (service.activeRuns > 0) {
        service.reopen();
        throw new RunyardError('conflict', `The workspace "${name}" has active runs and cannot be deleted.`, {
          action: 'Cancel them first.',
        });
      }
      for (const experiment of this.experimentsOf(workspace)) await service.deleteExperiment(experiment);
      await service.stop();
      this.services.delete(workspace.file);
      this.snapshotServices.delete(workspace.file);
      this.environmentServices.delete(workspace.file);
      this.hub.dismiss(workspace.file);
    });
  }

  refuseWhenDraining(): void {
    if (this.draining) {
      throw new RunyardError('unavailable', 'The server is ending; the next one takes this over.', {
        action: 'Try again.',
      });
    }
  }

  /** Finishes what is under way, closes everything and ends. Runs go on. */
  drain(reason: string): void {
    if (this.draining) return;
    this.draining = true;
    this.options.log(`ending: ${reason}`);
    void this.end(reason);
  }

  private async end(reason: string): Promise<void> {
    clearTimeout(this.idleTimer);
    const { home, ended, log } = this.options;
    try {
      const deadline = Date.now() + drainMs;
      while (this.requests > this.hub.connections + 1 && Date.now() < deadline) await pause(20);
      const services = [...this.services.values()];
      // Submits that take longer are left to the next server.
      for (const step of ['settled', 'stop'] as const)
        await Promise.race([Promise.all(services.map((service) => service[step]())), pause(drainMs)]);
      this.hub.close(reason);
      this.hosts.stop();
      this.tcp?.close();
      this.http.close();
      this.http.closeIdleConnections();
      await pause(20);
      this.http.closeAllConnections();
      for (const workspace of await this.workspaces.openAll()) await this.writer.close(workspace.file);
      await this.snapshots.end();
      await this.writer.end();
      if (process.platform !== 'win32') rmSync(home.socket, { force: true });
    } catch (error) {
      log(`while ending: ${(error as Error).stack}`);
    }
    ended();
  }

  private get activeRuns(): number {
    let count = 0;
    for (const service of this.services.values()) count += service.activeRuns;
    return count;
  }

  private async opened(workspace: OpenWorkspace): Promise<void> {
    const environments = new EnvironmentService({
      workspace,
      writer: this.writer,
      hosts: this.hosts,
      factsOf: (run) => service.environmentFacts(run),
    });
    this.environmentServices.set(workspace.file, environments);
    const service: RunService = new RunService({
      workspace,
      writer: this.writer,
      hosts: this.hosts,
      snapshots: this.snapshots,
      environments,
      hint: (event) => this.hub.publish(workspace.file, event, null),
      log: this.options.log,
    });
    this.services.set(workspace.file, service);
    const { writer, snapshots } = this;
    const collectGarbage = () => service.garbageSoon();
    this.snapshotServices.set(
      workspace.file,
      new SnapshotService({ workspace, writer, snapshots, collectGarbage }),
    );
    service.resume();
  }

  private experimentsOf(workspace: OpenWorkspace): string[] {
    return workspace.reader.all<{ name: string }>('SELECT name FROM experiments').map(({ name }) => name);
  }

  private publish(file: string, event: object, id: number | null): void {
    const run = (event as { run?: Run }).run;
    const service = this.services.get(file);
    this.hub.publish(file, run && service ? { ...event, run: service.withReachability(run) } : event, id);
    if (id !== null) this.noteActivity();
  }

  /** (Re)starts the wait for idleness while there is nothing to do. */
  private noteActivity(): void {
    if (this.draining) return;
    clearTimeout(this.idleTimer);
    this.idleTimer = setTimeout(() => {
      if (this.requests === 0 && this.activeRuns === 0) this.drain('nothing to do');
      else this.noteActivity();
    }, this.options.idleMs);
    this.idleTimer.unref();
  }
}

/** The socket's folder is the person's own; a socket that a killed server left is removed (we hold the lock). */
function prepareSocketFolder(socket: string): void {
  if (process.platform === 'win32') return;
  const dir = path.dirname(socket);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const folder = lstatSync(dir);
  const { uid, mode } = folder;
  if (uid !== process.getuid?.() || !folder.isDirectory()) {
    throw new RunyardError('not_permitted', `The folder ${dir} belongs to somebody else.`, {
      action: 'Set RUNYARD_HOME to a folder of your own.',
    });
  }
  if (mode & 0o077) chmodSync(dir, 0o700);
  rmSync(socket, { force: true });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
