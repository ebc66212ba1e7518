import { checkIgnoreEverywhere } from './git-listing.ts';
import { list, type LeftOut, parentOf } from './listing.ts';
import type { Survey } from './survey.ts';

/**
 * What git left out of a survey, the highest folder of each part, with the line of the ignore file that says
 * so. `known`: what is explained already; a walk explains everything and leaves nothing to find.
 */
export async function leftOutByGit(
  { root, table, emptyFolders }: Survey,
  home: string,
  known: readonly LeftOut[],
): Promise<LeftOut[]> {
  const taken = new Set<string>(emptyFolders);
  const folders = new Set<string>();
  const addFolders = (name: string) => {
    for (let at = parentOf(name); at && !folders.has(at); at = parentOf(at)) folders.add(at);
  };
  for (let i = 0; i < table.count; i++) {
    taken.add(table.name(i));
    addFolders(table.name(i));
  }
  for (const name of emptyFolders) addFolders(name);
  const explained = new Set(known.map(({ name }) => name));
  const found: { name: string; folder: boolean }[] = [];
  const visit = (folder: string) => {
    for (const entry of list(folder ? `${root}/${folder}` : root)) {
      const name = folder ? `${folder}/${entry.name}` : entry.name;
      if (entry.name === '.git' || explained.has(name) || taken.has(name)) continue;
      if (entry.isDirectory() && folders.has(name)) visit(name);
      else found.push({ name, folder: entry.isDirectory() });
    }
  };
  visit('');
  const lines = await checkIgnoreEverywhere(
    root,
    found.map(({ name }) => name),
  ).catch(() => new Map<string, never>());
  const binaryHome = Buffer.from(home).toString('latin1');
  return found.map(({ name, folder }): LeftOut => {
    if (`${root}/${name}` === binaryHome) {
      return { name, folder, reason: 'home', source: "Runyard's own folder", line: null, pattern: null };
    }
    const line = lines.get(name);
    if (line) return { name, folder, reason: 'ignored', ...line };
    return {
      name,
      folder,
      reason: 'ignored',
      source: 'git (nothing in it is taken)',
      line: null,
      pattern: null,
    };
  });
}
