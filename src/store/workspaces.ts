import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Workspace } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import { workspaceNameSchema } from '../api/requests.ts';
import { Blobs, noSpace } from './blobs.ts';
import { openForReading, refuseNetworkFileSystem, type Reader } from './database.ts';
import type { Writer } from './writer.ts';

/** The workspace that is there without anybody having made it. */
export const defaultWorkspace = 'default';

/** One workspace, open: its folder, its database for reading, its blobs. */
export interface OpenWorkspace {
  name: string;
  dir: string;
  /** The database file, by which changes are addressed to the writer. */
  file: string;
  reader: Reader;
  blobs: Blobs;
  /** Folder of a run's files that are not blobs (logs). */
  runDir(runId: string): string;
}

/** The workspaces of a home: a folder each. */
export class Workspaces {
  private readonly root: string;
  private readonly currentFile: string;
  private readonly writer: Writer;
  private readonly open = new Map<string, Promise<OpenWorkspace>>();
  /** Names of workspaces that are being deleted: nobody gets to use them any more. */
  private readonly doomed = new Set<string>();
  private readonly opened: (workspace: OpenWorkspace) => Promise<void>;

  /** `opened` is awaited once for each workspace, before anybody gets to use it. */
  constructor(
    root: string,
    writer: Writer,
    opened: (workspace: OpenWorkspace) => Promise<void> = async () => {},
  ) {
    this.root = root;
    this.currentFile = path.join(root, '.current');
    this.writer = writer;
    this.opened = opened;
  }

  /** Opens what the name says. Throws `not_found` (the default workspace is made on first use). */
  get(name: string): Promise<OpenWorkspace> {
    if (this.doomed.has(name)) return Promise.reject(beingDeleted(name));
    let opening = this.open.get(name);
    if (!opening) {
      opening = this.load(name);
      this.open.set(name, opening);
      opening.catch(() => this.open.delete(name));
    }
    return opening;
  }

  async create(name: string): Promise<Workspace> {
    const parsed = workspaceNameSchema.safeParse(name);
    if (!parsed.success) {
      throw new RunyardError('bad_request', `"${name}" cannot be the name of a workspace.`, {
        action: 'Use letters, digits, ".", "_" and "-", at most 63 of them.',
      });
    }
    if (this.doomed.has(name)) throw beingDeleted(name);
    const existing = (await this.names()).find((other) => other.toLowerCase() === name.toLowerCase());
    if (existing) throw new RunyardError('conflict', `The workspace "${existing}" exists already.`);
    await this.make(name);
    await this.get(name);
    return this.describe(name);
  }

  async list(): Promise<Workspace[]> {
    if (!(await this.names()).includes(defaultWorkspace))
      await this.get(defaultWorkspace).catch(() => undefined);
    const names = (await this.names()).filter((name) => !this.doomed.has(name));
    const all = await Promise.allSettled(names.map((name) => this.describe(name)));
    return all.flatMap((one, i) => {
      if (one.status === 'fulfilled') return [one.value];
      // Deleted while it was looked at.
      if (!existsSync(path.join(this.root, names[i]!))) return [];
      throw one.reason as Error;
    });
  }

  /** Every workspace that could be opened; one that cannot is left out here and explained by `list`. */
  async openAll(): Promise<OpenWorkspace[]> {
    const all = await Promise.allSettled((await this.names()).map((name) => this.get(name)));
    return all.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  }

  async current(): Promise<string> {
    const name = (await readFile(this.currentFile, 'utf8').catch(() => '')).trim();
    return name && existsSync(path.join(this.root, name)) ? name : defaultWorkspace;
  }

  async use(name: string): Promise<Workspace> {
    await this.get(name);
    await writeFile(this.currentFile, `${name}\n`);
    return this.describe(name);
  }

  /**
   * Removes the folder and everything in it. Nobody else gets the workspace meanwhile; `release` ends what
   * uses it, and keeps the workspace by throwing.
   */
  async delete(name: string, release: (workspace: OpenWorkspace) => Promise<void>): Promise<void> {
    const workspace = await this.get(name);
    if (this.doomed.has(name)) throw beingDeleted(name);
    this.doomed.add(name);
    try {
      await release(workspace);
      this.open.delete(name);
      workspace.reader.close();
      await this.writer.close(workspace.file);
      // Renamed first: a kill in the middle leaves a dotted folder, which is no workspace, and goes later.
      const doomed = path.join(this.root, `.deleted-${name}-${Date.now()}`);
      await rename(workspace.dir, doomed);
      await rm(doomed, { recursive: true, force: true });
    } finally {
      this.doomed.delete(name);
    }
  }

  private async names(): Promise<string[]> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    const entries = await readdir(this.root, { withFileTypes: true });
    for (const entry of entries) {
      if (entry.name.startsWith('.deleted-')) {
        await rm(path.join(this.root, entry.name), { recursive: true, force: true });
      }
    }
    return entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
      .map((entry) => entry.name)
      .sort();
  }

  private async describe(name: string): Promise<Workspace> {
    const dir = path.join(this.root, name);
    let problem: string | null = null;
    try {
      await this.get(name);
    } catch (error) {
      problem = (error as Error).message;
    }
    const { birthtimeMs } = await stat(dir);
    return { name, path: dir, createdAt: birthtimeMs, current: name === (await this.current()), problem };
  }

  private async make(name: string): Promise<void> {
    try {
      await mkdir(path.join(this.root, name), { recursive: true, mode: 0o700 });
    } catch (error) {
      throw noSpace(error, this.root);
    }
  }

  private async load(name: string): Promise<OpenWorkspace> {
    const dir = path.join(this.root, name);
    const known = workspaceNameSchema.safeParse(name).success;
    if (known && name === defaultWorkspace) await this.make(name);
    if (!known || !existsSync(dir)) {
      throw new RunyardError('not_found', `There is no workspace "${name}".`, {
        action: 'List them with "runyard workspace list", or create it.',
      });
    }
    refuseNetworkFileSystem(dir);
    const file = path.join(dir, 'workspace.db');
    await this.writer.open(file);
    try {
      const workspace: OpenWorkspace = {
        name,
        dir,
        file,
        reader: openForReading(file),
        blobs: new Blobs(path.join(dir, 'blobs')),
        runDir: (runId) => path.join(dir, 'runs', runId),
      };
      await workspace.blobs.sweep();
      await this.opened(workspace);
      return workspace;
    } catch (error) {
      await this.writer.close(file);
      throw error;
    }
  }
}

function beingDeleted(name: string): RunyardError {
  return new RunyardError('not_found', `The workspace "${name}" is being deleted.`);
}
