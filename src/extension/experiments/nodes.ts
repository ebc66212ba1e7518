import type { Experiment, Run } from '../../api/entities.ts';
import type { RunRef } from '../run-ref.ts';

/** An experiment in the tree. The object lives as long as the experiment is shown. */
export class ExperimentNode {
  readonly kind = 'experiment';
  readonly workspace: string;
  experiment: Experiment;
  /** Whether it is open when it is first drawn; the person's own folding wins from then on. */
  readonly opensItself: boolean;
  /** Runs without a parent in this list, newest first; undefined until the node was opened. */
  runs: RunNode[] | undefined;
  /** Of the next page; null when all are here. */
  cursor: string | null = null;

  constructor(workspace: string, experiment: Experiment, opensItself = false) {
    this.workspace = workspace;
    this.experiment = experiment;
    this.opensItself = opensItself;
  }
}

/** A run in the tree; also a reference that commands take. */
export class RunNode implements RunRef {
  readonly kind = 'run';
  readonly workspace: string;
  run: Run;
  parent: ExperimentNode | RunNode;
  /** Child runs, oldest first. */
  readonly children: RunNode[] = [];

  constructor(workspace: string, run: Run, parent: ExperimentNode | RunNode) {
    this.workspace = workspace;
    this.run = run;
    this.parent = parent;
  }

  get runId(): string {
    return this.run.id;
  }
}

/** The last line of a long list. */
export class LoadMoreNode {
  readonly kind = 'more';
  readonly parent: ExperimentNode;

  constructor(parent: ExperimentNode) {
    this.parent = parent;
  }
}

/** Why there is nothing to show. */
export class ProblemNode {
  readonly kind = 'problem';
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export type ExperimentsNode = ExperimentNode | RunNode | LoadMoreNode | ProblemNode;
