import { createHash } from 'node:crypto';
import os from 'node:os';
import path from 'node:path';
import {
  cleanedSchema,
  computeSettingsSchema,
  type Cleaned,
  localCompute,
  updateComputeSchema,
  type AddComputeRequest,
  type Compute,
  type ComputeCandidate,
  type ComputeSettings,
  isOverSsh,
  type ConnectionTest,
  type UpdateComputeRequest,
} from '../api/compute.ts';
import { RunyardError } from '../api/errors.ts';
import { ComputesFile } from './computes-file.ts';
import { Host, type HostOptions } from './host.ts';
import { connectLocalShell } from './local-shell.ts';
import { startLocalAgent } from './local-transport.ts';
import type { Prompts } from './prompts.ts';
import { Secrets } from './secrets.ts';
import { Asker } from './ssh/asker.ts';
import { configHosts } from './ssh/config-hosts.ts';
import { sshOptions } from './ssh/options.ts';
import { connectSsh } from './ssh/transport.ts';
import { testConnection } from './test-connection.ts';

export interface HostsOptions {
  /** dist/agent.pyz and dist/bootstrap.py lie side by side. */
  agentFile: string;
  /** Root folder of this machine's agent. */
  localRoot: string;
  /** Where the targets that a person added are kept. */
  computesFile: string;
  prompts: Prompts;
  changed: (name: string) => void;
}

interface Entry {
  host: Host;
  /** Null for this machine. */
  settings: ComputeSettings | null;
}

/** Settings by which a target is another place: not to be changed while runs are there. */
const placeSettings = ['host', 'user', 'port', 'configFile', 'root'] as const;

/** The compute targets by name. */
export class Hosts {
  private readonly options: HostsOptions;
  private readonly file: ComputesFile;
  private readonly entries = new Map<string, Entry>();
  private readonly secrets = new Secrets();
  private agentSocket: string | undefined = process.env['SSH_AUTH_SOCK'];
  /** Why the kept targets could not be read. */
  private damage: RunyardError | undefined;
  private writing: Promise<unknown> = Promise.resolve();

  constructor(options: HostsOptions) {
    this.options = options;
    this.file = new ComputesFile(options.computesFile);
    const { agentFile, localRoot, changed } = options;
    const local = new Host({
      name: localCompute,
      transport: ({ nonce }) => startLocalAgent({ agentFile, root: localRoot, nonce }),
      changed: () => changed(localCompute),
      sharesFiles: true,
    });
    this.entries.set(localCompute, { host: local, settings: null });
    try {
      for (const [name, settings] of this.file.read()) this.entries.set(name, this.entryOf(name, settings));
    } catch (error) {
      this.damage = error instanceof RunyardError ? error : new RunyardError('internal', String(error));
    }
  }

  /** Throws `not_found`, naming what there is. */
  get(name: string): Host {
    return this.entry(name).host;
  }

  get names(): string[] {
    return [...this.entries.keys()];
  }

  /** As `get`, but undefined for a target that was removed. */
  find(name: string): Host | undefined {
    return this.entries.get(name)?.host;
  }

  /** What a person has set; null for this machine. Throws `not_found`. */
  settings(name: string): ComputeSettings | null {
    return this.entry(name).settings;
  }

  list(): Promise<Compute[]> {
    return Promise.all([...this.entries.keys()].map((name) => this.describe(name)));
  }

  async describe(name: string): Promise<Compute> {
    const { host, settings } = this.entry(name);
    const isCluster = settings?.scheduler === 'slurm';
    const [load, cluster] = await Promise.all([host.load(), isCluster ? host.cluster() : null]);
    const problem = host.problem;
    return {
      name,
      kind: settings !== null && isOverSsh(settings) ? 'ssh' : 'local',
      settings,
      address: host.via?.address ?? (settings && addressOfSettings(settings)),
      state: host.state,
      problem: problem?.message ?? null,
      action: problem?.action ?? null,
      secretKey: problem?.secretKey ?? null,
      transport: host.via?.transport ?? null,
      facts: host.facts,
      load,
      cluster,
      activeRuns: 0,
    };
  }

  /** Throws `conflict` when the name is taken. */
  add({ name, ...settings }: AddComputeRequest): Promise<void> {
    return this.change(async () => {
      if (this.entries.has(name)) {
        throw new RunyardError('conflict', `There is a compute target "${name}" already.`, {
          action: 'Choose another name, or edit that one.',
        });
      }
      const entry = this.entryOf(name, computeSettingsSchema.parse(settings));
      await this.save((all) => all.set(name, entry.settings!));
      this.entries.set(name, entry);
      this.options.changed(name);
    });
  }

  /** Throws `conflict` for another place while `activeRuns` are there. */
  update(name: string, request: UpdateComputeRequest, activeRuns: number): Promise<void> {
    return this.change(async () => {
      const { host, settings: old } = this.entry(name);
      if (!old) throw new RunyardError('bad_request', 'This machine has no settings.');
      const changes = updateComputeSchema.parse(request);
      const keep = { ...old.keep, ...definedOf(changes.keep ?? {}) };
      const slurm = { ...old.slurm, ...definedOf(changes.slurm ?? {}) };
      const settings = computeSettingsSchema.parse({ ...old, ...definedOf(changes), keep, slurm });
      const moved = placeSettings.filter((key) => settings[key] !== old[key]);
      if (moved.length > 0 && activeRuns > 0) {
        throw new RunyardError(
          'conflict',
          `"${name}" has active runs: its ${moved.join(', ')} cannot change now.`,
          {
            action: 'Wait for them or cancel them, or add another compute target.',
          },
        );
      }
      await this.save((all) => all.set(name, settings));
      this.entries.set(name, { host, settings });
      host.reconfigure(this.hostOptions(name, settings));
      this.options.changed(name);
    });
  }

