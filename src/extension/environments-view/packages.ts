import type { Environment } from '../../api/environment.ts';

/** A package that an environment asks for. */
export interface AskedPackage {
  name: string;
  /** What was said of its version: `==1.26.4`, `>=2,<3`; empty: nothing. */
  version: string;
  source: 'pip' | 'conda';
  pinned: boolean;
}

/** What an environment asks for, in its own order. */
export function askedPackages({
  definition,
  unpinned,
}: Pick<Environment, 'definition' | 'unpinned'>): AskedPackage[] {
  const loose = new Set(unpinned);
  const { requirements, condaSpecification } = definition;
  const conda = (condaSpecification?.conda ?? []).map((line) => condaPackage(line, loose));
  const lines = [...(requirements ?? '').split('\n'), ...(condaSpecification?.pip ?? [])];
  return [
    ...conda,
    ...lines
      .map(asked)
      .filter(Boolean)
      .map((line) => pipPackage(line, loose)),
  ];
}

/** A line without its comment; empty for options and blank lines. */
function asked(line: string): string {
  const text = line.replace(/(^|\s)#.*$/, '').trim();
  return text.startsWith('-') && !/^(-e|--editable)\b/.test(text) ? '' : text;
}

function pipPackage(line: string, loose: ReadonlySet<string>): AskedPackage {
  const found = /^([A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)\s*(.*)$/.exec(line.replace(/\s+--hash\S*/g, ''));
  const name = found?.[1] ?? line;
  const normal = name
    .replace(/\[.*$/, '')
    .toLowerCase()
    .replace(/[-_.]+/g, '-');
  return {
    name,
    version: (found?.[2] ?? '').replace(/\s*;.*$/, '').replace(/\s*\\$/, ''),
    source: 'pip',
    pinned: !loose.has(normal) && !loose.has(line),
  };
}

function condaPackage(line: string, loose: ReadonlySet<string>): AskedPackage {
  const found = /^([^\s=<>!~]+)\s*(.*)$/.exec(line);
  return {
    name: found?.[1] ?? line,
    version: found?.[2] ?? '',
    source: 'conda',
    pinned: !loose.has(line),
  };
}
