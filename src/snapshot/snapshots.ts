import type { Comparison, SnapshotPreview } from '../api/entities.ts';
import type { CompareArgs } from './jobs/compare.ts';
import type { SnapshotJobs } from './jobs/jobs.ts';
import type { PreviewArgs } from './jobs/preview.ts';
import type { TakeArgs, Taken } from './jobs/take.ts';
import type { JobOptions, SnapshotThreads } from './threads.ts';

type ArgsOf<N extends keyof SnapshotJobs> = Parameters<SnapshotJobs[N]>[0];
type ResultOf<N extends keyof SnapshotJobs> = Awaited<ReturnType<SnapshotJobs[N]>>;

/** Snapshots of folders, made beside the event loop. */
export class Snapshots {
  private readonly threads: SnapshotThreads;
  /** Runyard's home: never part of a snapshot. */
  private readonly home: string;

  constructor(threads: SnapshotThreads, home: string) {
    this.threads = threads;
    this.home = home;
  }

  /**
   * Stores what is in a folder and reads its git facts. Throws RunyardError: `not_found` when the folder is not
   * there, `bad_request` for a link that points outside, `not_permitted`, `no_space`, `conflict` for a file that
   * keeps changing, `canceled`.
   */
  take(args: Omit<TakeArgs, 'home'>, options?: JobOptions): Promise<Taken> {
    return this.run('take', { ...args, home: this.home }, options);
  }

  /** What a snapshot would be, without storing anything. Throws as `take` for the folder itself. */
  preview(args: Omit<PreviewArgs, 'home'>, options?: JobOptions): Promise<SnapshotPreview> {
    return this.run('preview', { ...args, home: this.home }, options);
  }

  /** Every path that a snapshot would take or leave out, a JSON line each, to `part`. */
  dryRun(folder: string, part: (lines: Uint8Array) => void, signal?: AbortSignal): Promise<void> {
    return this.run('dryRun', { folder, home: this.home }, { part, signal });
  }

  /** How a snapshot differs from another one, or from a folder as it is now. */
  compare(args: Omit<CompareArgs, 'home'>, options?: JobOptions): Promise<Comparison> {
    return this.run('compare', { ...args, home: this.home }, options);
  }

  end(): Promise<void> {
    return this.threads.end();
  }

  /** Does a job of the snapshot thread. */
  run<N extends keyof SnapshotJobs & string>(
    job: N,
    args: ArgsOf<N>,
    options?: JobOptions,
  ): Promise<ResultOf<N>> {
    return this.threads.run(job, args, options);
  }
}
