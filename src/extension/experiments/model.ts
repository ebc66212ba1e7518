import * as vscode from 'vscode';
import type { Client } from '../../client/client.ts';
import type { Experiment, Run } from '../../api/entities.ts';
import type { ServerEvent } from '../../api/events.ts';
import type { Connection } from '../connection.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import { ExperimentNode, RunNode } from './nodes.ts';

export const pageSize = 50;
/** The server gives at most this many at once. */
const largestPage = 1000;

/** What the tree shows: experiments and the runs that were asked for, kept up to date by events. */
export class ExperimentsModel implements vscode.Disposable {
  private readonly connection: Connection;
  private readonly choice: WorkspaceChoice;
  private experiments: Map<string, ExperimentNode> | undefined;
  private readonly runs = new Map<string, RunNode>();
  private loading: Promise<void> | undefined;
  private readonly changed = new vscode.EventEmitter<ExperimentNode | RunNode | undefined>();

  workspace: string | undefined;
  /** Fires with the node that looks different or has other children; undefined: the roots. */
  readonly onDidChange = this.changed.event;

  constructor(connection: Connection, choice: WorkspaceChoice) {
    this.connection = connection;
    this.choice = choice;
  }

  dispose(): void {
    this.changed.dispose();
  }

  /** Throws away everything; it is fetched again when it is shown. */
  reset(): void {
    this.workspace = undefined;
    this.experiments = undefined;
    this.runs.clear();
    this.changed.fire(undefined);
  }

  /** The experiments, the latest run first. */
  async roots(): Promise<ExperimentNode[]> {
    await this.load();
    const nodes = [...(this.experiments?.values() ?? [])];
    const last = (node: ExperimentNode) => node.experiment.lastRunAt ?? node.experiment.createdAt;
    return nodes.sort((a, b) => last(b) - last(a));
  }

  /** The first page of an experiment's runs, or what is there already. */
  async runsOf(node: ExperimentNode): Promise<RunNode[]> {
    if (!node.runs) await this.fetchRuns(node, pageSize);
    return node.runs ?? [];
  }

  async loadMore(node: ExperimentNode): Promise<void> {
    if (node.cursor === null) return;
    await this.fetchRuns(node, pageSize, node.cursor);
    this.changed.fire(node);
  }

  /** Loaded runs that are on their way. */
  *loaded(): Iterable<RunNode> {
    yield* this.runs.values();
  }

  find(runId: string): RunNode | undefined {
    return this.runs.get(runId);
  }

  /** The node of a run; its experiment is loaded if need be. */
  async ensure(run: Run): Promise<RunNode | undefined> {
    await this.load();
    let experiment = this.experiments?.get(run.experiment);
    if (!experiment) {
      await this.refresh();
      experiment = this.experiments?.get(run.experiment);
    }
    if (!experiment) return undefined;
    await this.runsOf(experiment);
    if (!this.runs.has(run.id)) this.put(run, experiment);
    return this.runs.get(run.id);
  }

  /** Fetches again what is shown, and only that. */
  async refresh(): Promise<void> {
    if (!this.experiments) return this.changed.fire(undefined);
    const client = await this.connection.client();
    await this.fetchExperiments(client);
    for (const node of this.experiments.values()) {
      if (!node.runs) continue;
      const count = Math.max(pageSize, this.countIn(node));
      await this.fetchRuns(node, Math.min(count, largestPage), undefined);
    }
    this.changed.fire(undefined);
  }

  /** Takes in what the event stream says. */
  apply(event: ServerEvent): void {
    if (!this.experiments) return;
    switch (event.type) {
      case 'run':
        return this.applyRun(event.run);
      case 'run.deleted':
        return this.remove(event.runId);
      case 'experiment':
        return this.applyExperiment(event.experiment);
      case 'experiment.deleted': {
        const node = this.experiments.get(event.name);
        if (!node) return;
        this.dropRuns(node);
        this.experiments.delete(event.name);
        return this.changed.fire(undefined);
      }
    }
  }

  private async load(): Promise<void> {
    if (this.experiments) return;
    this.loading ??= (async () => {
      this.workspace = await this.choice.name();
      await this.fetchExperiments(await this.connection.client());
    })().finally(() => (this.loading = undefined));
    await this.loading;
  }

  private async fetchExperiments(client: Client): Promise<void> {
    const workspace = this.workspace ?? (await this.choice.name());
    const { experiments } = await client.call('listExperiments', { params: { workspace } });
    const next = new Map<string, ExperimentNode>();
    for (const [index, experiment] of experiments.entries()) {
      const opensItself = experiment.activeRuns > 0 || (index === 0 && !this.experiments);
      const node =
        this.experiments?.get(experiment.name) ?? new ExperimentNode(workspace, experiment, opensItself);
      node.experiment = experiment;
      next.set(experiment.name, node);
    }
    for (const [name, node] of this.experiments ?? []) if (!next.has(name)) this.dropRuns(node);
    this.experiments = next;
  }

