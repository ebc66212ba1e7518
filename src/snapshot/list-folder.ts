import { existsSync } from 'node:fs';
import { amlIgnore, ignoreFileText } from './ignore-levels.ts';
import { listByGit } from './git-listing.ts';
import type { Listing, ListingOptions } from './listing.ts';
import { listByWalk } from './walk.ts';
import { fsPath } from './path-text.ts';

/**
 * What a snapshot of a folder takes. In a git work tree git says it; elsewhere, and where the folder has an
 * `.amlignore`, the ignore files are read here. `root` is a binary path, `home` Runyard's own folder, resolved.
 * Throws RunyardError (`not_permitted`) for a folder inside that cannot be read.
 */
export async function listFolder(root: string, home: string, options: ListingOptions = {}): Promise<Listing> {
  const { leftOut } = options;
  if (ignoreFileText(`${root}/${amlIgnore}`) !== undefined) return listByWalk(root, home, leftOut);
  const byGit = await listByGit(root, home, options);
  if (!byGit) return listByWalk(root, home, leftOut);
  if (!('refused' in byGit)) return byGit;
  const walked = listByWalk(root, home, leftOut);
  return { ...walked, warnings: [byGit.refused, ...walked.warnings] };
}

/** The ignore file that counts in a folder, whether or not it is there. */
export function ignoreFileOf(root: string): string {
  return existsSync(fsPath(`${root}/${amlIgnore}`)) ? amlIgnore : '.gitignore';
}
