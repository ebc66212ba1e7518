import { chmodSync, lstatSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs';
import type { ManifestEntry } from '../protocol/messages.ts';
import type { BlobFolder } from './blob-folder.ts';
import { BlobCopier } from './copy-blob.ts';
import { failedWrite } from './failed-write.ts';
import type { JobContext } from './jobs/context.ts';
import { binaryOf, fsPath } from './path-text.ts';
import { storeFile } from './store-file.ts';

/**
 * Makes a tree that git has checked out the same as a snapshot. Line ends, filters, modes, `assume-unchanged`: git
 * gives back what it takes for the same, not always the bytes that a run had. What the snapshot does not have stays.
 * Blocks; for a tree that nobody else has yet.
 */
export class ExactTree {
  /** Files and links that were not there. */
  added = 0;
  private readonly top: string;
  private readonly base: string;
  private readonly blobs: BlobFolder;
  private readonly context: JobContext;
  private readonly copier = new BlobCopier();
  private readonly folders = new Set<string>();

  /** `folder`: text, the part of `root` that the snapshot is of; empty for all of it. */
  constructor(root: string, folder: string, blobs: BlobFolder, context: JobContext) {
    this.top = Buffer.from(root).toString('latin1');
    this.base = folder ? `${this.top}/${binaryOf(folder)}` : this.top;
    this.blobs = blobs;
    this.context = context;
    this.folders.add(this.top);
  }

  /** All entries of a checked tree (`checkTree`). */
  write(entries: readonly ManifestEntry[]): void {
    try {
      for (const entry of entries) {
        this.context.throwIfCanceled();
        const target = `${this.base}/${binaryOf(entry.path)}`;
        if ('dir' in entry) {
          this.makeFolder(target);
          continue;
        }
        this.makeFolder(parentOf(target));
        if ('link' in entry) this.writeLink(target, binaryOf(entry.link));
        else this.writeFile(target, entry);
      }
    } catch (error) {
      throw failedWrite(error, this.base);
    }
  }

  private writeFile(target: string, entry: Extract<ManifestEntry, { hash: string }>): void {
    const found = lstatSync(fsPath(target), { throwIfNoEntry: false });
    if (found?.isFile() && found.size === entry.size && this.hashOf(target) === entry.hash) {
      if ((found.mode & 0o777) !== entry.mode) chmodSync(fsPath(target), entry.mode);
      return;
    }
    this.clear(target, found !== undefined);
    const between = () => this.context.throwIfCanceled();
    this.copier.copy(this.blobs.pathOf(entry.hash), target, entry, { made: () => {}, between });
  }

  private writeLink(target: string, link: string): void {
    const found = lstatSync(fsPath(target), { throwIfNoEntry: false });
    if (found?.isSymbolicLink() && readlinkSync(fsPath(target), 'latin1') === link) return;
    this.clear(target, found !== undefined);
    symlinkSync(fsPath(link), fsPath(target));
  }

  private clear(target: string, isThere: boolean): void {
    if (isThere) rmSync(fsPath(target), { recursive: true, force: true });
    else this.added++;
  }

  /** No link is followed on the way. */
  private makeFolder(target: string): void {
    if (this.folders.has(target)) return;
    this.makeFolder(parentOf(target));
    const found = lstatSync(fsPath(target), { throwIfNoEntry: false });
    if (found && !found.isDirectory()) rmSync(fsPath(target));
    if (!found?.isDirectory()) mkdirSync(fsPath(target));
    this.folders.add(target);
  }

  private hashOf(target: string): string | undefined {
    return storeFile(target, target, undefined, () => this.context.throwIfCanceled())?.hash;
  }
}

function parentOf(binary: string): string {
  return binary.slice(0, binary.lastIndexOf('/'));
}
