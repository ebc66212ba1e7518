import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { simpleGit } from 'simple-git';
import type { GitFacts, Restored } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import type { BlobFolder } from './blob-folder.ts';
import { verifyBlob } from './copy-blob.ts';
import { ExactTree } from './exact-tree.ts';
import { resolved } from './folder.ts';
import { gitEnvironment } from './git.ts';
import type { JobContext } from './jobs/context.ts';
import { manifestEntries } from './manifest.ts';
import { checkTree } from './restore-check.ts';
import { TreeWriter } from './tree-writer.ts';

export interface WorktreeArgs {
  /** The snapshot. */
  id: string;
  folder: string;
  git: GitFacts | null;
  /** The folder that the snapshot was taken of. */
  sourceDirectory: string;
}

/** How often a git command under way looks whether it is to end. */
const cancelPollMs = 100;

/**
 * A new git worktree at the recorded commit, with the recorded changes and untracked files; in the folder that the
 * snapshot was taken of, every file is as it was, whatever git's settings make of it. Throws `conflict`
 * without a commit or when the folder is in use, `not_found` when the repository or the commit is not there.
 */
export async function restoreWorktree(
  { id, folder, git, sourceDirectory }: WorktreeArgs,
  blobs: BlobFolder,
  context: JobContext,
): Promise<Restored> {
  if (!git) throw none('The snapshot was taken of a folder that is in no git repository.');
  if (!git.commit) throw none('The repository had no commit yet when the snapshot was taken.');
  const { patch, untracked, problems = [] } = git.changes ?? {};
  if (patch) verifyBlob(blobs.pathOf(patch.hash), patch.hash, 'the recorded changes (git/changes.patch)');
  const untrackedEntries = untracked ? await manifestEntries(blobs, untracked.manifest) : [];
  checkTree(untrackedEntries, blobs, () => context.throwIfCanceled(), { worktree: true });
  const entries = await manifestEntries(blobs, id);
  checkTree(entries, blobs, () => context.throwIfCanceled(), { worktree: true });
  refuseFull(folder);
  const asker = new Git(context);
  const repository = await findRepository(asker, git, sourceDirectory);
  await requireCommit(asker, repository, git);
  await refuseRegistered(asker, repository, folder);
  try {
    await asker.run(repository, ['worktree', 'add', '--detach', folder, git.commit]);
    if (patch) {
      const file = blobs.pathOf(patch.hash);
      await asker.run(folder, ['apply', '--binary', '--whitespace=nowarn', file]).catch((cause: Error) => {
        throw asker.canceled ?? doesNotApply(cause);
      });
    }
    return await finish(asker, { folder, git, problems, untrackedEntries, entries }, blobs, context);
  } catch (error) {
    await removeWorktree(repository, folder);
    throw error;
  }
}

async function finish(
  asker: Git,
  made: {
    folder: string;
    git: GitFacts;
    problems: string[];
    untrackedEntries: ManifestEntry[];
    entries: ManifestEntry[];
  },
  blobs: BlobFolder,
  context: JobContext,
): Promise<Restored> {
  const { folder, git, problems, untrackedEntries, entries } = made;
  const writer = new TreeWriter(folder, blobs, context);
  writer.write(untrackedEntries);
  const exact = new ExactTree(folder, git.folder, blobs, context);
  exact.write(entries.filter(({ path }) => !isInSubmodule(path, git)));
  const tracked = (await asker.run(folder, ['ls-files', '-z'])).split('\0').filter(Boolean);
  let { bytes, files } = writer;
  for (const name of tracked) {
    const found = lstatSync(path.join(folder, name), { throwIfNoEntry: false });
    if (!found || found.isDirectory()) continue;
    files++;
    bytes += found.isFile() ? found.size : 0;
  }
  return { folder, files: files + exact.added, bytes, notes: notesOf(git, problems) };
}

/** What is in a submodule comes by `git submodule update`, which wants an empty folder. */
function isInSubmodule(name: string, { folder, submodules }: GitFacts): boolean {
  const full = folder ? `${folder}/${name}` : name;
  return submodules.some((one) => full.startsWith(`${one.path}/`));
}

function notesOf(git: GitFacts, problems: string[]): string[] {
  const notes = [...problems];
  if (git.submodules.length > 0) {
    const names = git.submodules.map((one) => one.path).join(', ');
    notes.push(`Submodules are not there yet (${names}): run "git submodule update --init" in the worktree.`);
  }
  if (git.pushed === false)
    notes.push(`The commit ${git.commit!.slice(0, 12)} is on no remote: only this clone has it.`);
  if (git.dirty && !git.changes)
    notes.push('What was changed and not committed was not kept: it is not here.');
  return notes;
}

