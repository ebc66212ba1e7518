import { clearTimeout, setTimeout } from 'node:timers';
import { Worker } from 'node:worker_threads';
import { RunyardError } from '../api/errors.ts';
import { canceled, type Progress } from './jobs/context.ts';
import type { JobMessage, JobReply } from './thread-loop.ts';

export interface JobOptions {
  signal?: AbortSignal | undefined;
  progress?: ((now: Progress) => void) | undefined;
  part?: ((part: Uint8Array) => void) | undefined;
}

interface UnderWay {
  message: JobMessage;
  options: JobOptions;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Jobs at a time; more wait. */
const mostThreads = 2;
/** A thread without work is ended after this long: it gives its memory back. */
const idleMs = 10_000;

/** Threads for what would hold up the event loop: walking, hashing, comparing. */
export class SnapshotThreads {
  private readonly file: URL;
  private readonly log: (line: string) => void;
  private readonly waiting: UnderWay[] = [];
  private readonly idle = new Map<Worker, NodeJS.Timeout>();
  private readonly busy = new Map<Worker, UnderWay>();
  private nextId = 1;
  private ended = false;

  constructor(file: URL, log: (line: string) => void) {
    this.file = file;
    this.log = log;
  }

  /** Does a job. Throws RunyardError; `canceled` when the signal said so. */
  run<A, R>(job: string, args: A, options: JobOptions = {}): Promise<R> {
    if (this.ended) return Promise.reject(new RunyardError('unavailable', 'The server is ending.'));
    const flag = new Int32Array(new SharedArrayBuffer(4));
    return new Promise<unknown>((resolve, reject) => {
      const message = { id: this.nextId++, job, args, cancel: flag.buffer as SharedArrayBuffer };
      const underWay = { message, options, resolve, reject };
      const abort = () => {
        Atomics.store(flag, 0, 1);
        const at = this.waiting.indexOf(underWay);
        if (at < 0) return;
        this.waiting.splice(at, 1);
        reject(canceled());
      };
      if (options.signal?.aborted) return reject(canceled());
      options.signal?.addEventListener('abort', abort, { once: true });
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          options.signal?.removeEventListener('abort', abort);
          then(value);
        };
      underWay.resolve = settle(resolve);
      underWay.reject = settle(reject);
      this.waiting.push(underWay);
      this.startNext();
    }) as Promise<R>;
  }

  async end(): Promise<void> {
    this.ended = true;
    for (const { reject } of this.waiting.splice(0)) reject(canceled());
    const workers = [...this.idle.keys(), ...this.busy.keys()];
    for (const timer of this.idle.values()) clearTimeout(timer);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  private startNext(): void {
    while (this.waiting.length > 0 && this.busy.size < mostThreads) {
      const [spare] = this.idle.keys();
      if (spare) clearTimeout(this.idle.get(spare));
      const worker = spare ?? this.makeWorker();
      this.idle.delete(worker);
      const next = this.waiting.shift()!;
      this.busy.set(worker, next);
      worker.ref();
      worker.postMessage(next.message);
    }
  }

  private makeWorker(): Worker {
    const worker = new Worker(this.file, { resourceLimits: { maxYoungGenerationSizeMb: 8 } });
    worker.on('message', (reply: JobReply) => this.receive(worker, reply));
    worker.on('error', (error) => this.lose(worker, error as Error));
    worker.on('exit', () => this.lose(worker, new Error('the snapshot thread ended')));
    return worker;
  }

  private receive(worker: Worker, reply: JobReply): void {
    const underWay = this.busy.get(worker);
    if (underWay?.message.id !== reply.id) return;
    const { options, resolve, reject } = underWay;
    if ('progress' in reply) return options.progress?.(reply.progress);
    if ('part' in reply) return options.part?.(reply.part);
    this.busy.delete(worker);
    worker.unref();
    const timer = setTimeout(() => {
      this.idle.delete(worker);
      void worker.terminate();
    }, idleMs);
    this.idle.set(worker, timer.unref());
    if ('error' in reply) {
      if (reply.error.code === 'internal') this.log(`snapshot: ${reply.stack ?? reply.error.message}`);
      reject(RunyardError.fromBody(reply.error));
    } else resolve(reply.result);
    this.startNext();
  }

  private lose(worker: Worker, error: Error): void {
    const underWay = this.busy.get(worker);
    clearTimeout(this.idle.get(worker));
    this.idle.delete(worker);
    this.busy.delete(worker);
    underWay?.reject(
      this.ended
        ? canceled()
        : new RunyardError('unavailable', 'The snapshot thread ended.', { cause: error }),
    );
    if (!this.ended) this.startNext();
  }
}
