import { createHash } from 'node:crypto';
import { openSync, closeSync, rmSync, writeSync } from 'node:fs';
import type { GitFacts } from '../../api/entities.ts';
import { RunyardError } from '../../api/errors.ts';
import type { BlobFolder } from '../blob-folder.ts';
import type { Crew } from '../crew.ts';
import { readableFolder, resolved } from '../folder.ts';
import { keepGitChanges } from '../git-changes.ts';
import { readGitFacts } from '../git-facts.ts';
import { sortedEntries } from '../survey-entries.ts';
import { ManifestEncoder } from '../manifest.ts';
import { cacheFile, isUnchanged, readStatCache, takeOver, writeStatCache } from '../stat-cache.ts';
import { Field, type Table } from '../table.ts';
import { surveyFolder, type Survey } from '../survey.ts';
import type { Job, JobContext } from './context.ts';
import type { JobTools } from './tools.ts';

export interface TakeArgs {
  folder: string;
  /** Folder of the workspace's blobs. */
  blobs: string;
  /** Folder of the stat caches. */
  cache: string;
  home: string;
}

/** A snapshot that was taken. */
export interface Taken {
  /** SHA-256 of the manifest, which is a blob as well. */
  id: string;
  files: number;
  bytes: number;
  git: GitFacts | null;
  /** What was not there before. */
  stored: { blobs: number; bytes: number };
  /** What a person should know: sockets and pipes that were left out. */
  warnings: string[];
}

/** Stores what is in a folder and reads its git facts; see `Snapshots.take`. */
export function take({ open, crew }: JobTools): Job<TakeArgs, Taken> {
  return async (args, context) => {
    const folder = readableFolder(args.folder);
    const blobs = open(args.blobs);
    const git = readGitFacts(folder);
    git.catch(() => undefined);
    const { table, ...snapshot } = await takeFiles(folder, args, blobs, crew, context);
    const facts = await git;
    if (!facts) return { ...snapshot, git: null };
    const { changes, stored } = await keepGitChanges(facts, table, resolved(args.home), blobs, context);
    snapshot.stored.blobs += stored.blobs;
    snapshot.stored.bytes += stored.bytes;
    const { top: _, anywhereDirty: __, ...plain } = facts;
    return { ...snapshot, git: { ...plain, changes } };
  };
}

async function takeFiles(
  folder: string,
  { cache, home }: TakeArgs,
  blobs: BlobFolder,
  crew: Crew,
  context: JobContext,
): Promise<Omit<Taken, 'git'> & { table: Table }> {
  const root = Buffer.from(folder).toString('latin1');
  const survey = await surveyFolder(root, resolved(home), crew, context);
  const { table, emptyFolders, warnings } = survey;
  const file = cacheFile(cache, root);
  const cached = readStatCache(file);
  const generation = blobs.generation();
  const fresh = cached?.generation === generation;
  if (
    cached &&
    fresh &&
    blobs.has(cached.id) &&
    sameFolders(cached.emptyFolders, emptyFolders) &&
    isUnchanged(table, cached.table)
  ) {
    const { id, files, bytes } = cached;
    return { id, files, bytes, stored: { blobs: 0, bytes: 0 }, warnings, table: cached.table };
  }
  const todo = takeOver(table, cached?.table, fresh ? () => true : (hash) => blobs.has(hash));
  const stored = await storeAll(survey, todo, blobs, crew, context);
  const { id, files, bytes, isNew } = await storeManifest(survey, blobs, context);
  if (isNew) stored.blobs++;
  writeStatCache(file, { id, files, bytes, generation, emptyFolders }, table, survey.startedAt);
  return { id, files, bytes, stored, warnings, table };
}

async function storeAll(
  survey: Survey,
  todo: Uint32Array,
  blobs: BlobFolder,
  crew: Crew,
  context: JobContext,
): Promise<{ blobs: number; bytes: number }> {
  const { root, table } = survey;
  let bytes = 0;
  for (const i of todo) bytes += table.stat(i, Field.size);
  const report = (files: number, done: number) =>
    context.progress({ stage: 'storing', files, bytes: done, totalFiles: todo.length, totalBytes: bytes });
  const result = await crew.run('store', { root, blobs: blobs.dir, table, todo, bytes }, context, report);
  return { blobs: result.storedBlobs, bytes: result.storedBytes };
}

/** Writes the manifest as it is made: a large one is never in memory whole. */
async function storeManifest(
  survey: Survey,
  blobs: BlobFolder,
  context: JobContext,
): Promise<{ id: string; files: number; bytes: number; isNew: boolean }> {
  const temporary = blobs.temporary();
  const hash = createHash('sha256');
  const encoder = new ManifestEncoder();
  let files = 0;
  let bytes = 0;
  let size = 0;
  const fd = openSync(temporary, 'wx', 0o600);
  let open = true;
  try {
    const write = (part: Buffer) => {
      hash.update(part);
      size += part.length;
      for (let at = 0; at < part.length;) at += writeSync(fd, part, at);
    };
    let n = 0;
    for (const entry of sortedEntries(survey)) {
      if (entry.size !== null) files++;
      bytes += entry.size ?? 0;
      const part = encoder.add(entry.text);
      if (part) write(part);
      if (++n % 5000 === 0) context.throwIfCanceled();
    }
    write(encoder.end());
    closeSync(fd);
    open = false;
    const id = hash.digest('hex');
    return { id, files, bytes, isNew: blobs.adopt(temporary, id, size) };
  } catch (error) {
    if (open) closeSync(fd);
    rmSync(temporary, { force: true });
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') {
      throw new RunyardError('no_space', `The disk is full: nothing more fits into ${blobs.dir}.`, {
        action: 'Free some room and try again.',
        cause: error,
      });
    }
    throw error;
  }
}

function sameFolders(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