/** Git commands that a person may cancel, and that run no hook of the repository. */
class Git {
  canceled: Error | undefined;
  private readonly context: JobContext;

  constructor(context: JobContext) {
    this.context = context;
  }

  /** What the command prints. Throws what git said. */
  async run(folder: string, args: string[]): Promise<string> {
    const abort = new AbortController();
    const timer = setInterval(() => {
      if (this.isCanceled()) abort.abort();
    }, cancelPollMs);
    try {
      if (this.isCanceled()) throw this.canceled;
      return await open(folder, abort.signal).raw(['-c', 'core.hooksPath=/dev/null', ...args]);
    } catch (error) {
      throw this.canceled ?? error;
    } finally {
      clearInterval(timer);
    }
  }

  private isCanceled(): boolean {
    try {
      this.context.throwIfCanceled();
      return false;
    } catch (error) {
      this.canceled = error as Error;
      return true;
    }
  }
}

function open(folder: string, abort?: AbortSignal) {
  const environment = gitEnvironment();
  return simpleGit({
    baseDir: folder,
    ...(abort ? { abort } : {}),
    // The person's own variables, without those that would point at another repository.
    allowEnvironment: Object.keys(environment),
    unsafe: {
      allowUnsafeHooksPath: true,
      allowUnsafeConfigPaths: true,
      allowUnsafeEditor: true,
      allowUnsafePager: true,
      allowUnsafeAskPass: true,
    },
  }).env(environment);
}

/** The folder itself, or the top of its repository when the folder has gone meanwhile. */
async function findRepository(asker: Git, git: GitFacts, sourceDirectory: string): Promise<string> {
  const above = git.folder ? git.folder.split('/').map(() => '..') : [];
  for (const folder of [sourceDirectory, path.resolve(sourceDirectory, ...above)]) {
    if (!existsSync(folder)) continue;
    try {
      await asker.run(folder, ['rev-parse', '--git-dir']);
      return folder;
    } catch (error) {
      if (asker.canceled) throw error;
    }
  }
  throw new RunyardError('not_found', `The repository of the snapshot is no longer at ${sourceDirectory}.`, {
    action: git.repositoryUri
      ? `Clone ${git.repositoryUri} there again, or restore the files into a folder.`
      : 'Restore the files into a folder instead.',
  });
}

async function requireCommit(asker: Git, repository: string, git: GitFacts): Promise<void> {
  try {
    await asker.run(repository, ['cat-file', '-e', `${git.commit}^{commit}`]);
  } catch (cause) {
    if (asker.canceled) throw cause;
    throw new RunyardError(
      'not_found',
      `The commit ${git.commit} is not in the repository at ${repository}.`,
      {
        action: git.repositoryUri
          ? `Fetch it: git fetch ${git.repositoryUri} ${git.commit}`
          : 'Restore the files into a folder instead.',
        cause,
      },
    );
  }
}

function refuseFull(folder: string): void {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (!found || (found.isDirectory() && readdirSync(folder).length === 0)) return;
  throw new RunyardError(
    'conflict',
    `${folder} is there already${found.isDirectory() ? ' and not empty' : ''}.`,
    {
      action: 'Choose a folder that is not there yet.',
    },
  );
}

/** Never `worktree prune`: it would forget others whose disk is not there just now. */
async function removeWorktree(repository: string, folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  const hooks = ['-c', 'core.hooksPath=/dev/null'];
  await open(repository)
    .raw([...hooks, 'worktree', 'remove', '--force', folder])
    .catch(() => undefined);
}

/** git knows a worktree at this place, whose folder has gone: perhaps only for now. */
async function refuseRegistered(asker: Git, repository: string, folder: string): Promise<void> {
  const listed = await asker.run(repository, ['worktree', 'list', '--porcelain']);
  const real = path.join(resolved(path.dirname(folder)), path.basename(folder));
  const known = listed.split('\n');
  if (existsSync(folder) || ![folder, real].some((one) => known.includes(`worktree ${one}`))) return;
  throw new RunyardError('conflict', `git has a worktree at ${folder} already, whose folder is not there.`, {
    action: 'Choose another folder, or run "git worktree prune".',
  });
}

function none(message: string): RunyardError {
  return new RunyardError('conflict', message, { action: 'Restore the files into a folder instead.' });
}

function doesNotApply(cause: Error): RunyardError {
  return new RunyardError('conflict', `The recorded changes do not apply: ${cause.message.trim()}`, {
    action: 'Restore the files into a folder instead.',
    cause,
  });
}