  /** One page after `cursor`; without one the list starts anew with that page. */
  private async fetchRuns(node: ExperimentNode, limit: number, cursor?: string): Promise<void> {
    const client = await this.connection.client();
    const page = await client.call('listRuns', {
      params: { workspace: node.workspace },
      query: { experiment: node.experiment.name, limit, ...(cursor ? { cursor } : {}) },
    });
    const parents = await this.missingParents(client, node, page.runs);
    if (!cursor) {
      const keep = new Set([...page.runs, ...parents].map((run) => run.id));
      this.dropRuns(node, keep);
      node.runs ??= [];
    }
    node.cursor = page.cursor;
    for (const run of [...parents, ...page.runs]) this.put(run, node);
  }

  /** Parents of listed runs that stand further down the list than this page reaches. */
  private async missingParents(client: Client, node: ExperimentNode, runs: Run[]): Promise<Run[]> {
    const here = new Set(runs.map((run) => run.id));
    const wanted = new Set(runs.flatMap((run) => (run.parentId ? [run.parentId] : [])));
    const missing = [...wanted].filter((id) => !here.has(id) && !this.runs.has(id));
    const found = await Promise.all(
      missing.map((run) =>
        client
          .call('getRun', { params: { workspace: node.workspace, run } })
          .then((detail) => detail as Run)
          .catch(() => undefined),
      ),
    );
    return found.filter((run) => run?.experiment === node.experiment.name) as Run[];
  }

  private applyRun(run: Run): void {
    const known = this.runs.get(run.id);
    if (known) {
      known.run = run;
      this.changed.fire(known);
      return;
    }
    const experiment = this.experiments?.get(run.experiment);
    if (!experiment?.runs) return;
    const oldest = experiment.runs.at(-1);
    const beyond = experiment.cursor !== null && oldest && run.createdAt < oldest.run.createdAt;
    if (beyond) return;
    this.changed.fire(this.put(run, experiment).parent);
  }

  private applyExperiment(experiment: Experiment): void {
    const known = this.experiments?.get(experiment.name);
    if (known) {
      const moved = known.experiment.lastRunAt !== experiment.lastRunAt;
      known.experiment = experiment;
      this.changed.fire(moved ? undefined : known);
      return;
    }
    this.experiments?.set(experiment.name, new ExperimentNode(this.workspace ?? '', experiment, true));
    this.changed.fire(undefined);
  }

  /** Adds or updates a run under its parent run, if that is here, else under the experiment. */
  private put(run: Run, experiment: ExperimentNode): RunNode {
    const known = this.runs.get(run.id);
    if (known) {
      known.run = run;
      return known;
    }
    const parent = (run.parentId ? this.runs.get(run.parentId) : undefined) ?? experiment;
    const node = new RunNode(experiment.workspace, run, parent);
    this.runs.set(run.id, node);
    if (parent instanceof RunNode) insert(parent.children, node, (a, b) => a.run.number - b.run.number);
    else insert((experiment.runs ??= []), node, newestFirst);
    // Children that came before their parent move under it.
    for (const other of [...(experiment.runs ?? [])]) {
      if (other.run.parentId !== run.id) continue;
      experiment.runs = experiment.runs?.filter((n) => n !== other);
      other.parent = node;
      insert(node.children, other, (a, b) => a.run.number - b.run.number);
    }
    return node;
  }

  private remove(runId: string): void {
    const node = this.runs.get(runId);
    if (!node) return;
    this.runs.delete(runId);
    const siblings = node.parent instanceof RunNode ? node.parent.children : (node.parent.runs ?? []);
    const index = siblings.indexOf(node);
    if (index >= 0) siblings.splice(index, 1);
    for (const child of node.children) this.remove(child.runId);
    this.changed.fire(node.parent);
  }

  private dropRuns(node: ExperimentNode, keep = new Set<string>()): void {
    for (const [id, run] of this.runs) {
      if (run.run.experiment === node.experiment.name && !keep.has(id)) this.remove(id);
    }
  }

  private countIn(node: ExperimentNode): number {
    let count = 0;
    for (const run of this.runs.values()) if (run.run.experiment === node.experiment.name) count += 1;
    return count;
  }
}

function newestFirst(a: RunNode, b: RunNode): number {
  return b.run.createdAt - a.run.createdAt || b.run.number - a.run.number;
}

function insert(list: RunNode[], node: RunNode, order: (a: RunNode, b: RunNode) => number): void {
  const index = list.findIndex((other) => order(node, other) < 0);
  if (index < 0) list.push(node);
  else list.splice(index, 0, node);
}
