import { isMap, isNode, isScalar, LineCounter, parseDocument, type Document } from 'yaml';
import type * as z from 'zod';
import { RunyardError } from '../../api/errors.ts';
import {
  communicators,
  frameworks,
  runConfigurationSchema,
  type RunConfiguration,
} from '../../api/run-configuration.ts';

export interface ParsedConfiguration {
  configuration: RunConfiguration;
  /** Unknown keys, each with file and line. */
  warnings: string[];
}

type Path = readonly PropertyKey[];

/**
 * Reads a run configuration (YAML or JSON). A wrong value is an error that names file, line and key; an
 * unknown key is left out with a warning, unless it says nothing. Throws `bad_request`.
 */
export function parseConfiguration(text: string, file: string): ParsedConfiguration {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const syntax = document.errors[0];
  if (syntax) {
    const { line } = lines.linePos(syntax.pos[0]);
    throw wrong(`${file}:${line}: ${syntax.message}`);
  }
  respell(document);
  const value: unknown = document.toJS() ?? {};
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(`${file}:1: a run configuration is a mapping of keys to values.`);
  }
  const lineOf = (path: Path) => lineAt(document, lines, path);
  const unknown: { line: number; warning: string }[] = [];
  let parsed = runConfigurationSchema.safeParse(value);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      if (issue.code !== 'unrecognized_keys') continue;
      for (const key of issue.keys) {
        const path = [...issue.path, key];
        const saysNothing = isEmpty(remove(value, path));
        if (saysNothing) continue;
        const line = lineOf(path);
        const warning = `${file}:${line}: the key "${path.join('.')}" is not known and has no effect.`;
        unknown.push({ line, warning });
      }
    }
    parsed = runConfigurationSchema.safeParse(value);
  }
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => describe(issue, file, lineOf(issue.path)));
    throw wrong(problems.join('\n'));
  }
  unknown.sort((a, b) => a.line - b.line);
  return { configuration: parsed.data, warnings: unknown.map(({ warning }) => warning) };
}

function describe(issue: z.core.$ZodIssue, file: string, line: number): string {
  const key = issue.path.join('.');
  return `${file}:${line}: the key "${key}" is wrong: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}.`;
}

function wrong(message: string): RunyardError {
  return new RunyardError('bad_request', message, { action: 'Edit the run configuration.' });
}

/** The line of the key that a path leads to, or of the nearest thing above it that is in the text. */
function lineAt(document: Document.Parsed, lines: LineCounter, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return 1;
}

/** Takes out what a path leads to, and gives it. */
function remove(value: unknown, path: Path): unknown {
  let at = value as Record<PropertyKey, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<PropertyKey, unknown>;
  const removed = at[path.at(-1)!];
  delete at[path.at(-1)!];
  return removed;
}

/** Azure writes keys of its own into every file, most of them without a value. */
function isEmpty(value: unknown): boolean {
  if (value === null || value === '') return true;
  return typeof value === 'object' && Object.values(value).every(isEmpty);
}

/** Azure's SDK writes `pytorch` for `pyTorch`, and takes its words in any case: `nccl`, `OpenMPI`, `Cntk`. */
function respell(document: Document.Parsed): void {
  const { contents } = document;
  if (!isMap(contents)) return;
  if (!contents.has('pyTorch')) {
    const pair = contents.items.find(({ key }) => isScalar(key) && key.value === 'pytorch');
    if (pair && isScalar(pair.key)) pair.key.value = 'pyTorch';
  }
  for (const [key, words] of Object.entries({ communicator: communicators, framework: frameworks })) {
    const node: unknown = contents.get(key, true);
    if (!isScalar(node)) continue;
    const said = String(node.value).toLowerCase();
    node.value = words.find((word) => word.toLowerCase() === said) ?? node.value;
  }
}
