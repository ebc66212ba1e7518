import { Worker, type TransferListItem } from 'node:worker_threads';
import { RunyardError, type ErrorCode } from '../api/errors.ts';
import { closeOperation, openOperation, type WriteOperations, type WriteReply } from './writer-loop.ts';

/** Argument and result of each operation, as the calling side sees them. */
type Args<Ops extends WriteOperations, N extends keyof Ops> = Ops[N] extends (
  tx: never,
  args: infer A,
) => unknown
  ? A
  : never;
type Result<Ops extends WriteOperations, N extends keyof Ops> = ReturnType<Ops[N]>;

/** Called for every event of every committed change; `id` is null for hints. */
export type EventListener = (file: string, event: object, id: number | null) => void;

interface Waiting {
  file: string;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** The calling side of the writer thread. Changes are done in the order in which they were asked for. */
export class Writer {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 1;
  private readonly onEvent: EventListener;
  private readonly log: (line: string) => void;
  private gone: Error | undefined;

  constructor(threadFile: URL, onEvent: EventListener, log: (line: string) => void) {
    this.onEvent = onEvent;
    this.log = log;
    this.worker = new Worker(threadFile, { resourceLimits: { maxYoungGenerationSizeMb: 16 } });
    this.worker.on('message', (reply: WriteReply) => this.receive(reply));
    this.worker.on('error', (error) => this.fail(error as Error));
    this.worker.on('exit', () => this.fail(new Error('the writer thread ended')));
  }

  /** How many changes wait to be done. */
  get backlog(): number {
    return this.waiting.size;
  }

  open(file: string): Promise<void> {
    return this.send(file, openOperation, undefined) as Promise<void>;
  }

  close(file: string): Promise<void> {
    return this.send(file, closeOperation, undefined) as Promise<void>;
  }

  /** Does one change in one transaction. Throws RunyardError; then nothing was changed. */
  write<Ops extends WriteOperations, N extends keyof Ops & string>(
    file: string,
    operation: N,
    args: Args<Ops, N>,
    transfer: TransferListItem[] = [],
  ): Promise<Result<Ops, N>> {
    return this.send(file, operation, args, transfer) as Promise<Result<Ops, N>>;
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }

  private send(
    file: string,
    operation: string,
    args: unknown,
    transfer: TransferListItem[] = [],
  ): Promise<unknown> {
    if (this.gone) return Promise.reject(this.gone);
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { file, resolve, reject });
      this.worker.postMessage({ id, file, operation, args }, transfer);
    });
  }

  private receive(reply: WriteReply): void {
    const waiting = this.waiting.get(reply.id);
    if (!waiting) return;
    this.waiting.delete(reply.id);
    if (reply.error) {
      if (reply.error.code === 'internal') this.log(`writer: ${reply.error.stack ?? reply.error.message}`);
      waiting.reject(
        new RunyardError(
          reply.error.code as ErrorCode,
          reply.error.message,
          reply.error.action ? { action: reply.error.action } : {},
        ),
      );
      return;
    }
    for (const { event, id } of reply.events) this.onEvent(waiting.file, event, id);
    waiting.resolve(reply.result);
  }

  private fail(error: Error): void {
    this.gone ??= new RunyardError('unavailable', 'The writer thread ended.', { cause: error });
    for (const { reject } of this.waiting.values()) reject(this.gone);
    this.waiting.clear();
  }
}
