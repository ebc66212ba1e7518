import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { RunyardError } from '../api/errors.ts';
import type { AgentChannel } from '../compute/channel.ts';
import type { Host } from '../compute/host.ts';
import { mostPayloadBytes } from '../protocol/frames.ts';
import type { FileEntry } from '../protocol/messages.ts';
import { noSpace } from '../store/blobs.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';

export interface RemoteAttempt {
  host: Host;
  run: string;
  attempt: number;
}

/** Requests under way at a time: a far host answers many in the time of one. */
const readAhead = 8;
const pathsPerRequest = 500;
/** A file that is sent with others in one reply. */
export const smallBytes = 128 * 1024;
/** A file whose fetch goes on where a broken line has left it. */
const resumableBytes = 4 * 1024 * 1024;

/**
 * Bytes of a file on its host from an offset to its end, many requests ahead. Ends early when the file is
 * shorter than it was; throws what the agent says, or `unavailable` when the line breaks.
 */
export async function* readRemoteFile(
  { host, run, attempt }: RemoteAttempt,
  file: Pick<FileEntry, 'path' | 'size'>,
  from = 0,
): AsyncGenerator<Uint8Array> {
  const channel = await host.connect();
  const ask = (offset: number) => {
    const length = Math.min(mostPayloadBytes, file.size - offset);
    const reply = channel.request('file.read', { run, attempt, path: file.path, offset, length });
    // Each is awaited in its turn; until then its failure is nobody's.
    reply.catch(() => undefined);
    return { reply, length };
  };
  const waiting: ReturnType<typeof ask>[] = [];
  let next = from;
  const fill = () => {
    while (waiting.length < readAhead && next < file.size) {
      waiting.push(ask(next));
      next += mostPayloadBytes;
    }
  };
  for (fill(); waiting.length > 0; fill()) {
    const { reply, length } = waiting.shift()!;
    const { payload } = await reply;
    if (payload.byteLength > 0) yield payload;
    if (payload.byteLength < length) return;
  }
}

/** Whole small files: as many in one reply as fit. Gives null for one that is not there or cannot be read. */
export async function* readSmallFiles(
  { host, run, attempt }: RemoteAttempt,
  files: readonly FileEntry[],
): AsyncGenerator<{ file: FileEntry; content: Uint8Array | null }> {
  const channel = await host.connect();
  for (let at = 0; at < files.length;) {
    const asked = files.slice(at, at + pathsPerRequest);
    const { sizes, payload } = await readSome(channel, {
      run,
      attempt,
      paths: asked.map(({ path }) => path),
    });
    let offset = 0;
    for (const [i, size] of sizes.entries()) {
      const content = size === null || size < 0 ? null : payload.subarray(offset, (offset += size));
      yield { file: asked[i]!, content };
    }
    if (sizes.length === 0)
      throw new RunyardError('conflict', `${asked[0]!.path} does not fit into a reply.`);
    at += sizes.length;
  }
}

async function readSome(
  channel: AgentChannel,
  params: { run: string; attempt: number; paths: string[] },
): Promise<{ sizes: (number | null)[]; payload: Uint8Array }> {
  const { result, payload } = await channel.request<{ sizes: (number | null)[] }>('files.read', params);
  return { sizes: result.sizes.slice(0, params.paths.length), payload };
}

/**
 * Brings one file into the blobs and gives its hash. What came of a long one stays when the line breaks, and
 * the next call goes on behind it. Throws `conflict` when the content is not what the host said it is.
 */
export async function fetchToBlob(
  source: RemoteAttempt,
  file: FileEntry,
  workspace: OpenWorkspace,
  progress: (bytes: number) => void = () => {},
  signal?: AbortSignal,
): Promise<string> {
  const { blobs } = workspace;
  if (file.sha256 && file.size >= resumableBytes) {
    return fetchResumable(source, { ...file, sha256: file.sha256 }, workspace, progress, signal);
  }
  const writer = await blobs.writer();
  let bytes = 0;
  try {
    for await (const part of readRemoteFile(source, file)) {
      signal?.throwIfAborted();
      await writer.write(part);
      progress((bytes += part.byteLength));
    }
  } catch (error) {
    await writer.discard();
    throw error;
  }
  const { hash } = await writer.finish();
  if (file.sha256 && hash !== file.sha256) throw changed(file.path);
  return hash;
}

/** Where parts of long files are until they are whole, by the hash of the whole. */
export function partialFolder(workspace: OpenWorkspace): string {
  return path.join(workspace.dir, 'partial');
}

/** By their parts: several runs may leave the same content at the same time, and one fetch is enough. */
const underWay = new Map<string, Promise<string>>();

async function fetchResumable(
  source: RemoteAttempt,
  file: FileEntry & { sha256: string },
  workspace: OpenWorkspace,
  progress: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<string> {
  const partial = path.join(partialFolder(workspace), file.sha256);
  for (let other; (other = underWay.get(partial));) {
    await other.catch(() => undefined);
    signal?.throwIfAborted();
  }
  if (workspace.blobs.has(file.sha256)) return file.sha256;
  const work = fetchPart(source, file, { workspace, partial, progress, signal }).finally(() =>
    underWay.delete(partial),
  );
  underWay.set(partial, work);
  return work;
}

async function fetchPart(
  source: RemoteAttempt,
  file: FileEntry & { sha256: string },
  {
    workspace,
    partial,
    progress,
    signal,
  }: {
    workspace: OpenWorkspace;
    partial: string;
    progress: (bytes: number) => void;
    signal: AbortSignal | undefined;
  },
): Promise<string> {
  const { blobs } = workspace;
  const folder = path.dirname(partial);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const hash = createHash('sha256');
  let at = await hashPart(partial, file.size, hash);
  progress(at);
  const handle = await open(partial, at === 0 ? 'w' : 'r+', 0o600);
  try {
    for await (const part of readRemoteFile(source, file, at)) {
      signal?.throwIfAborted();
      hash.update(part);
      for (let done = 0; done < part.byteLength;) {
        done += (await handle.write(part, done, part.byteLength - done, at + done)).bytesWritten;
      }
      progress((at += part.byteLength));
    }
    await handle.sync();
  } catch (error) {
    throw noSpace(error, blobs.dir);
  } finally {
    await handle.close();
  }
  if (hash.digest('hex') !== file.sha256) {
    await rm(partial, { force: true });
    throw changed(file.path);
  }
  const target = blobs.pathOf(file.sha256);
  await mkdir(path.dirname(target), { recursive: true, mode: 0o700 });
  await rename(partial, target);
  return file.sha256;
}

/** Bytes that are there already, fed to the hash; a part that is too long is begun anew. */
async function hashPart(partial: string, size: number, hash: Hash): Promise<number> {
  const have = await stat(partial).then(
    (found) => found.size,
    () => 0,
  );
  if (have === 0 || have > size) return 0;
  for await (const part of createReadStream(partial)) hash.update(part as Buffer);
  return have;
}

function changed(file: string): RunyardError {
  return new RunyardError('conflict', `${file} changed while it was fetched.`);
}
