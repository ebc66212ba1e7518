import { statSync } from 'node:fs';
import path from 'node:path';
import type { GitFacts } from '../api/entities.ts';
import { gitBytes, GitError, gitText, hasRepository } from './git.ts';
import { gitlinks } from './git-listing.ts';

/** What git says of a folder without looking at the files. */
export type RepositoryFacts = Omit<GitFacts, 'dirty' | 'changes' | 'submodules'> & {
  /** Absolute path of the repository's root. */
  top: string;
  /** Tells one state of the index from another: its inode, size and time. */
  index: string;
  /** When the index was last written, milliseconds. */
  indexTime: number;
  hasSubmodules: boolean;
};

/** What differs from the commit. */
export interface Dirt {
  /** In the folder, as Azure ML v1 means it. */
  dirty: boolean;
  /** Anywhere in the repository. */
  anywhere: boolean;
  submodules: GitFacts['submodules'];
}

/**
 * The facts of a folder's repository; undefined without one or without git. Address, branch and commit are read as
 * Azure ML v1 documents them.
 */
export async function readRepositoryFacts(folder: string): Promise<RepositoryFacts | undefined> {
  if (!hasRepository(folder)) return undefined;
  const [where, uri, head, remote] = await Promise.all([
    placeOf(folder),
    gitText(folder, ['ls-remote', '--get-url']),
    gitText(folder, ['rev-parse', 'HEAD', '--symbolic-full-name', 'HEAD']),
    gitText(folder, [
      'for-each-ref',
      '--count=1',
      '--format=%(refname)',
      '--contains',
      'HEAD',
      'refs/remotes',
    ]),
  ]);
  if (!where) return undefined;
  const { shallow, top, gitDir, commonDir } = where;
  const [commit = null, ref = ''] = head?.split('\n') ?? [];
  // Before the first commit git says nothing of HEAD but where it points to.
  const branch = commit ? branchOf(ref) : await gitText(folder, ['symbolic-ref', '--short', '-q', 'HEAD']);
  // Without a remote git answers with the remote's name that it would use.
  const hasRemote = uri !== null && uri !== 'origin';
  return {
    repositoryUri: hasRemote ? withoutCredentials(uri) : null,
    branch,
    commit,
    folder: path.relative(top, folder),
    worktree: path.resolve(gitDir) !== path.resolve(commonDir),
    shallow,
    // As far as this clone knows.
    pushed: hasRemote && commit ? remote !== null : null,
    top,
    hasSubmodules: statSync(path.join(top, '.gitmodules'), { throwIfNoEntry: false }) !== undefined,
    ...indexState(path.join(gitDir, 'index')),
  };
}

/** Where a folder's repository is; undefined outside of a work tree. */
async function placeOf(
  folder: string,
): Promise<{ shallow: boolean; top: string; gitDir: string; commonDir: string } | undefined> {
  const args = ['--is-inside-work-tree', '--is-shallow-repository', '--show-cdup', '--absolute-git-dir'];
  const said = await gitBytes(folder, [
    'rev-parse',
    ...args,
    '--path-format=absolute',
    '--git-common-dir',
  ]).catch((error: unknown) => {
    if (error instanceof GitError) return Buffer.alloc(0);
    throw error;
  });
  const [inside, shallow, up = '', ...rest] = said.toString().replace(/\n$/, '').split('\n');
  if (inside !== 'true' || rest.length < 2) return undefined;
  // A path may have line breaks; both have as many, for one is the other or is inside it.
  const half = rest.length / 2;
  return {
    shallow: shallow === 'true',
    top: path.resolve(folder, up),
    gitDir: rest.slice(0, half).join('\n'),
    commonDir: rest.slice(half).join('\n'),
  };
}

/** What differs from the commit now: git looks at every file. */
export async function readDirt(facts: RepositoryFacts): Promise<Dirt> {
  const [status, submodules] = await Promise.all([
    gitBytes(facts.top, [
      'status',
      '--porcelain',
      '-z',
      '--untracked-files=normal',
      '--ignore-submodules=none',
    ]).catch(() => Buffer.alloc(0)),
    submodulesOf(facts.top),
  ]);
  const changed = changedPaths(status);
  const prefix = facts.folder ? `${facts.folder}/` : '';
  return {
    dirty: changed.some((name) => name.startsWith(prefix) || (name.endsWith('/') && prefix.startsWith(name))),
    anywhere: changed.length > 0,
    submodules,
  };
}

