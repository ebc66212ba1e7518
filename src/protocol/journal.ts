/**
 * Journal lines: what the script logged, one JSON object a line (docs/agent-protocol.md). Checked by hand
 * and not by a schema: this is the hot path, half a million lines a second.
 */
export type JournalValue = number | 'NaN' | 'Infinity' | '-Infinity';

export interface JournalRecord {
  n?: number;
  /** Epoch milliseconds. */
  t: number;
  m?: Record<string, JournalValue>;
  s?: number;
  tags?: Record<string, string>;
  params?: Record<string, string>;
  properties?: Record<string, string>;
  document?: { type: string; name: string; value: unknown; s?: number };
  image?: { name: string; path: string; s?: number };
  artifact?: { path: string };
}

export type ParsedLine = { record: JournalRecord; bad?: undefined } | { bad: string; record?: undefined };

const longestName = 1024;
/** Epoch milliseconds that a Date can hold; further out is no time. */
export const latestTime = 8.64e15;

/** Parses one line. Never throws: a bad line costs that line, and says why. */
export function parseJournalLine(line: string): ParsedLine {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { bad: `not JSON: ${excerpt(line)}` };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { bad: `not an object: ${excerpt(line)}` };
  }
  const record = value as JournalRecord;
  const problem = problemOf(record);
  return problem ? { bad: `${problem}: ${excerpt(line)}` } : { record };
}

/** The number of a metric's value; NaN and the infinities are strings in JSON. */
export function metricNumber(value: JournalValue): number {
  return typeof value === 'number' ? value : Number(value);
}

function problemOf(record: JournalRecord): string | undefined {
  if (typeof record.t !== 'number' || !(Math.abs(record.t) <= latestTime)) return '"t" is not a time';
  if (!isStep(record.s)) return '"s" is not a step';
  if (record.m !== undefined) {
    if (!isRecord(record.m)) return '"m" is not an object';
    for (const name in record.m) {
      const value: unknown = record.m[name];
      const right =
        typeof value === 'number' || value === 'NaN' || value === 'Infinity' || value === '-Infinity';
      if (!right) return `the metric "${excerpt(name)}" is not a number`;
      if (name.length === 0 || name.length > longestName) return 'a metric has no name, or one too long';
    }
  }
  for (const key of ['tags', 'params', 'properties'] as const) {
    const values: unknown = record[key];
    if (values === undefined) continue;
    if (!isRecord(values)) return `"${key}" is not an object`;
    if (!Object.values(values).every((text) => typeof text === 'string'))
      return `"${key}" is not all strings`;
  }
  return problemOfDocument(record) ?? problemOfPaths(record);
}

function problemOfDocument({ document }: JournalRecord): string | undefined {
  if (document === undefined) return undefined;
  const right =
    typeof document === 'object' &&
    document !== null &&
    typeof document.type === 'string' &&
    typeof document.name === 'string' &&
    document.value !== undefined;
  if (!right) return '"document" has no type, name or value';
  if (!isStep(document.s)) return 'the step of the document is not a number';
  if (
    document.type === 'table' &&
    !(isRecord(document.value) && Object.values(document.value).every(Array.isArray))
  )
    return `the table "${excerpt(document.name)}" is not a column of cells for each name`;
  return undefined;
}

function isStep(value: unknown): boolean {
  return value === undefined || (typeof value === 'number' && Number.isFinite(value));
}

function problemOfPaths({ image, artifact }: JournalRecord): string | undefined {
  if (image !== undefined && (typeof image?.path !== 'string' || typeof image.name !== 'string')) {
    return '"image" has no name or path';
  }
  if (image !== undefined && !isStep(image.s)) return 'the step of the image is not a number';
  if (artifact !== undefined && typeof artifact?.path !== 'string') return '"artifact" has no path';
  return undefined;
}

function excerpt(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}...` : text;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
