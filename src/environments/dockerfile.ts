import { logicalLines } from './requirements.ts';

/** The image that the last stage stands on; null where it is another stage or a variable. */
export function baseImageOf(dockerfile: string): string | null {
  const stages = new Set<string>();
  let base: string | null = null;
  for (const { keyword, rest } of instructions(dockerfile)) {
    if (keyword !== 'FROM') continue;
    const [image, name] = stageOf(rest);
    base = image === undefined || stages.has(image) || image.includes('$') ? null : image;
    if (name) stages.add(name);
  }
  return base;
}

/**
 * What COPY and ADD name of the build context, as patterns relative to it; null: everything, as they name it
 * by a variable. Files that no line names are no part of the environment.
 */
export function copiedPaths(dockerfile: string): string[] | null {
  const found = new Set<string>();
  for (const { keyword, rest } of instructions(dockerfile)) {
    // What a RUN mounts of the context cannot be told apart well enough.
    if (keyword === 'RUN' && /--mount=type=bind/.test(rest) && !/--mount=type=bind\S*from=/.test(rest))
      return null;
    if (keyword !== 'COPY' && keyword !== 'ADD') continue;
    const words = wordsOf(rest);
    const flags = words.filter((word) => word.startsWith('--'));
    if (flags.some((flag) => flag.startsWith('--from='))) continue;
    const sources = words.filter((word) => !word.startsWith('--')).slice(0, -1);
    for (const source of sources) {
      if (/^[a-z]+:\/\/|^git@/i.test(source) || source.startsWith('<<')) continue;
      if (source.includes('$')) return null;
      const name = source.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
      if (name === '' || name === '.') return null;
      found.add(name);
    }
  }
  return [...found].sort();
}

interface Instruction {
  keyword: string;
  rest: string;
}

function instructions(dockerfile: string): Instruction[] {
  return logicalLines(withoutHeredocs(dockerfile)).flatMap(({ text }) => {
    const found = /^([A-Za-z]+)\s+(.*)$/s.exec(text);
    return found ? [{ keyword: found[1]!.toUpperCase(), rest: found[2]!.trim() }] : [];
  });
}

/** The text between `<<EOF` and `EOF` is no instruction. */
function withoutHeredocs(dockerfile: string): string {
  const kept: string[] = [];
  let until: string[] = [];
  for (const line of dockerfile.split(/\r\n|\n/)) {
    if (until.length > 0) {
      if (line.trim() === until[0]) until.shift();
      continue;
    }
    kept.push(line);
    // A word of its own: "1<<3" is arithmetic, "<<<" a text for a command.
    if (/^\s*(?:RUN|COPY|ADD)\b/i.test(line))
      until = [...line.matchAll(/(?<=\s\d*)<<-?["']?(\w+)["']?/g)].map(([, name]) => name!);
  }
  return kept.join('\n');
}

function stageOf(rest: string): [image: string | undefined, name: string | undefined] {
  const words = rest.split(/\s+/).filter((word) => !word.startsWith('--'));
  return [words[0], words[1]?.toLowerCase() === 'as' ? words[2] : undefined];
}

/** Words of an instruction in its shell form or as a JSON list. */
function wordsOf(rest: string): string[] {
  const list = /(\[.*\])\s*$/s.exec(rest)?.[1];
  if (list) {
    try {
      const words = JSON.parse(list) as unknown;
      const flags = rest
        .slice(0, rest.length - list.length)
        .split(/\s+/)
        .filter(Boolean);
      if (Array.isArray(words) && words.every((word) => typeof word === 'string'))
        return [...flags, ...words];
    } catch {
      // Then it is the shell form of a name in brackets.
    }
  }
  return [...rest.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}
