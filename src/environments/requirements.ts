import path from 'node:path';
import { RunyardError } from '../api/errors.ts';
import { fileOptions, optionsOf, quoted } from './requirement-options.ts';

/** Reads a text file by its path relative to the folder of the first one. Throws when it is not there. */
export type ReadText = (relative: string) => Promise<string>;

/** What a requirements.txt asks for, without includes. */
export interface Requirements {
  /** Lines, each one requirement or option; the same content gives the same text. */
  text: string;
  /** Paths (files and folders, relative) that lines name: wheels, `--find-links`. */
  paths: string[];
}

const mostIncludes = 100;
/** A word beyond this is no requirement, and patterns that are looked for in it take their time. */
const longestWord = 4096;

export function hasLongWord(text: string): boolean {
  return text.length > longestWord && text.split(/\s/).some((word) => word.length > longestWord);
}

/**
 * Puts a requirements file and those it includes (`-r`, `-c`) together. Format: pip's "Requirements File Format".
 * Throws `bad_request` for a cycle, for what is outside the folder, for an editable install and for a password.
 */
export async function readRequirements(file: string, read: ReadText): Promise<Requirements> {
  const lines: string[] = [];
  const paths = new Set<string>();
  let count = 0;
  const include = async (name: string, from: readonly string[], constraint: boolean): Promise<void> => {
    if (from.includes(name)) {
      throw wrong(`${[...from, name].join(' includes ')}: a requirements file cannot include itself.`);
    }
    if (++count > mostIncludes) throw wrong(`${file} includes more than ${mostIncludes} files.`);
    const folder = path.posix.dirname(name);
    const inside = (target: string): string => {
      const joined = path.posix.join(folder, target).replace(/(.)\/$/, '$1');
      if (joined.startsWith('..') || path.posix.isAbsolute(target))
        throw wrong(`${name} names ${target}, which is outside its folder.`);
      return joined;
    };
    for (const { text, number } of logicalLines(await read(name))) {
      const at = `${name}:${number}`;
      if (hasLongWord(text)) throw wrong(`${at}: no requirement is as long as that.`);
      refuseSecrets(text, at);
      const options = text.startsWith('-') ? optionsOf(text) : null;
      const ofFiles = options?.some(([option]) => fileOptions.has(option)) ?? false;
      for (const [option, value, words] of ofFiles ? options! : [['', '', text] as const]) {
        if (option === '--requirement' || option === '--constraint') {
          if (isUrl(value))
            throw wrong(`${at}: includes ${value}; only files of the folder can be included.`);
          await include(inside(value), [...from, name], constraint || option === '--constraint');
          continue;
        }
        if (option === '--editable') {
          throw wrong(
            `${at}: "${text}" is an editable install, which no environment can hold.`,
            'Remove the line: the run finds the modules of its folder by itself.',
          );
        }
        if (constraint) {
          // pip takes constraints from files only; they go into one of their own.
          lines.push(`${constraintMark}${words}`);
          continue;
        }
        lines.push(
          option === '--find-links'
            ? linksOf(words, value, inside, paths)
            : localPath(words, at, inside, paths),
        );
      }
    }
  };
  await include(path.posix.normalize(file), [], false);
  return { text: lines.map((line) => `${line}\n`).join(''), paths: [...paths].sort() };
}

/** Before lines of constraints in a requirements text: a comment for pip, taken out by `constraintsOf`. */
export const constraintMark = '#:constraint ';

/** The constraints among the lines, as a file for `-c`; null where there are none. */
export function constraintsOf(text: string): string | null {
  const found = text.split('\n').filter((line) => line.startsWith(constraintMark));
  return found.length === 0 ? null : found.map((line) => `${line.slice(constraintMark.length)}\n`).join('');
}

/** Lines that ask for a package, without options. */
export function packageLines(text: string): string[] {
  return text.split('\n').filter((line) => requirementName(line) !== undefined);
}

