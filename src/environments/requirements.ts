import path from 'node:path';
import { RunyardError } from '../api/errors.ts';

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
      const joined = path.posix.normalize(path.posix.join(folder, target));
      if (joined.startsWith('..') || path.posix.isAbsolute(target))
        throw wrong(`${name} names ${target}, which is outside its folder.`);
      return joined;
    };
    for (const { text, number } of logicalLines(await read(name))) {
      const at = `${name}:${number}`;
      const option = /^(-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(.+)$/.exec(text);
      if (option) {
        const target = unquoted(option[2]!);
        if (isUrl(target))
          throw wrong(`${at}: includes ${target}; only files of the folder can be included.`);
        await include(inside(target), [...from, name], constraint || /^-(c|-constraint)/.test(option[1]!));
        continue;
      }
      refuseSecrets(text, at);
      if (/^(-e|--editable)\b/.test(text)) {
        throw wrong(
          `${at}: "${text}" is an editable install, which no environment can hold.`,
          'Remove the line: the run finds the modules of its folder by itself.',
        );
      }
      if (constraint) {
        // pip takes constraints from files only; they go into one of their own.
        lines.push(`${constraintMark}${text}`);
        continue;
      }
      lines.push(localPaths(text, inside, paths));
    }
  };
  await include(path.posix.normalize(file), [], false);
  return { text: lines.map((line) => `${line}\n`).join(''), paths: [...paths].sort() };
}

/** Before lines of constraints in a requirements text: a comment for pip, taken out by `constraintsOf`. */
const constraintMark = '#:constraint ';

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
  const wheel = /([A-Za-z0-9][\w.]*)-\d[^/]*\.whl\b/.exec(line);
  if (wheel && !line.trim().startsWith('-')) return normalName(wheel[1]!);
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
  let begun: LogicalLine | undefined;
  text.split(/\r\n|\n|\r/).forEach((raw, i) => {
    const line = begun && /^\s*#/.test(raw) ? '' : raw;
    const joined = (begun?.text ?? '') + line;
    const number = begun?.number ?? i + 1;
    if (joined.endsWith('\\')) {
      begun = { text: joined.slice(0, -1), number };
      return;
    }
    begun = undefined;
    const bare = joined.replace(/(^|\s)#.*$/, '').trim();
    if (bare) found.push({ text: bare, number });
  });
  const rest = begun?.text.trim();
  if (begun && rest) found.push({ text: rest, number: begun.number });
  return found;
}

function localPaths(text: string, inside: (target: string) => string, paths: Set<string>): string {
  const links = /^(-f|--find-links)(?:\s*=\s*|\s+)(.+)$/.exec(text);
  if (links) {
    const target = unquoted(links[2]!);
    if (isUrl(target) || path.posix.isAbsolute(target)) return text;
    const name = inside(target);
    paths.add(name);
    return `--find-links ./${name}`;
  }
  if (/^(\.{1,2}\/|[\w./-]+\.(whl|tar\.gz|zip)(\s|$|;))/.test(text) && !isUrl(text)) {
    const [, target, rest] = /^(\S+?)(\s*(?:;.*|\s--.*)?)$/.exec(text) ?? [undefined, text, ''];
    if (path.posix.isAbsolute(target!)) return text;
    const name = inside(target!.replace(/\[[^\]]*\]$/, ''));
    paths.add(name);
    return `./${name}${/\[[^\]]*\]$/.exec(target!)?.[0] ?? ''}${rest}`;
  }
  return text;
}

/** A password in a record stays there for ever. pip itself fills in `${NAME}`. */
function refuseSecrets(text: string, at: string): void {
  const found = /[a-z+]+:\/\/([^/@\s]+)@/i.exec(text);
  if (!found || /^(git|\$\{\w+\}(:\$\{\w+\})?)$/.test(found[1]!)) return;
  throw wrong(
    `${at}: the address holds a user name or password, which would be kept with every run.`,
    'Write ${NAME} in its place and set that environment variable, or keep it in pip.conf or .netrc on the host.',
  );
}

function isUrl(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
}

function unquoted(text: string): string {
  return text.trim().replace(/^(["'])(.*)\1$/, '$2');
}

function wrong(message: string, action = 'Correct the requirements file.'): RunyardError {
  return new RunyardError('bad_request', message, { action });
}
