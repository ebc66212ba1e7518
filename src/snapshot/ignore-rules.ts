import { readFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import path from 'node:path';
import ignore, { type Ignore } from 'ignore';

/** Never taken, wherever they are. */
const alwaysOut = new Set(['.git', '__pycache__', '.ipynb_checkpoints', 'node_modules']);
/** Never taken at the top: what a run itself writes there. */
const outAtTop = new Set(['outputs', 'logs']);

interface Level {
  /** Absolute folder that the rules are relative to. */
  dir: string;
  rules: Ignore;
}

/**
 * Which paths of a folder a snapshot leaves out. `.amlignore` in the folder replaces `.gitignore`, as in
 * Azure ML v1; otherwise every `.gitignore` from the work tree's root down counts.
 */
export class IgnoreRules {
  private readonly root: string;
  private readonly levels: Level[];
  private readonly nested: boolean;
  private readonly excludedFolder: string | undefined;

  private constructor(root: string, levels: Level[], nested: boolean, excludedFolder: string | undefined) {
    this.root = root;
    this.levels = levels;
    this.nested = nested;
    this.excludedFolder = excludedFolder;
  }

  /** Rules for a folder. `excludedFolder` (Runyard's home) is left out if it lies inside. */
  static async of(root: string, excludedFolder?: string): Promise<IgnoreRules> {
    const aml = await rulesIn(root, '.amlignore');
    if (aml) return new IgnoreRules(root, [aml], false, excludedFolder);
    const levels: Level[] = [];
    for (const dir of parentsInWorkTree(root)) {
      const level = await rulesIn(dir, '.gitignore');
      if (level) levels.push(level);
    }
    return new IgnoreRules(root, levels, true, excludedFolder);
  }

  /** The rules as they are inside a folder: its own `.gitignore` comes last and wins. */
  async inside(dir: string): Promise<IgnoreRules> {
    if (!this.nested || dir === this.root) return this;
    const level = await rulesIn(dir, '.gitignore');
    return level ? new IgnoreRules(this.root, [...this.levels, level], true, this.excludedFolder) : this;
  }

  /** `file` is absolute and its parent is taken. */
  leavesOut(file: string, isDirectory: boolean): boolean {
    const name = path.basename(file);
    if (alwaysOut.has(name)) return true;
    if (path.dirname(file) === this.root && isDirectory && outAtTop.has(name)) return true;
    if (file === this.excludedFolder) return true;
    if (isDirectory && isVirtualEnvironment(file)) return true;
    let out = false;
    for (const { dir, rules } of this.levels) {
      const relative = path.relative(dir, file).split(path.sep).join('/');
      const verdict = rules.test(isDirectory ? `${relative}/` : relative);
      if (verdict.ignored) out = true;
      else if (verdict.unignored) out = false;
    }
    return out;
  }
}

function isVirtualEnvironment(dir: string): boolean {
  return existsSync(path.join(dir, 'pyvenv.cfg')) || existsSync(path.join(dir, 'conda-meta'));
}

async function rulesIn(dir: string, name: string): Promise<Level | undefined> {
  const text = await readFile(path.join(dir, name), 'utf8').catch(() => undefined);
  return text === undefined ? undefined : { dir, rules: ignore({ allowRelativePaths: true }).add(text) };
}

/** From the git work tree's root down to the folder itself; only the folder where there is no git. */
function parentsInWorkTree(root: string): string[] {
  const dirs: string[] = [];
  for (let dir = root; ; dir = path.dirname(dir)) {
    dirs.unshift(dir);
    if (existsSync(path.join(dir, '.git'))) return dirs;
    if (path.dirname(dir) === dir) return [root];
  }
}
