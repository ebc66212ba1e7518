import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import path from 'node:path';
import { RunyardError, systemErrorCode } from '../api/errors.ts';
import type { ManifestEntry } from '../protocol/messages.ts';
import type { BlobFolder } from './blob-folder.ts';
import { BlobCopier } from './copy-blob.ts';
import { failedWrite } from './failed-write.ts';
import type { JobContext } from './jobs/context.ts';
import { binaryOf, fsPath } from './path-text.ts';
import { likeNames } from './restore-check.ts';

/** Writes the entries of a manifest into a folder, and takes back what it made when that fails. Blocks. */
export class TreeWriter {
  files = 0;
  bytes = 0;
  private readonly root: string;
  /** Binary. */
  private readonly base: string;
  private readonly blobs: BlobFolder;
  private readonly context: JobContext;
  private readonly copier = new BlobCopier();
  private readonly folders = new Set<string>(['']);
  /** What was made, in that order. */
  private readonly made: { name: string; folder: boolean }[] = [];

  constructor(root: string, blobs: BlobFolder, context: JobContext) {
    this.root = root;
    this.base = Buffer.from(root).toString('latin1');
    this.blobs = blobs;
    this.context = context;
  }

  /**
   * Makes the folder where it is not, and those above it. Throws `conflict` when something is in it, and
   * `not_permitted`.
   */
  begin(): void {
    const missing: string[] = [];
    try {
      for (let at = this.root; !lstatSync(at, { throwIfNoEntry: false }); at = path.dirname(at))
        missing.push(at);
      if (missing.length === 0) refuseFull(this.root);
      for (const folder of missing.reverse()) {
        mkdirSync(folder);
        this.made.push({ name: Buffer.from(folder).toString('latin1'), folder: true });
      }
    } catch (error) {
      this.undo();
      if (systemErrorCode(error) !== 'ENOENT') throw failedWrite(error, this.root);
      throw new RunyardError('conflict', `${this.root} cannot be made: a link there leads to nothing.`, {
        action: 'Choose another folder.',
        cause: error,
      });
    }
  }

  /** All entries; a checked tree (`checkTree`). When it throws, nothing of what it made is there any more. */
  write(entries: readonly ManifestEntry[]): void {
    try {
      this.refuseLikeNames(entries);
      const totals = { totalFiles: entries.length, totalBytes: null };
      for (const entry of entries) {
        this.context.throwIfCanceled();
        const name = binaryOf(entry.path);
        if ('dir' in entry) this.makeFolder(name);
        else this.makeFolder(parentOf(name));
        if ('hash' in entry) this.writeFile(name, entry);
        this.context.progress({ stage: 'storing', files: this.files, bytes: this.bytes, ...totals });
      }
      // Last: no file is ever written by way of a link.
      for (const entry of entries) if ('link' in entry) this.writeLink(binaryOf(entry.path), entry.link);
    } catch (error) {
      this.undo();
      throw failedWrite(error, this.root);
    }
  }

  /** Removes what was made here, and nothing else. */
  undo(): void {
    for (const { name, folder } of this.made.reverse()) {
      try {
        if (folder) rmdirSync(fsPath(name));
        else unlinkSync(fsPath(name));
      } catch {
        // Somebody has put something into it, or has removed it.
      }
    }
    this.made.length = 0;
  }

  private writeFile(name: string, entry: Extract<ManifestEntry, { hash: string }>): void {
    const target = `${this.base}/${name}`;
    const between = () => this.context.throwIfCanceled();
    this.make(target, (made) => {
      this.bytes += this.copier.copy(this.blobs.pathOf(entry.hash), target, entry, { made, between });
    });
    this.files++;
  }

  private writeLink(name: string, link: string): void {
    const target = `${this.base}/${name}`;
    this.make(target, (made) => {
      symlinkSync(fsPath(binaryOf(link)), fsPath(target));
      made();
    });
    this.files++;
  }

  private make(target: string, work: (made: () => void) => void): void {
    try {
      work(() => this.made.push({ name: target, folder: false }));
    } catch (error) {
      throw systemErrorCode(error) === 'EEXIST' ? inTheWay(target, error) : error;
    }
  }

  private makeFolder(name: string): void {
    if (this.folders.has(name)) return;
    this.makeFolder(parentOf(name));
    const target = `${this.base}/${name}`;
    const found = lstatSync(fsPath(target), { throwIfNoEntry: false });
    // A link here would lead elsewhere.
    if (found && !found.isDirectory()) throw inTheWay(target);
    if (!found) {
      mkdirSync(fsPath(target));
      this.made.push({ name: target, folder: true });
    }
    this.folders.add(name);
  }

  /** Asks the file system itself whether it takes two names for one. */
  private refuseLikeNames(entries: readonly ManifestEntry[]): void {
    for (const [one, other] of likeNames(entries)) {
      const [a, b] = [one, other].map(
        (name) => `${this.base}/${binaryOf(name.slice(name.lastIndexOf('/') + 1))}`,
      );
      if (lstatSync(fsPath(a!), { throwIfNoEntry: false })) continue;
      closeSync(openSync(fsPath(a!), 'wx'));
      const same = lstatSync(fsPath(b!), { throwIfNoEntry: false }) !== undefined;
      unlinkSync(fsPath(a!));
      if (!same) continue;
      throw new RunyardError(
        'conflict',
        `The file system of ${this.root} takes "${one}" and "${other}" for one.`,
        {
          action: 'Choose a folder on a file system that tells upper and lower case apart.',
        },
      );
    }
  }
}

function refuseFull(folder: string): void {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (cause) {
    if (systemErrorCode(cause) !== 'ENOTDIR') throw cause;
    throw new RunyardError('conflict', `${folder} is there already, and is no folder.`, { cause });
  }
  if (names.length === 0) return;
  throw new RunyardError('conflict', `The folder ${folder} is not empty (it has ${names[0]}).`, {
    action: 'Choose a folder that is not there yet, or is empty.',
  });
}

function inTheWay(binary: string, cause?: unknown): RunyardError {
  const name = Buffer.from(binary, 'latin1').toString('utf8');
  return new RunyardError('conflict', `${name} is in the way: it is there already.`, { cause });
}

function parentOf(name: string): string {
  return name.slice(0, Math.max(0, name.lastIndexOf('/')));
}
