import { availableParallelism } from 'node:os';
import { type MessagePort, Worker } from 'node:worker_threads';
import { RunyardError, type ErrorBody } from '../api/errors.ts';
import type { BlobFolder } from './blob-folder.ts';
import { canceled, type JobContext } from './jobs/context.ts';
import { giveBackMemory } from './memory.ts';
import { statEntry, keepStat } from './stat-entry.ts';
import { storeFile } from './store-file.ts';
import { Field, hashBytes, State, Table, type TableMemory } from './table.ts';

/** What is done with each path of a table. */
export type CrewTask = 'stat' | 'store' | 'hash';

/** Counters that the threads share. */
const Counter = { next: 0, stop: 1, files: 2, stored: 3 } as const;

export interface CrewOrder {
  task: CrewTask;
  root: string;
  blobs: string;
  table: TableMemory;
  /** Indexes of the paths; all of them where there are none. */
  todo: SharedArrayBuffer | undefined;
  counters: SharedArrayBuffer;
  /** Bytes read, and bytes stored. */
  sums: SharedArrayBuffer;
}

export interface CrewResult {
  files: number;
  storedBlobs: number;
  storedBytes: number;
}

type Reply = { done: true } | { error: ErrorBody };

/** Below this many paths or bytes a second thread costs more than it brings. */
const worthIt: Record<CrewTask, { paths: number; bytes: number }> = {
  stat: { paths: 10_000, bytes: Infinity },
  store: { paths: 1000, bytes: 32 << 20 },
  hash: { paths: 2000, bytes: 32 << 20 },
};
const mostHelpers = 3;
const atOnce: Record<CrewTask, number> = { stat: 512, store: 32, hash: 64 };

/** Threads that go over a table together; the one that asks works with them. */
export class Crew {
  private readonly threadFile: URL;
  private readonly open: (dir: string) => BlobFolder;
  private readonly helpers: Worker[] = [];

  constructor(threadFile: URL, open: (dir: string) => BlobFolder) {
    this.threadFile = threadFile;
    this.open = open;
  }

  /**
   * Does a task for every path (or for those in `todo`). Throws the first error of any thread; `bytes` is about
   * how much there is to read, by which it is decided whether help is worth it.
   */
  async run(
    task: CrewTask,
    {
      root,
      blobs,
      table,
      todo,
      bytes,
    }: {
      root: string;
      blobs: string;
      table: Table;
      todo?: Uint32Array | undefined;
      bytes: number;
    },
    context: JobContext,
    progress: (files: number, bytes: number) => void = () => {},
  ): Promise<CrewResult> {
    const order: CrewOrder = {
      task,
      root: `${root}/`,
      blobs,
      table: table.memory,
      todo: todo?.buffer as SharedArrayBuffer | undefined,
      counters: new SharedArrayBuffer(16),
      sums: new SharedArrayBuffer(16),
    };
    const work = new CrewWork(order, this.open);
    const count = todo?.length ?? table.count;
    const help = count >= worthIt[task].paths || bytes >= worthIt[task].bytes;
    const helping = help ? this.callHelpers(order) : [];
    try {
      await work.go(async () => {
        context.throwIfCanceled();
        progress(work.files, work.bytes);
        // Errors of the others, and git's output, have their turn.
        await new Promise(setImmediate);
      });
      await Promise.all(helping);
    } catch (error) {
      work.stop();
      await Promise.allSettled(helping);
      throw error;
    }
    progress(work.files, work.bytes);
    return { files: work.files, storedBlobs: work.storedBlobs, storedBytes: work.storedBytes };
  }

