import path from 'node:path';
import type { GitFacts } from '../api/entities.ts';
import { gitBytes, gitText, hasRepository } from './git.ts';
import { gitlinks } from './git-listing.ts';

/** Facts without what has to be stored. */
export type PlainGitFacts = Omit<GitFacts, 'changes'> & {
  /** The repository differs from the commit, here or elsewhere. */
  anywhereDirty: boolean;
  /** Absolute path of the repository's root. */
  top: string;
};

/**
 * The git facts of a folder; undefined without a repository or without git. The first four are read as Azure ML
 * v1 documents them.
 */
export async function readGitFacts(folder: string): Promise<PlainGitFacts | undefined> {
  if (!hasRepository(folder)) return undefined;
  const where = await gitText(folder, [
    'rev-parse',
    '--is-inside-work-tree',
    '--is-shallow-repository',
    '--absolute-git-dir',
    '--path-format=absolute',
    '--git-common-dir',
    '--show-toplevel',
    '--show-prefix',
  ]);
  const [inside, shallow, gitDir, commonDir, top, prefix = ''] = where?.split('\n') ?? [];
  if (inside !== 'true' || !top || !gitDir || !commonDir) return undefined;
  const [uri, branch, commit, status, remotes] = await Promise.all([
    gitText(folder, ['ls-remote', '--get-url']),
    gitText(folder, ['symbolic-ref', '--short', '-q', 'HEAD']),
    gitText(folder, ['rev-parse', '--verify', '-q', 'HEAD']),
    gitBytes(top, ['status', '--porcelain', '-z', '--ignore-submodules=none']).catch(() => Buffer.alloc(0)),
    gitText(folder, ['remote']),
  ]);
  const changed = changedPaths(status);
  return {
    // Without a remote git answers with the remote's name that it would use.
    repositoryUri: uri === null || uri === 'origin' ? null : withoutCredentials(uri),
    branch,
    commit,
    dirty: changed.some((name) => name.startsWith(prefix) || (name.endsWith('/') && prefix.startsWith(name))),
    anywhereDirty: changed.length > 0,
    folder: prefix.replace(/\/$/, ''),
    worktree: path.resolve(gitDir) !== path.resolve(commonDir),
    shallow: shallow === 'true',
    pushed: remotes && commit ? await isPushed(folder, commit) : null,
    submodules: await submodulesOf(top),
    top,
  };
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
  return uri
    .replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1')
    .replace(/^([a-z][a-z0-9+.-]*:\/\/[^?#]*)[?#].*$/i, '$1');
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

/** Whether a remote-tracking branch or a fetched tag of a remote has the commit. */
async function isPushed(folder: string, commit: string): Promise<boolean> {
  const found = await gitText(folder, [
    'for-each-ref',
    '--count=1',
    '--format=%(refname)',
    '--contains',
    commit,
    'refs/remotes',
  ]);
  return found !== null;
}

async function submodulesOf(top: string): Promise<GitFacts['submodules']> {
  if (!(await gitText(top, ['ls-files', '--', '.gitmodules']))) return [];
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
