/** archiver 8 ships no types; this is the part that is used. */
declare module 'archiver' {
  import type { Readable } from 'node:stream';

  /** What writes the bytes; archiver's own, reached for in one place (`zip.ts`). */
  interface Engine {
    /** Bytes written so far. */
    offset: number;
    write(part: string | Uint8Array): boolean;
    end(): unknown;
  }

  export class ZipArchive extends Readable {
    constructor(options?: { zlib?: { level?: number } });
    append(
      source: string | Buffer | Readable,
      data: {
        name: string;
        date?: Date;
        mode?: number;
        store?: boolean;
        type?: 'symlink';
        linkname?: string;
      },
    ): this;
    file(path: string, data: { name: string; date?: Date; mode?: number }): this;
    symlink(path: string, target: string, mode?: number): this;
    finalize(): Promise<void>;
    readonly _module: { engine: Engine };
  }
}