/**
 * The same where every tracked file is among those that were listed: an untracked one, a staged change, or a
 * difference that the patch shows.
 */
export async function readWholeDirt(
  { top, commit }: RepositoryFacts,
  hasUntracked: boolean,
  hasPatch: boolean,
): Promise<Dirt> {
  const known = hasUntracked || hasPatch || commit === null;
  const isStaged = () =>
    gitBytes(top, ['diff-index', '--cached', '--quiet', 'HEAD']).then(
      () => false,
      () => true,
    );
  const dirty = known || (await isStaged());
  return { dirty, anywhere: dirty, submodules: [] };
}

/** Azure ML v1's seven properties, and whether a remote has the commit. */
export function gitProperties(git: GitFacts): Record<string, string> {
  const properties: Record<string, string> = { 'azureml.git.dirty': git.dirty ? 'True' : 'False' };
  const add = (azure: string, mlflow: string, value: string | null) => {
    if (value === null) return;
    properties[azure] = value;
    properties[mlflow] = value;
  };
  add('azureml.git.repository_uri', 'mlflow.source.git.repoURL', git.repositoryUri);
  add('azureml.git.branch', 'mlflow.source.git.branch', git.branch);
  add('azureml.git.commit', 'mlflow.source.git.commit', git.commit);
  if (git.pushed !== null) properties['runyard.git.pushed'] = git.pushed ? 'True' : 'False';
  return properties;
}

/** A remote's address without user name, password or token, and without a query that may hold one. */
export function withoutCredentials(uri: string): string {
  // `gcrypt::https://...`: an address for another helper of git's; what `ext::` runs may say anything.
  const [helpers] = /^(?:[\w+.-]+::)*/.exec(uri)!;
  if (/(?:^|::)ext::$/.test(helpers)) return helpers;
  const address = uri
    .slice(helpers.length)
    .replace(/^((?:[a-z][a-z0-9+.-]*:)?[\\/]{2,})[^\\/]*@/i, '$1')
    // A password with a slash in it, which no port is.
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@:[]+:(?!\d*\/)[^@]*@/i, '$1')
    // `user:password@host:path`: no form that git knows, but one that people write.
    .replace(/^[^/:@]+:[^/@]*@(?=[^/:]+:)/, '')
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?#]*)[?#].*$/i, '$1')
    // In the middle, where `url.<base>.insteadOf` has put something before it.
    .replace(/(\/)[^/:@]+:[^/@]*@/g, '$1');
  return helpers + address;
}

/** Paths relative to the root in `git status --porcelain -z`; an untracked folder ends with a slash. */
function changedPaths(status: Buffer): string[] {
  const fields = status.toString('utf8').split('\0');
  const names: string[] = [];
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]!;
    if (field.length < 4) continue;
    names.push(field.slice(3));
    // A rename or a copy is followed by where it came from.
    if (/^[RC]|^.[RC]/.test(field)) names.push(fields[++i] ?? '');
  }
  return names;
}

/** Null for a detached HEAD. */
function branchOf(ref: string): string | null {
  return ref.startsWith('refs/heads/') ? ref.slice('refs/heads/'.length) : null;
}

function indexState(file: string): { index: string; indexTime: number } {
  const found = statSync(file, { throwIfNoEntry: false });
  if (!found) return { index: '', indexTime: 0 };
  const { ino, size, mtimeMs, ctimeMs } = found;
  return { index: `${ino} ${size} ${mtimeMs} ${ctimeMs}`, indexTime: mtimeMs };
}

async function submodulesOf(top: string): Promise<GitFacts['submodules']> {
  if (!statSync(path.join(top, '.gitmodules'), { throwIfNoEntry: false })) return [];
  const names = await gitlinks(top).catch(() => []);
  return Promise.all(
    names.map(async (binary) => {
      const name = Buffer.from(binary, 'latin1').toString();
      const folder = path.join(top, name);
      // Not initialised: its folder has no repository of its own.
      const own = (await gitText(folder, ['rev-parse', '--show-prefix'])) === null;
      if (!own) return { path: name, commit: null, dirty: false };
      const [commit, status] = await Promise.all([
        gitText(folder, ['rev-parse', '--verify', '-q', 'HEAD']),
        gitText(folder, ['status', '--porcelain']),
      ]);
      return { path: name, commit, dirty: status !== null };
    }),
  );
}
