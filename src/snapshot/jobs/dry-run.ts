import type { Job } from './context.ts';

export interface DryRunArgs {
  folder: string;
  home: string;
}

export const dryRun: Job<DryRunArgs, void> = () => {
  throw new Error('not yet');
};
