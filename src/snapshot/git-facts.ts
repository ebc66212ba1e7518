import { existsSync } from 'node:fs';
import path from 'node:path';
import { simpleGit } from 'simple-git';
import type { GitFacts } from '../api/entities.ts';

/**
 * The git facts of a folder; undefined without a repository or without git. Each is read as Azure ML v1
 * documents it.
 */
export async function readGitFacts(folder: string): Promise<GitFacts | undefined> {
  if (!hasRepository(folder)) return undefined;
  // GIT_OPTIONAL_LOCKS: reading facts must not write the person's index.
  const git = simpleGit({ baseDir: folder, maxConcurrentProcesses: 4 });
  const ask = async (...args: string[]): Promise<string | null> => {
    try {
      return (await git.raw(['--no-optional-locks', ...args])).trim() || null;
    } catch {
      return null;
    }
  };
  const [inside, uri, branch, commit, status] = await Promise.all([
    ask('rev-parse', '--is-inside-work-tree'),
    ask('ls-remote', '--get-url'),
    ask('symbolic-ref', '--short', 'HEAD'),
    ask('rev-parse', '--verify', 'HEAD'),
    ask('status', '--porcelain', '.'),
  ]);
  if (inside !== 'true') return undefined;
  // Without a remote git answers with the remote's name that it would use.
  const repositoryUri = uri === null || uri === 'origin' ? null : withoutCredentials(uri);
  return { repositoryUri, branch, commit, dirty: status !== null };
}

/** Azure ML v1's seven properties. */
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
  return properties;
}

/** A remote's address without user name, password or token. */
export function withoutCredentials(uri: string): string {
  return uri.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/]*@/i, '$1');
}

function hasRepository(folder: string): boolean {
  for (let dir = path.resolve(folder); ; dir = path.dirname(dir)) {
    if (existsSync(path.join(dir, '.git'))) return true;
    if (path.dirname(dir) === dir) return false;
  }
}
