import type { Environment } from '../../api/environment.ts';

/** Names one version of an environment of this home. */
export interface EnvironmentRef {
  readonly workspace: string;
  /** `digits:2`, as the API takes it. */
  readonly environment: string;
}

/** Whether a command's argument names an environment. */
export function isEnvironmentRef(value: unknown): value is EnvironmentRef {
  const ref = value as Partial<EnvironmentRef> | undefined;
  return typeof ref?.workspace === 'string' && typeof ref.environment === 'string';
}

/** `digits:2`. */
export function labelOf({ name, version }: Pick<Environment, 'name' | 'version'>): string {
  return `${name}:${version}`;
}

/** The rule of `environmentNameSchema`. */
export const namePattern = /^[A-Za-z0-9][\w .-]{0,254}$/;

/** A name that the rule allows, from a folder or an image. */
export function suggestName(from: string): string {
  const name = from
    .replace(/[^\w .-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .replace(/[ .-]+$/, '')
    .slice(0, 255);
  return name || 'environment';
}
