import { existsSync, lstatSync, readdirSync } from 'node:fs';
import path from 'node:path';

/** What git reads in every folder that it comes through. */
const readByGit = new Set(['.gitignore', '.gitattributes', '.gitmodules']);
/** A look at more than this takes too long. */
const mostEntries = 500_000;

/**
 * A pipe in a folder's repository that git would open, and wait for somebody to write into it for ever. Looks into
 * the folder and at those above it. Blocks.
 */
export function findPipe(folder: string): string | undefined {
  const above: string[] = [];
  for (let at = folder; !existsSync(path.join(at, '.git')) && path.dirname(at) !== at;) {
    at = path.dirname(at);
    above.push(at);
  }
  for (const at of above) {
    for (const name of readByGit) if (isPipe(path.join(at, name))) return path.join(at, name);
  }
  const waiting = [Buffer.from(folder)];
  for (let seen = 0; waiting.length > 0 && seen < mostEntries;) {
    const at = waiting.pop()!;
    for (const entry of entriesOf(at)) {
      seen++;
      const absolute = Buffer.concat([at, Buffer.from('/'), Buffer.from(entry.name, 'latin1')]);
      if (entry.isFIFO() && readByGit.has(entry.name)) return absolute.toString();
      if (entry.isDirectory() && entry.name !== '.git') waiting.push(absolute);
    }
  }
  return undefined;
}

function isPipe(file: string): boolean {
  return lstatSync(file, { throwIfNoEntry: false })?.isFIFO() ?? false;
}

function entriesOf(folder: Buffer) {
  try {
    return readdirSync(folder, { withFileTypes: true, encoding: 'latin1' });
  } catch {
    return [];
  }
}