  remove(name: string): Promise<void> {
    return this.change(async () => {
      const { host, settings } = this.entry(name);
      if (!settings) throw new RunyardError('bad_request', 'This machine is always a compute target.');
      await this.save((all) => all.delete(name));
      this.entries.delete(name);
      host.stop();
      this.options.changed(name);
    });
  }

  /**
   * Connects now. Where a person wants it, questions are shown; a `silent` try is only answered by who knows the
   * answer. Throws HostProblem.
   */
  async connect(
    name: string,
    { agentSocket, silent }: { agentSocket?: string | undefined; silent: boolean },
  ): Promise<void> {
    this.noteAgentSocket(agentSocket);
    const host = this.get(name);
    if (silent && !host.reachable) host.retry();
    await host.connect({ person: !silent });
  }

  /** What is connected stays so; the next sign-in asks again. */
  forgetSecrets(keys: readonly string[]): void {
    for (const key of keys) this.secrets.forget(key);
  }

  test(
    name: string,
    asked: { agentSocket?: string | undefined; environment?: Record<string, string> | undefined },
  ): Promise<ConnectionTest> {
    this.noteAgentSocket(asked.agentSocket);
    const { host, settings } = this.entry(name);
    return testConnection(host, settings, host.sharesFiles ? asked.environment : undefined);
  }

  /** Removes old run folders and cached files there now. Throws HostProblem. */
  async clean(name: string): Promise<Cleaned> {
    const channel = await this.get(name).connect({ person: true });
    return cleanedSchema.parse((await channel.request('host.clean')).result);
  }

  /** Hosts that an ssh configuration names, with what is known of them. */
  async candidates(configFile?: string): Promise<ComputeCandidate[]> {
    const names = await configHosts(configFile);
    const found: ComputeCandidate[] = [];
    for (const host of names) {
      const address = { host, user: null, port: null, configFile: configFile ?? null };
      const options = await sshOptions(address, undefined).catch(() => undefined);
      found.push({
        host,
        user: options?.user ?? null,
        hostName: options?.hostName ?? null,
        port: options?.port ?? null,
        usedBy: [...this.entries].filter(([, { settings }]) => settings?.host === host).map(([name]) => name),
      });
    }
    return found;
  }

  /** The latest agent of a person who is here; the server's own may be gone. */
  noteAgentSocket(socket: string | undefined): void {
    if (socket && path.isAbsolute(socket)) this.agentSocket = socket;
  }

  stop(): void {
    for (const { host } of this.entries.values()) host.stop();
  }

  private entry(name: string): Entry {
    const found = this.entries.get(name);
    if (found) return found;
    if (this.damage) throw this.damage;
    throw new RunyardError('not_found', `There is no compute target "${name}".`, {
      action: `Choose one of: ${[...this.entries.keys()].join(', ')}; or add it: runyard compute add.`,
    });
  }

  private entryOf(name: string, settings: ComputeSettings): Entry {
    return { host: new Host(this.hostOptions(name, settings)), settings };
  }

  private hostOptions(name: string, settings: ComputeSettings): HostOptions {
    const { agentFile, prompts, changed } = this.options;
    const files = { agentFile, bootstrapFile: path.join(path.dirname(agentFile), 'bootstrap.py') };
    return {
      name,
      changed: () => changed(name),
      raised: () => prompts.raise(name),
      session: createHash('sha256')
        .update(JSON.stringify([os.hostname(), this.options.computesFile, name]))
        .digest('hex')
        .slice(0, 32),
      configuration: { slots: settings.slots, detach: settings.detach, keep: settings.keep },
      transport: async ({ nonce, steps, signal, background }) => {
        const over = new AbortController();
        const asker = new Asker(
          name,
          { prompts, secrets: this.secrets },
          AbortSignal.any([signal, over.signal]),
          background,
        );
        if (!isOverSsh(settings)) return connectLocalShell({ settings, files, nonce, steps, signal });
        try {
          return await connectSsh({
            settings,
            files,
            nonce,
            asker,
            steps,
            signal,
            agentSocket: this.agentSocket,
          });
        } finally {
          // What is still asked is of no use any more.
          over.abort();
        }
      },
    };
  }

  /** One change at a time: each reads what the one before has written. */
  private change<T>(work: () => Promise<T>): Promise<T> {
    const done = this.writing.then(work);
    this.writing = done.catch(() => undefined);
    return done;
  }

  private async save(change: (all: Map<string, ComputeSettings>) => void): Promise<void> {
    // A damaged file is not written over.
    const all = this.file.read();
    change(all);
    await this.file.write(all);
    this.damage = undefined;
  }
}

function addressOfSettings({ host, user, port }: ComputeSettings): string | null {
  if (host === null) return null;
  const name = port && host.includes(':') ? `[${host}]` : host;
  return `${user ? `${user}@` : ''}${name}${port ? `:${port}` : ''}`;
}

function definedOf(changes: object): object {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}
