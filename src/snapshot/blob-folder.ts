import type { BlobReader } from './manifest.ts';

/** A folder of blobs for a thread that may block (the store's `BlobFolder`). */
export interface BlobFolder extends BlobReader {
  readonly dir: string;
  has(hash: string): boolean;
  /** Whether a blob is there whole: what a crash of the machine left of one is none. */
  holds(hash: string, size: number): boolean;
  /**
   * Stores a small blob at once, under its name: what a kill leaves of it has another size, and is no blob. False
   * when it was there already.
   */
  place(hash: string, bytes: Uint8Array): boolean;
  /** The path of a new file in the same file system, for content whose hash is not known yet. */
  temporary(): string;
  /** Gives a complete temporary file its hash's name; false when the blob was there already. */
  adopt(temporary: string, hash: string, size: number): boolean;
  /** Changes whenever blobs were removed: a stat cache that knows another number looks whether its blobs are there. */
  generation(): number;
}
