import type { RunConfiguration } from '../../api/run-configuration.ts';

/** A configuration with another one over it, key by key; of `slurm`, which options of a command line fill, member by member. */
export function overlaid(
  base: RunConfiguration | undefined,
  over: Partial<RunConfiguration> | undefined,
): RunConfiguration {
  const said = definedOf(over);
  const slurm = base?.slurm && said.slurm ? { ...base.slurm, ...definedOf(said.slurm) } : undefined;
  return { ...base, ...said, ...(slurm && { slurm }) };
}

/** The members that have a value: an `undefined` one must not win over another configuration's. */
export function definedOf<T extends object>(value: T | undefined): Partial<T> {
  return Object.fromEntries(Object.entries(value ?? {}).filter(([, v]) => v !== undefined)) as Partial<T>;
}
