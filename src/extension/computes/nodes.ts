import type * as vscode from 'vscode';
import type { Compute } from '../../api/compute.ts';
import type { EditableSetting } from './settings.ts';

/** A compute target in the tree. The object lives as long as the target is shown. */
export class TargetNode {
  readonly kind = 'target';
  compute: Compute;

  constructor(compute: Compute) {
    this.compute = compute;
  }
}

/** One line below a target: a part of its load, a setting, its problem. */
export interface LineNode {
  readonly kind: 'line';
  readonly parent: TargetNode;
  /** Unique among the lines of a target. */
  readonly id: string;
  readonly icon: vscode.ThemeIcon;
  readonly label: string;
  readonly description?: string;
  readonly tooltip?: string;
  readonly command?: { command: string; title: string };
  /** The setting that a click edits. */
  readonly setting?: EditableSetting;
}

/** The offer to add a target, where there is none besides this machine. */
export interface AddNode {
  readonly kind: 'add';
}

/** Why there is nothing to show. */
export interface ProblemNode {
  readonly kind: 'problem';
  readonly message: string;
}

export type ComputeTreeNode = TargetNode | LineNode | AddNode | ProblemNode;
