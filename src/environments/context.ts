import { createReadStream } from 'node:fs';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import ignore, { type Ignore } from 'ignore';
import { RunyardError, systemErrorCode } from '../api/errors.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import { encodeManifest } from '../snapshot/manifest.ts';
import type { Blobs } from '../store/blobs.ts';

/** What a build needs of a folder is packages and small files; data belongs to the run. */
const mostBytes = 2_000_000_000;
const mostFiles = 20_000;
const never = ['.git', '__pycache__', 'node_modules'];

/**
 * Stores the files that a build needs as blobs and a manifest, whose hash is the result; null where it is none.
 * `patterns` are relative paths of files and folders, `*`, `?` and `[...]` in their last parts as Docker has them;
 * null: the whole folder. `.dockerignore` counts where `docker` is set. Call it while blobs are in `using`.
 * Throws `not_found` for a path that is not there, `too_large`, `bad_request` for what is no file.
 */
export async function storeContext(
  blobs: Blobs,
  folder: string,
  patterns: readonly string[] | null,
  { docker }: { docker: boolean },
): Promise<string | null> {
  if (patterns?.length === 0) return null;
  const collector = new Collector(blobs, folder, docker ? await dockerIgnore(folder) : ignore());
  for (const pattern of patterns ?? ['']) await collector.take(pattern);
  if (collector.entries.size === 0) return null;
  return blobs.put(encodeManifest([...collector.entries.values()]));
}

async function dockerIgnore(folder: string): Promise<Ignore> {
  const text = await readFile(path.join(folder, '.dockerignore'), 'utf8').catch(() => '');
  // Docker's patterns are anchored at the context's root, git's are not.
  const lines = text.split(/\r\n|\n/).map((line) => {
    const bare = line.trim();
    if (!bare || bare.startsWith('#')) return '';
    const not = bare.startsWith('!');
    const name = (not ? bare.slice(1) : bare).replace(/^(\.?\/)+/, '');
    return name === '' || name === '.' ? '' : `${not ? '!' : ''}/${name}`;
  });
  return ignore().add(lines);
}

class Collector {
  readonly entries = new Map<string, ManifestEntry>();
  private readonly blobs: Blobs;
  private readonly folder: string;
  private readonly ignored: Ignore;
  private bytes = 0;

  constructor(blobs: Blobs, folder: string, ignored: Ignore) {
    this.blobs = blobs;
    this.folder = folder;
    this.ignored = ignored;
  }

  async take(pattern: string): Promise<void> {
    const names = /[*?[]/.test(pattern) ? await this.matches(pattern) : [pattern];
    for (const name of names) await this.add(name, !/[*?[]/.test(pattern));
  }

  private async matches(pattern: string): Promise<string[]> {
    let found = [''];
    for (const part of pattern.split('/')) {
      const next: string[] = [];
      for (const base of found) {
        if (!/[*?[]/.test(part)) {
          next.push(base ? `${base}/${part}` : part);
          continue;
        }
        const names = await readdir(path.join(this.folder, base)).catch(() => [] as string[]);
        next.push(
          ...names
            .filter((name) => path.matchesGlob(name, part))
            .sort()
            .map((name) => (base ? `${base}/${name}` : name)),
        );
      }
      found = next;
    }
    if (found.length === 0) throw missing(pattern, this.folder);
    return found;
  }

  private async add(name: string, asked: boolean): Promise<void> {
    const base = path.posix.basename(name);
    if (never.includes(base)) return;
    if (name !== '' && this.ignored.ignores(name)) {
      if (asked) throw missing(name, this.folder, ' (.dockerignore leaves it out)');
      return;
    }
    const file = path.join(this.folder, name);
    const found = await lstat(file).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') throw missing(name, this.folder);
      throw error;
    });
    if (found.isDirectory()) {
      const names = (await readdir(file)).sort();
      for (const one of names) await this.add(name === '' ? one : `${name}/${one}`, false);
      return;
    }
    if (found.isSymbolicLink()) {
      const link = await readlink(file);
      const target = path.posix.normalize(path.posix.join(path.posix.dirname(name), link));
      if (path.posix.isAbsolute(link) || target.startsWith('..'))
        throw new RunyardError('bad_request', `The link ${name} points out of ${this.folder}.`, {
          action: 'Put the file itself in its place.',
        });
      this.put({ path: name, link });
      return;
    }
    if (!found.isFile()) return;
    this.bytes += found.size;
    if (this.bytes > mostBytes || this.entries.size >= mostFiles) {
      throw new RunyardError(
        'too_large',
        `What the build needs of ${this.folder} is more than 2 GB or 20,000 files.`,
        { action: 'Leave out what it does not need in a .dockerignore, or name single files in COPY.' },
      );
    }
    const writer = await this.blobs.writer();
    try {
      for await (const part of createReadStream(file)) await writer.write(part as Buffer);
      const { hash, size } = await writer.finish();
      this.put({ path: name, mode: found.mode & 0o777, size, hash });
    } catch (error) {
      await writer.discard();
      throw error;
    }
  }

  private put(entry: ManifestEntry): void {
    this.entries.set(entry.path, entry);
  }
}

function missing(name: string, folder: string, why = ''): RunyardError {
  return new RunyardError('not_found', `There is no ${name} in ${folder}${why}.`, {
    action: 'Correct the path in the Dockerfile or the requirements.',
  });
}
