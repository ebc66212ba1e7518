export interface Need {
  find: () => string | undefined;
  packages: string[];
  suites: string[];
  optional?: boolean;
  otherwise?: string[];
}
export interface Component {
  available: boolean;
  /** Where it is; empty where it is missing. */
  path: string;
  /** What is missing and what to do; empty where it is there. */
  reason: string;
}
export const needs: Record<string, Need>;
export function which(program: string): string | undefined;
export function component(name: string): Component;
export function needsOf(suite: string): string[];
export function ensureSystemPackages(suites?: string[], log?: (text: string) => void): string[];
