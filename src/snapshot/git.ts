import { AsyncLocalStorage } from 'node:async_hooks';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { simpleGit } from 'simple-git';
import { findPipe } from './git-pipes.ts';

/** Variables by which a caller of ours (a git hook, a test) would point git at another repository. */
const kept = new Set([
  'GIT_CONFIG_GLOBAL',
  'GIT_CONFIG_SYSTEM',
  'GIT_CONFIG_NOSYSTEM',
  'GIT_CEILING_DIRECTORIES',
  'GIT_DISCOVERY_ACROSS_FILESYSTEM',
  'GIT_EXEC_PATH',
]);

const own = ['LC_ALL', 'GIT_TERMINAL_PROMPT'];

/** Programs that git would start; nothing here needs them, and simple-git refuses to run beside them. */
const programs = new Set(['EDITOR', 'VISUAL', 'PAGER', 'SSH_ASKPASS', 'PREFIX']);

/** A git command that did not end well; `message` is what git said. */
export class GitError extends Error {}

/** The environment for git: the process's own, in the C locale, without what points at another repository. */
export function gitEnvironment(): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    const isGits = name.startsWith('GIT_') ? !kept.has(name) : programs.has(name);
    if (value !== undefined && !isGits) environment[name] = value;
  }
  return { ...environment, LC_ALL: 'C', GIT_TERMINAL_PROMPT: '0' };
}

/** How often a command under way looks whether it is to end. */
const pollMs = 100;
/** A command that takes this long may be waiting for a pipe. */
const pipeMs = 2000;

const cancellation = new AsyncLocalStorage<() => void>();

/** Does work whose git commands end when `check` throws; they throw what it throws. */
export function withCancellation<T>(check: () => void, work: () => T): T {
  return cancellation.run(check, work);
}

/**
 * Watches over a command in a folder, which may never end: it ends when the work it belongs to is canceled, and
 * when git waits for a pipe with an ignore file's name. `why` is what to throw then.
 */
class Watch {
  readonly abort = new AbortController();
  why: Error | undefined;
  private readonly timer: NodeJS.Timeout;

  constructor(folder: string) {
    const check = cancellation.getStore();
    const startedAt = Date.now();
    let looked = false;
    this.timer = setInterval(() => {
      try {
        check?.();
      } catch (error) {
        return this.stop(error as Error);
      }
      if (looked || Date.now() - startedAt < pipeMs) return;
      looked = true;
      const pipe = findPipe(folder);
      if (pipe !== undefined) this.stop(new GitError(`${pipe} is a pipe, which git would wait for`));
    }, pollMs);
  }

  end(): void {
    clearInterval(this.timer);
  }

  private stop(why: Error): void {
    this.why ??= why;
    this.abort.abort();
  }
}

/**
 * What a git command in a folder prints, as bytes: names are no text. Never takes a lock of the index. Throws
 * GitError when git says no (or is not there), and what `withCancellation` says.
 */
export async function gitBytes(folder: string, args: readonly string[]): Promise<Buffer> {
  const parts: Buffer[] = [];
  const watch = new Watch(folder);
  try {
    const git = open(folder, parts, watch.abort.signal);
    await git.raw(['--no-optional-locks', ...args]);
  } catch (cause) {
    throw watch.why ?? new GitError((cause as Error).message.trim(), { cause });
  } finally {
    watch.end();
  }
  return Buffer.concat(parts);
}

/** Throws where there is no such folder, or where its name is no UTF-8. */
function open(folder: string, parts: Buffer[], abort: AbortSignal) {
  return simpleGit({
    baseDir: folder,
    abort,
    completion: { onClose: true, onExit: false },
    // The variables that are left are those that `gitEnvironment` lets through.
    allowEnvironment: [...kept, ...own],
    unsafe: { allowUnsafeConfigPaths: true },
    errors: (error, result) => {
      if (error) return error;
      if (result.exitCode === 0) return undefined;
      return Buffer.concat(result.stdErr.map((part) => Buffer.from(part)));
    },
  })
    .env(gitEnvironment())
    .outputHandler((_command, stdout) => {
      stdout.on('data', (part: Buffer) => parts.push(part));
      // simple-git waits 50 ms longer for a command that has printed nothing: an empty part is something.
      stdout.on('end', () => stdout.emit('data', Buffer.alloc(0)));
    });
}

/** As `gitBytes`, as trimmed text (for no names of folders); null when git says no or nothing. */
export async function gitText(folder: string, args: readonly string[]): Promise<string | null> {
  try {
    return (await gitBytes(folder, args)).toString('utf8').trim() || null;
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    return null;
  }
}

/** Which line of which ignore file decides about a path. */
export interface IgnoreMatch {
  /** Relative to the folder git was asked in, or absolute (`core.excludesFile`). */
  source: string;
  line: number;
  /** Begins with `!` where the line takes the path in. */
  pattern: string;
}

/**
 * The deciding line for each binary path below a folder, as `git check-ignore` says it; tracked files are
 * looked at like others. simple-git has no standard input, hence the plain process. Throws GitError.
 */
export async function checkIgnore(
  folder: string,
  binaryPaths: readonly string[],
): Promise<Map<string, IgnoreMatch>> {
  const found = new Map<string, IgnoreMatch>();
  if (binaryPaths.length === 0) return found;
  const args = ['--no-optional-locks', 'check-ignore', '--no-index', '-v', '-n', '-z', '--stdin'];
  const child = spawn('git', args, { cwd: folder, env: gitEnvironment(), stdio: ['pipe', 'pipe', 'pipe'] });
  const parts: Buffer[] = [];
  const said: Buffer[] = [];
  child.stdout.on('data', (part: Buffer) => parts.push(part));
  child.stderr.on('data', (part: Buffer) => said.push(part));
  child.stdin.on('error', () => {});
  child.stdin.end(Buffer.from(binaryPaths.map((name) => `${name}\0`).join(''), 'latin1'));
  const watch = new Watch(folder);
  watch.abort.signal.addEventListener('abort', () => child.kill());
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', (error) => reject(new GitError(error.message, { cause: error })));
    child.on('close', resolve);
  }).finally(() => watch.end());
  if (watch.why) throw watch.why;
  // 1: no path is ignored.
  if (code !== 0 && code !== 1) throw new GitError(Buffer.concat(said).toString().trim());
  const fields = Buffer.concat(parts).toString('latin1').split('\0');
  for (let i = 0; i + 3 < fields.length; i += 4) {
    const [source, line, pattern, name] = fields.slice(i, i + 4) as [string, string, string, string];
    if (source) found.set(name, { source: utf8(source), line: Number(line), pattern: utf8(pattern) });
  }
  return found;
}

/** Whether a folder or one above it has a repository; says nothing about whether git can read it. */
export function hasRepository(folder: string): boolean {
  for (let dir = path.resolve(folder); ; dir = path.dirname(dir)) {
    if (existsSync(path.join(dir, '.git'))) return true;
    if (path.dirname(dir) === dir) return false;
  }
}

function utf8(binary: string): string {
  return Buffer.from(binary, 'latin1').toString('utf8');
}
