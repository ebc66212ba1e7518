import { cleanLog } from './clean.ts';

/** A piece of the log that is held: bytes from..to of the file, and their text. */
export interface LogPiece {
  from: number;
  to: number;
  text: string;
}

const newline = 10;
/** A line longer than this is shown in parts; nothing waits for its end. */
const longestPart = 16 * 1024;
/** Looked at for a line's beginning when reading starts somewhere in the file. */
const alignWithin = 64 * 1024;

/**
 * The part of a log file that the page holds, as pieces that begin and end with lines where lines are of
 * a bearable length. Works on bytes, so that offsets are exact whatever the text decodes to.
 */
export class LogWindow {
  readonly pieces: LogPiece[] = [];
  /** Bytes of the last line, whose end has not been written yet. */
  private pending: Uint8Array = new Uint8Array(0);
  /** The offset that the next bytes belong to. */
  end: number;

  constructor(end = 0) {
    this.end = end;
  }

  get start(): number {
    return this.pieces[0]?.from ?? this.end - this.pending.length;
  }

  /** Bytes held. */
  get size(): number {
    return this.end - this.start;
  }

  /** The unfinished last line. */
  get pendingText(): string {
    return decode(this.pending);
  }

  /** Takes the bytes at `end`; gives the piece they make, if any line is complete. */
  append(data: Uint8Array): LogPiece | undefined {
    const from = this.end - this.pending.length;
    const all = concat(this.pending, data);
    this.end += data.length;
    let cut = all.lastIndexOf(newline) + 1;
    if (all.length - cut > longestPart) cut = wholeCharacters(all);
    this.pending = all.slice(cut);
    if (cut === 0) return undefined;
    const piece = { from, to: from + cut, text: decode(all.subarray(0, cut)) };
    this.pieces.push(piece);
    return piece;
  }

  /** Begins in the middle of a file: what precedes the first line's beginning is left for later. */
  static startingAt(offset: number, data: Uint8Array): LogWindow {
    const skip = offset === 0 ? 0 : lineStart(data);
    const window = new LogWindow(offset + skip);
    window.append(data.subarray(skip));
    return window;
  }

  /** Takes the bytes from `offset` up to `start`; gives the piece they make. */
  prepend(offset: number, data: Uint8Array): LogPiece {
    const skip = offset === 0 ? 0 : lineStart(data);
    const kept = data.subarray(skip);
    const piece = { from: offset + skip, to: this.start, text: decode(kept) };
    this.pieces.unshift(piece);
    return piece;
  }

  /** Forgets the first piece. */
  dropFirst(): void {
    this.pieces.shift();
  }
}

function decode(bytes: Uint8Array): string {
  return cleanLog(new TextDecoder().decode(bytes));
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}

/** Where the first whole line begins; in a line without an end, the first whole character. */
function lineStart(data: Uint8Array): number {
  const index = data.subarray(0, alignWithin).indexOf(newline);
  if (index >= 0 && index + 1 < data.length) return index + 1;
  let i = 0;
  while (i < 4 && i < data.length && (data[i]! & 0xc0) === 0x80) i += 1;
  return i;
}

/** The length without an unfinished UTF-8 character at the end. */
function wholeCharacters(data: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= data.length; back++) {
    const byte = data[data.length - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const needs = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needs > back ? data.length - back : data.length;
  }
  return data.length;
}
