import vm from 'node:vm';
import type { SearchMatch } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';

export interface Wanted {
  query: string;
  regex: boolean;
  caseSensitive: boolean;
}

/** Of a long line, this much is shown around a match. */
const shownBefore = 60;
const shownAfter = 140;
/** An expression that needs longer for a few files would never end (`(a+)+$`). */
const mostMs = 5000;

/** Where a match is: in which text, line, column (`at`, from 0) and length. */
type Place = [text: number, line: number, at: number, length: number];

/** A text file that is looked through. */
export interface TextFile {
  path: string;
  text: string;
}

/**
 * Finds the places in texts, line by line. It runs in a context of its own with a time limit, the only thing that
 * ends an expression that backtracks for ever; hence plain script text.
 */
const finder = new vm.Script(`(() => {
  const places = [];
  for (now = 0; now < texts.length; now++) {
    let number = 0;
    for (const line of texts[now].split(/\\r\\n|\\n|\\r/)) {
      number++;
      expression.lastIndex = 0;
      for (let found; (found = expression.exec(line)) !== null;) {
        if (found[0] === '') expression.lastIndex++;
        else if (places.push([now, number, found.index, found[0].length]) === most) return places;
      }
    }
  }
  return places;
})()`);

/** A text or a regular expression that is looked for in lines. */
export class LineMatcher {
  private readonly context: { expression: RegExp; texts: string[]; now: number; most: number };
  private readonly mayHang: boolean;
  /** Bytes that a file with a match has; null when that cannot be said. */
  private readonly needle: Buffer | null;

  /** Throws `bad_request` for an expression that is none. */
  constructor({ query, regex, caseSensitive }: Wanted) {
    const flags = caseSensitive ? 'g' : 'gi';
    const expression = regex ? compile(query, flags) : new RegExp(literal(query), `${flags}u`);
    this.needle = !regex && caseSensitive ? Buffer.from(query) : null;
    this.context = vm.createContext({ expression, texts: [], now: 0, most: 0 }) as typeof this.context;
    this.mayHang = regex;
  }

  /** False when nothing of the content can match; cheap. */
  mayMatch(content: Buffer): boolean {
    return this.needle === null || content.includes(this.needle);
  }

  /** At most so many matches. Throws `bad_request` when the expression takes too long. */
  matches(files: readonly TextFile[], most: number): SearchMatch[] {
    if (files.length === 0) return [];
    Object.assign(this.context, { texts: files.map(({ text }) => text), most });
    let places: Place[];
    try {
      places = finder.runInContext(this.context, this.mayHang ? { timeout: mostMs } : {}) as Place[];
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw cause;
      const where = files[this.context.now]?.path ?? '';
      throw new RunyardError('bad_request', `The regular expression takes too long (in ${where}).`, {
        action: 'Write it without repetitions inside repetitions.',
        cause,
      });
    } finally {
      this.context.texts = [];
    }
    let lines: string[] = [];
    let split = -1;
    return places.map(([file, line, at, length]) => {
      if (split !== file) lines = files[file]!.text.split(/\r\n|\n|\r/);
      split = file;
      const text = around(lines[line - 1]!, at, length);
      return { path: files[file]!.path, line, column: at + 1, length, text };
    });
  }
}

function compile(source: string, flags: string): RegExp {
  try {
    return new RegExp(source, `${flags}u`);
  } catch {
    // Without "u" more is let through, as editors do: \\- and the like.
  }
  try {
    return new RegExp(source, flags);
  } catch (cause) {
    throw new RunyardError(
      'bad_request',
      `"${source}" is not a regular expression: ${(cause as Error).message}.`,
      {
        cause,
      },
    );
  }
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}

function around(line: string, at: number, length: number): string {
  if (line.length <= shownBefore + shownAfter) return line;
  const shown = Math.min(length, shownAfter);
  let start = Math.max(0, at - shownBefore);
  let end = Math.min(line.length, start + shownBefore + shownAfter, at + shown + shownAfter);
  // Not in the middle of a character.
  if (isSecondHalf(line, start)) start++;
  if (isSecondHalf(line, end)) end--;
  return line.slice(start, end);
}

function isSecondHalf(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 0xdc00 && code <= 0xdfff;
}
