import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** Writes a stream into a file; a file that was there is replaced once everything has arrived. */
export async function writeFileFrom(stream: NodeJS.ReadableStream, file: string): Promise<void> {
  const part = `${file}.${process.pid}.part`;
  try {
    await pipeline(stream, createWriteStream(part, { flags: 'wx' }));
    await rename(part, file);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}
