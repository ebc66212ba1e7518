import { readFile, readdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { expandHome } from './options.ts';

const mostFiles = 200;
const mostHosts = 1000;

/**
 * Names of hosts in an ssh configuration, in its order: every `Host` without a pattern, `Include`d files too
 * (ssh_config(5)). A file that is not there or not readable names none.
 */
export async function configHosts(configFile?: string | null): Promise<string[]> {
  const found = new Set<string>();
  const seen = new Set<string>();
  await read(expandHome(configFile || '~/.ssh/config'), found, seen);
  return [...found].slice(0, mostHosts);
}

async function read(file: string, found: Set<string>, seen: Set<string>): Promise<void> {
  if (seen.has(file) || seen.size >= mostFiles) return;
  seen.add(file);
  const text = await readFile(file, 'utf8').catch(() => '');
  for (const line of text.split(/\r?\n/)) {
    const [, keyword = '', rest = ''] = /^\s*([A-Za-z]+)(?:\s*=\s*|\s+)(.*?)\s*$/.exec(line) ?? [];
    const all = rest.match(/"[^"]*"|[^\s"]+/g)?.map((word) => word.replace(/^"|"$/g, '')) ?? [];
    const comment = all.findIndex((word) => word.startsWith('#'));
    const words = comment < 0 ? all : all.slice(0, comment);
    if (/^host$/i.test(keyword)) {
      for (const word of words) if (!/[*?!]/.test(word) && !word.startsWith('-')) found.add(word);
    } else if (/^include$/i.test(keyword)) {
      for (const word of words) for (const one of await matching(word)) await read(one, found, seen);
    }
  }
}

/** Files of an `Include`: relative to ~/.ssh, `*` and `?` in names. */
async function matching(pattern: string): Promise<string[]> {
  const full = path.resolve(path.join(os.homedir(), '.ssh'), expandHome(pattern));
  let places = ['/'];
  for (const part of full.split('/').filter(Boolean)) {
    if (!/[*?]/.test(part)) {
      places = places.map((place) => path.join(place, part));
      continue;
    }
    const test = new RegExp(
      `^${part
        .replace(/[.+^${}()|[\]\\]/g, '\\$&')
        .replace(/\*/g, '.*')
        .replace(/\?/g, '.')}$`,
    );
    const found: string[] = [];
    for (const place of places) {
      const names = await readdir(place).catch(() => []);
      found.push(
        ...names
          .filter((name) => test.test(name) && !name.startsWith('.'))
          .sort()
          .map((name) => path.join(place, name)),
      );
    }
    places = found;
  }
  return places;
}
