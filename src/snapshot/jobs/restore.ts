import type { Restored } from '../../api/entities.ts';
import { manifestEntries } from '../manifest.ts';
import { checkTree } from '../restore-check.ts';
import { TreeWriter } from '../tree-writer.ts';
import { restoreWorktree, type WorktreeArgs } from '../worktree.ts';
import type { Job } from './context.ts';
import type { JobTools } from './tools.ts';

export interface RestoreArgs extends WorktreeArgs {
  /** Folder of the workspace's blobs. */
  blobs: string;
  as: 'folder' | 'worktree';
}

/** Writes a snapshot into a folder. Everything is checked before the first write. */
export function restore({ open }: Pick<JobTools, 'open'>): Job<RestoreArgs, Restored> {
  return async (args, context) => {
    const { folder } = args;
    const blobs = open(args.blobs);
    if (args.as === 'worktree') return restoreWorktree(args, blobs, context);
    const entries = await manifestEntries(blobs, args.id);
    checkTree(entries, blobs, () => context.throwIfCanceled());
    const writer = new TreeWriter(folder, blobs, context);
    writer.begin();
    writer.write(entries);
    return { folder, files: writer.files, bytes: writer.bytes, notes: [] };
  };
}