  private callHelpers(order: CrewOrder): Promise<void>[] {
    const wanted = Math.min(mostHelpers, availableParallelism() - 1);
    while (this.helpers.length < wanted) {
      const helper = new Worker(this.threadFile, {
        workerData: { crew: true },
        resourceLimits: { maxYoungGenerationSizeMb: 8 },
      });
      helper.unref();
      this.helpers.push(helper);
    }
    return this.helpers.slice(0, wanted).map(
      (helper) =>
        new Promise<void>((resolve, reject) => {
          const end = (then: () => void) => {
            helper.off('message', onMessage);
            helper.off('error', onError);
            helper.unref();
            then();
          };
          const onMessage = (reply: Reply) =>
            end(() => ('done' in reply ? resolve() : reject(RunyardError.fromBody(reply.error))));
          const onError = (error: unknown) => {
            this.helpers.splice(this.helpers.indexOf(helper), 1);
            end(() => reject(error as Error));
          };
          helper.ref();
          helper.on('message', onMessage);
          helper.on('error', onError);
          helper.postMessage(order);
        }),
    );
  }
}

/** A helper's life: orders, one after the other. */
export function runCrewMember(port: MessagePort, open: (dir: string) => BlobFolder): void {
  port.on('message', async (order: CrewOrder) => {
    port.postMessage(await replyTo(order, open));
    giveBackMemory();
  });
}

async function replyTo(order: CrewOrder, open: (dir: string) => BlobFolder): Promise<Reply> {
  const work = new CrewWork(order, open);
  try {
    await work.go(async () => {});
    return { done: true };
  } catch (error) {
    work.stop();
    const known =
      error instanceof RunyardError ? error : new RunyardError('internal', (error as Error).message);
    return { error: known.toBody() };
  }
}

/** One thread's part of an order: takes some paths at a time until there are none. */
class CrewWork {
  private readonly order: CrewOrder;
  private readonly table: Table;
  private readonly todo: Uint32Array | undefined;
  private readonly counters: Int32Array;
  private readonly sums: BigInt64Array;
  private readonly blobs: BlobFolder | undefined;

  constructor(order: CrewOrder, open: (dir: string) => BlobFolder) {
    this.order = order;
    this.table = new Table(order.table);
    this.todo = order.todo && new Uint32Array(order.todo);
    this.counters = new Int32Array(order.counters);
    this.sums = new BigInt64Array(order.sums);
    this.blobs = order.task === 'store' ? open(order.blobs) : undefined;
  }

  async go(between: () => Promise<void>): Promise<void> {
    const count = this.todo?.length ?? this.table.count;
    const step = atOnce[this.order.task];
    for (;;) {
      const start = Atomics.add(this.counters, Counter.next, step);
      if (start >= count) return;
      const end = Math.min(count, start + step);
      for (let n = start; n < end; n++) this.do(this.todo ? this.todo[n]! : n);
      if (this.stopped) return;
      await between();
    }
  }

  stop(): void {
    Atomics.store(this.counters, Counter.stop, 1);
  }

  get files(): number {
    return Atomics.load(this.counters, Counter.files);
  }

  get bytes(): number {
    return Number(Atomics.load(this.sums, 0));
  }

  get storedBlobs(): number {
    return Atomics.load(this.counters, Counter.stored);
  }

  get storedBytes(): number {
    return Number(Atomics.load(this.sums, 1));
  }

  private get stopped(): boolean {
    return Atomics.load(this.counters, Counter.stop) !== 0;
  }

  private do(i: number): void {
    const { table, order } = this;
    if (order.task === 'stat') return statEntry(order.root, table, i);
    const name = table.name(i);
    const found = storeFile(order.root + name, name, this.blobs, () => {
      if (this.stopped) throw canceled();
    });
    if (!found) {
      // Vanished, or something else by now: looked at once more.
      statEntry(order.root, table, i);
      if (table.states[i] === State.file) table.states[i] = State.gone;
      return;
    }
    keepStat(table, i, found.stat);
    Buffer.from(found.hash, 'hex').copy(table.hashes, i * hashBytes);
    const size = BigInt(table.stat(i, Field.size));
    Atomics.add(this.counters, Counter.files, 1);
    Atomics.add(this.sums, 0, size);
    if (!found.stored) return;
    Atomics.add(this.counters, Counter.stored, 1);
    Atomics.add(this.sums, 1, size);
  }
}
