import type { SnapshotPreview } from '../../api/entities.ts';
import type { Job } from './context.ts';

export interface PreviewArgs {
  folder: string;
  home: string;
  /** What is going to run: its arguments are looked at. */
  arguments: string[];
  /** Absolute path of the interpreter, to see what is installed editable. */
  interpreter: string | null;
}

export const preview: Job<PreviewArgs, SnapshotPreview> = () => {
  throw new Error('not yet');
};
