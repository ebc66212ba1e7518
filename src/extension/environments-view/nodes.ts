import type { Environment, HostEnvironment } from '../../api/environment.ts';
import type { Run } from '../../api/entities.ts';
import type { RunRef } from '../run-ref.ts';
import type { AskedPackage } from './packages.ts';
import { labelOf, type EnvironmentRef } from './reference.ts';

/** An environment in the tree, at its latest version. The object lives as long as it is shown. */
export class EnvironmentNode implements EnvironmentRef {
  readonly kind = 'environment';
  readonly workspace: string;
  value: Environment;

  constructor(workspace: string, value: Environment) {
    this.workspace = workspace;
    this.value = value;
  }

  get environment(): string {
    return labelOf(this.value);
  }
}

/** One of the versions; also a reference that commands take. */
export interface VersionNode extends EnvironmentRef {
  readonly kind: 'version';
  readonly parent: GroupNode;
  readonly version: number;
  readonly latest: boolean;
}

/** A line that is opened to see more of the same: versions, packages, runs. */
export interface GroupNode {
  readonly kind: 'group';
  readonly group: 'versions' | 'packages' | 'runs';
  readonly parent: EnvironmentNode;
}

export interface PackageNode {
  readonly kind: 'package';
  readonly parent: GroupNode;
  readonly asked: AskedPackage;
}

/** What a host has built of it. Its `environment` is the version that was built. */
export interface BuildNode extends EnvironmentRef {
  readonly kind: 'build';
  readonly parent: EnvironmentNode;
  readonly compute: string;
  readonly build: HostEnvironment;
}

/** A run that used it; also a reference that commands take. */
export interface UseNode extends RunRef {
  readonly kind: 'use';
  readonly parent: GroupNode;
  readonly run: Run;
}

/** A line that only tells something. */
export interface TextNode {
  readonly kind: 'text';
  readonly parent: EnvironmentNode | GroupNode;
  readonly id: string;
  readonly icon: string;
  readonly label: string;
  readonly description: string;
}

/** Why there is nothing to show. */
export interface ProblemNode {
  readonly kind: 'problem';
  readonly message: string;
}

export type EnvironmentsNode =
  EnvironmentNode | VersionNode | GroupNode | PackageNode | BuildNode | UseNode | TextNode | ProblemNode;
