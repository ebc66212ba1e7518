import type { Command } from 'commander';
import type { Context } from './context.ts';

/** Exit codes: done, failed, used wrongly. */
export const exit = { done: 0, failed: 1, usage: 2 } as const;

export type Action<O> = (context: Context, args: string[], options: O) => Promise<void>;
/** Gives a command the options that all have, and its action. */
export type Register = <O>(command: Command, action: Action<O>) => void;

/** The command did what it should, and what it reports is a failure (a run that failed). */
export function failed(): void {
  process.exitCode = exit.failed;
}
