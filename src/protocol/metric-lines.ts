import { latestTime } from './journal.ts';

/**
 * Reads the journal line that all but a few are, `{"n":1,"t":2,"m":{"loss":0.3},"s":4}` as the runyard module
 * writes it, straight from its bytes: three times as fast as JSON.parse, and half a million a second come.
 * Whatever looks different in any way is left to `parseJournalLine`.
 */
export interface MetricSink {
  /** Called for each metric of a line; `step` is undefined when the line has none. `slot` is the name's. */
  add(slot: number, step: number | undefined, time: number, value: number): void;
  /** A name seen for the first time; the slot that `add` is to be called with is the result. */
  slotOf(name: string): number;
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const open = 0x7b;
const close = 0x7d;
const backslash = 0x5c;
const minus = 0x2d;
const plus = 0x2b;
const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;

/** Powers of ten that a double holds exactly. */
const powers = Array.from({ length: 23 }, (_, i) => 10 ** i);
/** So many digits, and their number is an exact integer. */
const exactDigits = 15;
const tableSize = 4096;
const mostMetrics = 4096;
const longestName = 256;

export class MetricLineReader {
  private readonly sink: MetricSink;
  private bytes: Uint8Array = new Uint8Array(0);
  private at = 0;
  private end = 0;
  /** The number last read. */
  private value = 0;
  private readonly slots = new Float64Array(mostMetrics);
  private readonly values = new Float64Array(mostMetrics);
  private readonly known: ({ name: Uint8Array; slot: number } | undefined)[] = new Array(tableSize);

  constructor(sink: MetricSink) {
    this.sink = sink;
  }

  /**
   * Reads the line in bytes start..end (without its newline) and adds what it says to the sink; false, and
   * nothing added, when it is not of the common form.
   */
  read(bytes: Uint8Array, start: number, end: number): boolean {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    if (!this.take(open) || !this.key(0x6e) || !this.number() || !this.take(comma)) return false;
    if (!this.key(0x74) || !this.number() || !this.take(comma)) return false;
    const time = this.value;
    if (Math.abs(time) > latestTime) return false;
    if (!this.key(0x6d) || !this.take(open)) return false;
    const count = this.metrics();
    if (count < 0) return false;
    let step: number | undefined;
    if (this.take(comma)) {
      if (!this.key(0x73) || !this.number()) return false;
      step = this.value;
    }
    if (!this.take(close) || this.at !== end) return false;
    for (let i = 0; i < count; i++) this.sink.add(this.slots[i]!, step, time, this.values[i]!);
    return true;
  }

  /** Name and number pairs up to the closing brace; how many, or -1. */
  private metrics(): number {
    for (let count = 0; count < mostMetrics;) {
      const slot = this.name();
      if (slot < 0 || !this.take(colon) || !this.number()) return -1;
      this.slots[count] = slot;
      this.values[count++] = this.value;
      if (this.take(close)) return count;
      if (!this.take(comma)) return -1;
    }
    return -1;
  }

  private take(byte: number): boolean {
    if (this.bytes[this.at] !== byte || this.at >= this.end) return false;
    this.at++;
    return true;
  }

  /** A key of one letter, with its colon. */
  private key(letter: number): boolean {
    const { bytes, at } = this;
    if (
      bytes[at] !== quote ||
      bytes[at + 1] !== letter ||
      bytes[at + 2] !== quote ||
      bytes[at + 3] !== colon
    ) {
      return false;
    }
    this.at = at + 4;
    return this.at < this.end;
  }

  /** The slot of a name of plain ASCII, or -1. */
  private name(): number {
    if (!this.take(quote)) return -1;
    const { bytes, end } = this;
    const start = this.at;
    let hash = 0x811c9dc5;
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte === quote) break;
      if (byte < 0x20 || byte > 0x7e || byte === backslash) return -1;
      hash = Math.imul(hash ^ byte, 0x01000193);
    }
    const length = at - start;
    if (at >= end || length === 0 || length > longestName) return -1;
    this.at = at + 1;
    const index = hash & (tableSize - 1);
    const known = this.known[index];
    if (known && known.name.length === length) {
      let i = 0;
      while (i < length && known.name[i] === bytes[start + i]) i++;
      if (i === length) return known.slot;
    }
    const name = Uint8Array.prototype.slice.call(bytes, start, at);
    const slot = this.sink.slotOf(latin1(name, 0, length));
    this.known[index] = { name, slot };
    return slot;
  }

  /** A JSON number, exactly as JSON.parse reads it. */
  private number(): boolean {
    const { bytes, end } = this;
    const start = this.at;
    let at = start;
    const negative = bytes[at] === minus;
    if (negative) at++;
    const first = at;
    let mantissa = 0;
    let digits = 0;
    for (let byte; at < end && (byte = bytes[at]!) >= zero && byte <= nine; at++, digits++)
      mantissa = mantissa * 10 + byte - zero;
    if (digits === 0 || (digits > 1 && bytes[first] === zero)) return false;
    let scale = 0;
    if (bytes[at] === dot && at < end) {
      const fraction = ++at;
      for (let byte; at < end && (byte = bytes[at]!) >= zero && byte <= nine; at++, digits++)
        mantissa = mantissa * 10 + byte - zero;
      scale = at - fraction;
      if (scale === 0) return false;
    }
    let simple = digits <= exactDigits && scale < powers.length;
    if (at < end && (bytes[at]! | 0x20) === 0x65) {
      simple = false;
      at++;
      if (bytes[at] === plus || bytes[at] === minus) at++;
      const exponent = at;
      while (at < end && bytes[at]! >= zero && bytes[at]! <= nine) at++;
      if (at === exponent) return false;
    }
    // Both exact, so the quotient is the nearest double; otherwise the system's own reading is.
    if (simple) this.value = negative ? -(mantissa / powers[scale]!) : mantissa / powers[scale]!;
    else this.value = Number(latin1(bytes, start, at));
    this.at = at;
    return Number.isFinite(this.value);
  }
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i++) text += String.fromCharCode(bytes[i]!);
  return text;
}
