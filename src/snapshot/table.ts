/** What is known of one path. */
export const State = {
  unknown: 0,
  gone: 1,
  file: 2,
  link: 3,
  folder: 4,
  /** A socket, a pipe, a device. */
  special: 5,
} as const;

/** Numbers kept for each path; times in milliseconds with fractions. */
export const Field = { size: 0, mtime: 1, ctime: 2, inode: 3, mode: 4 } as const;
export const fields = 5;
export const hashBytes = 32;

/** The memory of a table, shared between threads. */
export interface TableMemory {
  count: number;
  names: SharedArrayBuffer;
  offsets: SharedArrayBuffer;
  stats: SharedArrayBuffer;
  hashes: SharedArrayBuffer;
  states: SharedArrayBuffer;
}

/**
 * The paths of a snapshot with what the file system says of them and their hashes, in memory that threads
 * share: a hundred thousand paths take about 15 MB.
 */
export class Table {
  readonly memory: TableMemory;
  readonly count: number;
  /** `fields` numbers a path. */
  readonly stats: Float64Array;
  /** SHA-256 of a file's content, `hashBytes` a path. */
  readonly hashes: Uint8Array;
  readonly states: Uint8Array;
  /** Binary names, each with a NUL behind it. */
  readonly names: Buffer;
  private readonly offsets: Uint32Array;

  constructor(memory: TableMemory) {
    this.memory = memory;
    this.count = memory.count;
    this.names = Buffer.from(memory.names);
    this.offsets = new Uint32Array(memory.offsets);
    this.stats = new Float64Array(memory.stats);
    this.hashes = new Uint8Array(memory.hashes);
    this.states = new Uint8Array(memory.states);
  }

  static of(names: readonly string[]): Table {
    return Table.ofText(Buffer.from(textOfNames(names), 'latin1'));
  }

  /** Of binary names, each with a NUL behind it. */
  static ofText(text: Buffer): Table {
    let count = 0;
    for (let at = text.indexOf(0); at >= 0; at = text.indexOf(0, at + 1)) count++;
    const names = new SharedArrayBuffer(text.length);
    text.copy(Buffer.from(names));
    const offsets = new SharedArrayBuffer(4 * (count + 1));
    const starts = new Uint32Array(offsets);
    for (let i = 0, at = 0; i < count; i++) starts[i + 1] = at = text.indexOf(0, at) + 1;
    return Table.withNames(count, names, offsets);
  }

  /** Of the same names as another, about which nothing else is known yet. */
  static like({ memory: { count, names, offsets } }: Table): Table {
    return Table.withNames(count, names, offsets);
  }

  private static withNames(count: number, names: SharedArrayBuffer, offsets: SharedArrayBuffer): Table {
    return new Table({
      count,
      names,
      offsets,
      stats: new SharedArrayBuffer(8 * fields * count),
      hashes: new SharedArrayBuffer(hashBytes * count),
      states: new SharedArrayBuffer(count),
    });
  }

  name(i: number): string {
    return this.names.toString('latin1', this.offsets[i], this.offsets[i + 1]! - 1);
  }

  /** Index of a name, or -1; the names are sorted. */
  find(name: string): number {
    let low = 0;
    let high = this.count - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const there = this.name(middle);
      if (there === name) return middle;
      if (there < name) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  stat(i: number, field: number): number {
    return this.stats[i * fields + field]!;
  }

  hash(i: number): string {
    return Buffer.from(this.hashes.buffer, this.hashes.byteOffset + i * hashBytes, hashBytes).toString('hex');
  }
}

/** Binary names, each with a NUL behind it. */
export function textOfNames(names: readonly string[]): string {
  return names.length > 0 ? `${names.join('\0')}\0` : '';
}
