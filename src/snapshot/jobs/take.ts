import { createHash } from 'node:crypto';
import type { GitFacts } from '../../api/entities.ts';
import type { BlobFolder } from '../blob-folder.ts';
import type { Crew } from '../crew.ts';
import { readableFolder, resolved } from '../folder.ts';
import { type Kept, keepGitChanges } from '../git-changes.ts';
import {
  type Dirt,
  readDirt,
  readRepositoryFacts,
  readWholeDirt,
  type RepositoryFacts,
} from '../git-facts.ts';
import { amlIgnore, ignoreFileText } from '../ignore-levels.ts';
import { encodeEntries } from '../survey-entries.ts';
import { ManifestEncoder } from '../manifest.ts';
import {
  cacheFile,
  type CachedGit,
  type CachedSnapshot,
  isRacy,
  isUnchanged,
  readStatCache,
  takeOver,
  writeStatCache,
} from '../stat-cache.ts';
import { Field, type Table } from '../table.ts';
import { surveyFolder, type Survey } from '../survey.ts';
import { TemporaryBlob } from '../temporary-blob.ts';
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
    const home = resolved(args.home);
    const blobs = open(args.blobs);
    const root = Buffer.from(folder).toString('latin1');
    const facts = readRepositoryFacts(folder);
    facts.catch(() => undefined);
    const file = cacheFile(args.cache, root);
    const cached = readStatCache(file);
    const generation = blobs.generation();
    const fresh = cached?.generation === generation;
    const survey = await surveyFolder(root, home, crew, context, { before: cached });
    const unchanged = cached !== undefined && fresh && isAsCached(survey, cached, blobs);
    const taken = unchanged
      ? { ...cached, stored: { blobs: 0, bytes: 0 } }
      : await store(survey, cached?.table, fresh, blobs, crew, context);
    const { id, files, bytes, table } = taken;
    const { git, cachedGit, stored } = await gitOf(await facts, survey, table, {
      cached: unchanged ? cached.git : null,
      home,
      blobs,
      context,
    });
    if (!unchanged || (cachedGit && cachedGit !== cached.git) || (survey.key && !cached.key)) {
      const { emptyFolders, startedAt, key } = survey;
      const known = { id, files, bytes, generation, emptyFolders, git: cachedGit, key, table };
      writeStatCache(file, known, startedAt);
    }
    return {
      id,
      files,
      bytes,
      git,
      stored: { blobs: taken.stored.blobs + stored.blobs, bytes: taken.stored.bytes + stored.bytes },
      warnings: survey.warnings,
    };
  };
}

interface Stored {
  id: string;
  files: number;
  bytes: number;
  /** With every file's hash. */
  table: Table;
  stored: { blobs: number; bytes: number };
}

function isAsCached(survey: Survey, cached: CachedSnapshot, blobs: BlobFolder): boolean {
  const { emptyFolders, table } = survey;
  const sameFolders =
    emptyFolders.length === cached.emptyFolders.length &&
    emptyFolders.every((name, i) => name === cached.emptyFolders[i]);
  return sameFolders && isUnchanged(table, cached.table) && blobs.has(cached.id);
}

async function store(
  survey: Survey,
  before: Table | undefined,
  fresh: boolean,
  blobs: BlobFolder,
  crew: Crew,
  context: JobContext,
): Promise<Stored> {
  const { table } = survey;
  const todo = takeOver(table, before, fresh ? undefined : (hash, size) => blobs.holds(hash, size));
  const stored = await storeAll(survey, todo, blobs, crew, context);
  const { isNew, ...manifest } = await storeManifest(survey, blobs, context);
  if (isNew) stored.blobs++;
  return { ...manifest, table, stored };
}

/** The git facts: what differs is asked again only where commit, index or a file did change. */
async function gitOf(
  facts: RepositoryFacts | undefined,
  { root, startedAt, hasAllTracked, hasUntracked }: Survey,
  table: Table,
  options: { cached: CachedGit | null; home: string; blobs: BlobFolder; context: JobContext },
): Promise<{ git: GitFacts | null; cachedGit: CachedGit | null; stored: Stored['stored'] }> {
  const { cached, home, blobs, context } = options;
  const nothing = { blobs: 0, bytes: 0 };
  const leftOut = ignoreFileText(`${root}/${amlIgnore}`) !== undefined;
  if (!facts) return { git: null, cachedGit: null, stored: nothing };
  const { top: _, index, indexTime, hasSubmodules: __, ...plain } = facts;
  const same = cached?.commit === facts.commit && cached.index === index;
  if (same && cached.hasUntracked === hasUntracked) {
    const { dirty, changes } = cached;
    return { git: { ...plain, dirty, changes, submodules: [] }, cachedGit: cached, stored: nothing };
  }
  const keep = (submodules: Dirt['submodules'], untracked: boolean) =>
    keepGitChanges(facts, { submodules, hasUntracked: untracked, leftOut }, table, home, blobs, context);
  // Only where the folder is the whole repository does its table tell of every change.
  const whole = hasAllTracked && facts.folder === '' && !facts.hasSubmodules;
  let dirt: Dirt;
  let kept: Kept = { changes: null, stored: nothing };
  if (whole) {
    kept = await keep([], hasUntracked);
    dirt = await readWholeDirt(facts, hasUntracked, !!kept.changes?.patch);
  } else {
    dirt = await readDirt(facts);
    if (dirt.anywhere) kept = await keep(dirt.submodules, true);
  }
  const { changes, stored } = kept;
  const { dirty, submodules } = dirt;
  const settled = whole && !isRacy(indexTime, startedAt);
  const cachedGit = settled ? { commit: facts.commit, index, hasUntracked, dirty, changes } : null;
  return { git: { ...plain, dirty, changes, submodules }, cachedGit, stored };
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
  const temporary = new TemporaryBlob(blobs);
  const hash = createHash('sha256');
  const encoder = new ManifestEncoder();
  let files = 0;
  let bytes = 0;
  let entries = 0;
  const write = (part: Buffer) => {
    hash.update(part);
    temporary.write(part);
  };
  try {
    encodeEntries(survey, (text, size) => {
      if (size !== null) files++;
      bytes += size ?? 0;
      const part = encoder.add(text);
      if (part) write(part);
      if (++entries % 5000 === 0) context.throwIfCanceled();
    });
    write(encoder.end());
    const id = hash.digest('hex');
    return { id, files, bytes, isNew: temporary.adopt(id) };
  } finally {
    temporary.discard();
  }
}
