import type { Compute } from '../../api/compute.ts';

/** What a submit needs of compute targets. */
export interface ComputeActions {
  list(): Promise<readonly Compute[]>;
  /** Asks for a new target; its name where there is one now. */
  add(): Promise<string | undefined>;
  editInterpreter(name: string): Promise<void>;
  /** Connects before a run goes there. False: the person does not want it; throws what has to be mended first. */
  ready(name: string): Promise<boolean>;
}
