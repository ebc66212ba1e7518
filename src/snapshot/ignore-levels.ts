import { lstatSync, readFileSync } from 'node:fs';
import ignore, { type Ignore } from 'ignore';
import { fsPath, textOf } from './path-text.ts';

/** The line that decides about a path. */
export interface Verdict {
  ignored: boolean;
  /** Given where `ignored`. */
  source: string;
  line: number | null;
  pattern: string | null;
}

/** An ignore file: its lines, and the folder they are relative to. */
interface Level {
  /** Path of the folder below the top of the walk, with a slash at the end; empty at the top. */
  base: string;
  source: string;
  rules: Ignore;
}

/** Names of the ignore files; Azure ML v1's replaces git's where both are in the folder. */
export const amlIgnore = '.amlignore';
export const gitIgnore = '.gitignore';

/**
 * The ignore files that count in a folder, the outermost first. Paths and patterns are binary, for git matches
 * bytes (`?` is one of them); paths are relative to the top of the walk: the root of the repository, or the folder.
 */
export class IgnoreLevels {
  private readonly levels: readonly Level[];

  constructor(levels: readonly Level[] = []) {
    this.levels = levels;
  }

  /** With one more ignore file, when it is there: `file` is its binary path, `source` how it is named. */
  with(base: string, file: string, source: string): IgnoreLevels {
    const text = ignoreFileText(file);
    if (text === undefined) return this;
    const rules = ignore({ ignorecase: false, allowRelativePaths: true });
    const lines = text.replace(/^\xEF\xBB\xBF/, '').split('\n');
    lines.forEach((line, i) => {
      // git takes one carriage return off a line's end.
      const pattern = line.endsWith('\r') ? line.slice(0, -1) : line;
      if (pattern) rules.add({ pattern, mark: String(i + 1) });
    });
    return new IgnoreLevels([...this.levels, { base, source, rules }]);
  }

  /** What the last matching line of the innermost file says; undefined when no line matches. */
  verdict(path: string, folder: boolean): Verdict | undefined {
    for (let i = this.levels.length - 1; i >= 0; i--) {
      const { base, rules, source } = this.levels[i]!;
      if (!path.startsWith(base)) continue;
      const relative = path.slice(base.length);
      const { ignored, unignored, rule } = rules.test(folder ? `${relative}/` : relative);
      if (ignored) {
        const line = rule?.mark === undefined ? null : Number(rule.mark);
        return { ignored, source, line, pattern: rule ? textOf(rule.pattern) : null };
      }
      if (unignored) return { ignored: false, source, line: null, pattern: null };
    }
    return undefined;
  }

  /**
   * The levels as they are inside a folder that is taken. Where an outer file leaves the folder out and an inner
   * one takes it in again, the outer one must not go on to leave out everything in it.
   */
  inside(path: string): IgnoreLevels {
    let changed = false;
    const levels = this.levels.map((level) => {
      if (!path.startsWith(level.base)) return level;
      const relative = path.slice(level.base.length);
      if (!relative || !level.rules.test(`${relative}/`).ignored) return level;
      changed = true;
      const rules = ignore({ ignorecase: false, allowRelativePaths: true })
        .add(level.rules)
        .add({ pattern: `!/${escaped(relative)}/` });
      return { ...level, rules };
    });
    return changed ? new IgnoreLevels(levels) : this;
  }
}

/** The bytes of an ignore file as a binary text; undefined when it is none: as git, no link is followed and no pipe is read. */
export function ignoreFileText(binary: string): string | undefined {
  try {
    if (!lstatSync(fsPath(binary)).isFile()) return undefined;
    return readFileSync(fsPath(binary), 'latin1');
  } catch {
    return undefined;
  }
}

/** A path as a pattern that matches nothing else. */
export function escaped(path: string): string {
  return path.replace(/[\\*?[\]!# ]/g, '\\$&');
}