/** The normalised name of what a line asks for; undefined for options and comments. */
export function requirementName(line: string): string | undefined {
  if (line.trim().startsWith('-')) return undefined;
  const wheel = /(?:^|\/)([A-Za-z0-9][\w.]*)-\d[^/]*\.whl$/.exec(partsOf(line).target);
  if (wheel) return normalName(wheel[1]!);
  const found = /^\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*(?:$|[=<>!~;@(\s])/.exec(line);
  return found ? normalName(found[1]!) : undefined;
}

/** PEP 503. */
export function normalName(name: string): string {
  return name.toLowerCase().replace(/[-_.]+/g, '-');
}

/** Whether a line leaves no choice: an exact version, a file, or an address. */
export function isPinned(line: string): boolean {
  const bare = line.replace(/;.*$/, '');
  return /===?\s*[^*\s,]+(?![^,]*\*)/.test(bare) || /\s@\s/.test(bare) || /\.(whl|tar\.gz|zip)\b/.test(bare);
}

interface LogicalLine {
  text: string;
  /** Of its first physical line, from 1. */
  number: number;
}

/** Lines with continuations joined, without comments and empty ones. */
export function logicalLines(text: string): LogicalLine[] {
  const found: LogicalLine[] = [];
  let begun: { parts: string[]; number: number } | undefined;
  const end = () => {
    const bare = begun!.parts
      .join('')
      .replace(/(^|\s)#.*$/, '')
      .trim();
    if (bare) found.push({ text: bare, number: begun!.number });
    begun = undefined;
  };
  text.split(/\r\n|\n|\r/).forEach((raw, i) => {
    const goesOn = begun !== undefined;
    begun ??= { parts: [], number: i + 1 };
    const line = goesOn && /^\s*#/.test(raw) ? '' : raw;
    begun.parts.push(line.endsWith('\\') ? line.slice(0, -1) : line);
    if (!line.endsWith('\\')) end();
  });
  if (begun) end();
  return found;
}

function linksOf(
  text: string,
  target: string,
  inside: (target: string) => string,
  paths: Set<string>,
): string {
  if (isUrl(target) || path.posix.isAbsolute(target)) return text;
  const name = inside(target);
  paths.add(name);
  return `--find-links ${quoted(`./${name}`)}`;
}

/** What pip takes for a file. */
const archive = /\.(whl|zip|tar|tgz|tbz|txz|tlz|tar\.(gz|bz2|xz|lz|lzma))$/i;

function localPath(text: string, at: string, inside: (target: string) => string, paths: Set<string>): string {
  const { target, extras, rest } = partsOf(text);
  const isPath =
    /^\.{1,2}(\/|$)/.test(target) ||
    archive.test(target) ||
    (target.includes('/') && !/[@=<>!~$]/.test(target));
  if (text.startsWith('-') || isUrl(target) || !isPath || / @ /.test(target)) return text;
  if (path.posix.isAbsolute(target)) return text;
  const name = inside(target);
  if (name === '.') {
    throw wrong(
      `${at}: "${text}" installs the folder itself, which would be another environment with every change in it.`,
      'Remove the line: the run finds the modules of its folder by itself.',
    );
  }
  paths.add(name);
  return `./${name}${extras}${rest}`;
}

/** A requirement without its extras, and what follows it: a marker, options. */
function partsOf(text: string): { target: string; extras: string; rest: string } {
  const end = text.search(/\s*;|\s--/);
  const first = end < 0 ? text : text.slice(0, end);
  const extras = /\[[^\][]*\]$/.exec(first)?.[0] ?? '';
  return {
    target: first.slice(0, first.length - extras.length).trim(),
    extras,
    rest: end < 0 ? '' : text.slice(end),
  };
}

/** A password in a record stays there for ever. pip itself fills in `${NAME}`. */
export function refuseSecrets(text: string, at: string): void {
  for (const [, found] of text.matchAll(/:\/\/([^/@\s]+)@/g)) {
    if (/^(git|\$\{\w+\}(:\$\{\w+\})?)$/.test(found!)) continue;
    throw wrong(
      `${at}: the address holds a user name or password, which would be kept with every run.`,
      'Write ${NAME} in its place and set that environment variable, or keep it in pip.conf or .netrc on the host.',
    );
  }
}

function isUrl(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
}

function wrong(message: string, action = 'Correct the requirements file.'): RunyardError {
  return new RunyardError('bad_request', message, { action });
}
