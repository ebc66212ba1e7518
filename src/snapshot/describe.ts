import type { ManifestEntry } from '../protocol/messages.ts';
import type { Crew } from './crew.ts';
import { entriesOf } from './survey-entries.ts';
import { readableFolder, resolved } from './folder.ts';
import type { JobContext } from './jobs/context.ts';
import { cacheFile, readStatCache, takeOver } from './stat-cache.ts';
import { surveyFolder } from './survey.ts';
import { Field } from './table.ts';

export interface DescribeArgs {
  folder: string;
  home: string;
  /** Folder of the stat caches. */
  cache: string;
}

/**
 * A folder as a snapshot of it would be now, without storing anything: entries sorted by the bytes of their
 * paths. Throws as `Snapshots.take`.
 */
export async function describeFolder(
  { folder, home, cache }: DescribeArgs,
  crew: Crew,
  context: JobContext,
): Promise<ManifestEntry[]> {
  const root = Buffer.from(readableFolder(folder)).toString('latin1');
  const cached = readStatCache(cacheFile(cache, root));
  const survey = await surveyFolder(root, resolved(home), crew, context, { before: cached });
  // What is cached was hashed, whether or not its blob is still there.
  const todo = takeOver(survey.table, cached?.table, undefined);
  let bytes = 0;
  for (const i of todo) bytes += survey.table.stat(i, Field.size);
  await crew.run('hash', { root, blobs: '', table: survey.table, todo, bytes }, context, (files, done) =>
    context.progress({ stage: 'storing', files, bytes: done, totalFiles: todo.length, totalBytes: bytes }),
  );
  return [...entriesOf(survey)];
}
