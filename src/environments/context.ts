import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink, realpath } from 'node:fs/promises';
import path from 'node:path';
import { RunyardError } from '../api/errors.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import { encodeManifest } from '../snapshot/manifest.ts';
import type { Blobs } from '../store/blobs.ts';
import { DockerIgnore } from './docker-ignore.ts';
import { fileProblem } from './file-problem.ts';
import { textReader } from './read-text.ts';

/** What a build needs of a folder is packages and small files; data belongs to the run. */
const mostBytes = 2_000_000_000;
const mostFiles = 20_000;
const never = ['.git', '__pycache__', 'node_modules'];

/**
 * Stores the files that a build needs as blobs and a manifest, whose hash is the result; null where it is none.
 * `patterns` are relative paths of files and folders; null: the whole folder. With `docker` they have `*`, `?` and
 * `[...]` as Docker has them, and `.dockerignore` counts; without, "." stands for the packages that lie in the folder
 * itself. Call it while blobs are in `using`. Throws `not_found` for a path that is not there, `too_large`,
 * `bad_request` for what is no file.
 */
export async function storeContext(
  blobs: Blobs,
  folder: string,
  patterns: readonly string[] | null,
  { docker }: { docker: boolean },
): Promise<string | null> {
  if (patterns?.length === 0) return null;
  const ignored = docker ? await dockerIgnore(folder) : null;
  const collector = new Collector(blobs, folder, ignored);
  for (const pattern of patterns ?? ['']) await collector.take(pattern);
  if (collector.entries.size === 0) return null;
  return blobs.put(encodeManifest([...collector.entries.values()]));
}

async function dockerIgnore(folder: string): Promise<DockerIgnore> {
  const text = await textReader(folder)('.dockerignore').catch((error: RunyardError) => {
    if (error.code === 'not_found') return '';
    throw error;
  });
  return new DockerIgnore(text);
}

class Collector {
  readonly entries = new Map<string, ManifestEntry>();
  private readonly blobs: Blobs;
  private readonly folder: string;
  private readonly ignored: DockerIgnore | null;
  private bytes = 0;

  constructor(blobs: Blobs, folder: string, ignored: DockerIgnore | null) {
    this.blobs = blobs;
    this.folder = folder;
    this.ignored = ignored;
  }

  async take(pattern: string): Promise<void> {
    // As Docker has it, nothing leads above the context.
    const name = path.posix.normalize(`/${pattern}`).slice(1).replace(/\/$/, '');
    if (this.ignored && /[*?[]/.test(name)) {
      for (const one of await this.matches(name)) {
        await this.mustBeInside(path.posix.dirname(one));
        await this.add(one, false);
      }
    } else if (this.ignored === null && pattern === '.') {
      for (const one of (await readdir(this.folder)).sort())
        if (/\.(whl|zip|tar\.\w+|tgz|html)$/i.test(one)) await this.add(one, false);
    } else {
      await this.mustBeInside(path.posix.dirname(name));
      await this.add(name, true);
    }
  }

  /** A folder may be a link, and lead anywhere. */
  private async mustBeInside(name: string): Promise<void> {
    const real = await realpath(path.join(this.folder, name)).catch((cause: unknown) => {
      throw fileProblem(cause, name, this.folder);
    });
    const relative = path.relative(await realpath(this.folder), real);
    if (relative === '..' || relative.startsWith('../')) throw pointsOut(name, this.folder);
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
    if (!asked && never.includes(path.posix.basename(name))) return;
    const isLeftOut = name !== '' && this.ignored !== null && this.ignored.ignores(name);
    if (isLeftOut && this.ignored!.isFinal) {
      if (asked) throw missing(name, this.folder, ' (.dockerignore leaves it out)');
      return;
    }
    const file = path.join(this.folder, name);
    const found = await this.reading(name, lstat(file));
    if (found.isDirectory()) {
      const before = this.entries.size;
      for (const one of (await this.reading(name, readdir(file))).sort())
        await this.add(name === '' ? one : `${name}/${one}`, false);
      if (this.entries.size === before && name !== '' && !isLeftOut) this.put({ path: name, dir: true });
      return;
    }
    if (isLeftOut) {
      if (asked) throw missing(name, this.folder, ' (.dockerignore leaves it out)');
      return;
    }
    if (found.isSymbolicLink()) {
      const link = await this.reading(name, readlink(file));
      const target = path.posix.normalize(path.posix.join(path.posix.dirname(name), link));
      if (path.posix.isAbsolute(link) || target.startsWith('..')) throw pointsOut(name, this.folder);
      this.put({ path: name, link });
      return;
    }
    if (!found.isFile()) {
      if (asked) throw new RunyardError('bad_request', `${name} in ${this.folder} is no file.`);
      return;
    }
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
      throw fileProblem(error, name, this.folder);
    }
  }

  private async reading<T>(name: string, look: Promise<T>): Promise<T> {
    return look.catch((cause: unknown) => {
      throw fileProblem(cause, name, this.folder);
    });
  }

  private put(entry: ManifestEntry): void {
    this.entries.set(entry.path, entry);
  }
}

function missing(name: string, folder: string, why = ''): RunyardError {
  return new RunyardError('not_found', `There is no "${name}" in ${folder}${why}.`, {
    action: 'Correct the path in the file that names it.',
  });
}

function pointsOut(name: string, folder: string): RunyardError {
  return new RunyardError('bad_request', `The link ${name} points out of ${folder}.`, {
    action: 'Put the file itself in its place.',
  });
}
