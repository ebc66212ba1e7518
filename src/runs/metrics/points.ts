/**
 * Points of a metric series and their form in the database: three arrays of doubles, one after the other
 * (steps, times, values), little endian. Order is the order of arrival.
 */
export interface Points {
  steps: Float64Array;
  /** Epoch milliseconds. */
  times: Float64Array;
  values: Float64Array;
}

export function pointsLength(points: Points): number {
  return points.values.length;
}

export function encodePoints(points: Points): Uint8Array {
  const n = points.values.length;
  const all = new Float64Array(n * 3);
  all.set(points.steps, 0);
  all.set(points.times, n);
  all.set(points.values, 2 * n);
  return new Uint8Array(all.buffer);
}

export function decodePoints(bytes: Uint8Array): Points {
  const n = bytes.byteLength / 24;
  const all = aligned(bytes);
  return { steps: all.subarray(0, n), times: all.subarray(n, 2 * n), values: all.subarray(2 * n) };
}

export function concatPoints(parts: readonly Points[]): Points {
  if (parts.length === 1) return parts[0]!;
  const n = parts.reduce((sum, part) => sum + part.values.length, 0);
  const all = { steps: new Float64Array(n), times: new Float64Array(n), values: new Float64Array(n) };
  let at = 0;
  for (const part of parts) {
    all.steps.set(part.steps, at);
    all.times.set(part.times, at);
    all.values.set(part.values, at);
    at += part.values.length;
  }
  return all;
}

export function slicePoints(points: Points, from: number, to: number): Points {
  return {
    steps: points.steps.subarray(from, to),
    times: points.times.subarray(from, to),
    values: points.values.subarray(from, to),
  };
}

/** A view of doubles on bytes; copied only where the bytes do not start on a multiple of 8. */
export function aligned(bytes: Uint8Array): Float64Array {
  const at = bytes.byteOffset;
  const source = at % 8 === 0 ? bytes : bytes.slice();
  return new Float64Array(source.buffer, source.byteOffset, bytes.byteLength / 8);
}

/** Points that come one by one, in arrays that grow. */
export class GrowingPoints {
  length = 0;
  private steps = new Float64Array(16);
  private times = new Float64Array(16);
  private values = new Float64Array(16);

  push(step: number, time: number, value: number): void {
    if (this.length === this.values.length) this.grow();
    const at = this.length++;
    this.steps[at] = step;
    this.times[at] = time;
    this.values[at] = value;
  }

  toPoints(): Points {
    return {
      steps: this.steps.subarray(0, this.length),
      times: this.times.subarray(0, this.length),
      values: this.values.subarray(0, this.length),
    };
  }

  private grow(): void {
    const bigger = (old: Float64Array): Float64Array<ArrayBuffer> => {
      const next = new Float64Array(old.length * 2);
      next.set(old);
      return next;
    };
    this.steps = bigger(this.steps);
    this.times = bigger(this.times);
    this.values = bigger(this.values);
  }
}
