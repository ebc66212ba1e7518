interface Rule {
  pattern: RegExp;
  not: boolean;
}

/** A .dockerignore, by Docker's rules: anchored at the context, the last line that matches counts. */
export class DockerIgnore {
  private readonly rules: Rule[] = [];

  constructor(text: string) {
    for (const line of text.split(/\r\n|\n/)) {
      const bare = line.trim();
      if (!bare || line.startsWith('#')) continue;
      const not = bare.startsWith('!');
      const pattern = patternOf((not ? bare.slice(1) : bare).trim());
      if (pattern) this.rules.push({ pattern, not });
    }
  }

  /** Whether a path is left out; a folder that is left out may still have files in it that are not. */
  ignores(name: string): boolean {
    const parts = name.split('/');
    const paths = parts.map((_, i) => parts.slice(0, i + 1).join('/'));
    let ignored = false;
    for (const { pattern, not } of this.rules) {
      if (not === ignored && paths.some((one) => pattern.test(one))) ignored = !not;
    }
    return ignored;
  }

  /** Whether nothing in a folder that is left out can come back. */
  get isFinal(): boolean {
    return this.rules.every(({ not }) => !not);
  }
}

function patternOf(text: string): RegExp | undefined {
  const clean = text
    .split('/')
    .filter((part, i, parts) => part !== '' && part !== '.' && !(part === '**' && parts[i - 1] === '**'))
    .join('/');
  if (!clean) return undefined;
  const source = clean.replace(
    /\*\*\/|\*\*|\*|\?|\[[^\]]+\]|\\(.)|[.+^${}()|[\]\\]/g,
    (found, escaped: string | undefined) => {
      if (found === '**/') return '(?:.*/)?';
      if (found === '**') return '.*';
      if (found === '*') return '[^/]*';
      if (found === '?') return '[^/]';
      if (found.startsWith('[') && found.length > 1) return found;
      return `\\${escaped ?? found}`;
    },
  );
  try {
    return new RegExp(`^${source}$`);
  } catch {
    return undefined;
  }
}
