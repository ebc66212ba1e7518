import { open } from 'node:fs/promises';
import type { AgentChannel } from './channel.ts';

/** A blob to send: its hash, size in bytes, and the file that holds it. */
export interface BlobSource {
  hash: string;
  size: number;
  file: string;
}

interface Piece {
  hash: string;
  size: number;
  offset: number;
  length: number;
}

/** Payload of one frame: stays in the processor's cache on its way through read, encryption and write. */
const frameBytes = 256 * 1024;
const mostBuffers = 8;
/** How often a sender says how far it is. */
const progressMs = 100;
/** Hashes asked about in one request; 65 bytes each. */
const hashesPerRequest = 10_000;

/** Blobs that are on their way over a channel: the pieces of one must not come from two senders. */
const underWay = new WeakMap<AgentChannel, Map<string, Promise<void>>>();

/**
 * Sends the blobs that the host lacks; small ones share a frame, large ones are cut. Counts are reported in
 * bytes sent. Throws RunyardError (`no_space` when the host's disk is full).
 */
export async function sendMissingBlobs(
  channel: AgentChannel,
  blobs: readonly BlobSource[],
  progress: (sent: number, total: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  let sending = underWay.get(channel);
  if (!sending) underWay.set(channel, (sending = new Map()));
  for (let wanted = blobs; ;) {
    const missing = await missingBlobs(channel, wanted);
    const others = missing.filter(({ hash }) => sending.has(hash));
    const mine = missing.filter(({ hash }) => !sending.has(hash));
    const sent = send(channel, mine, progress, signal).finally(() => {
      for (const { hash } of mine) sending.delete(hash);
    });
    for (const { hash } of mine) sending.set(hash, sent);
    await sent;
    if (others.length === 0) return;
    // Another submit sends these. If it was canceled or failed, it is our turn.
    await Promise.allSettled(others.map(({ hash }) => sending.get(hash)));
    signal?.throwIfAborted();
    wanted = others;
  }
}

/** Memory for what is on its way, used again and again: each frame's own would cost more than its way. */
class Buffers {
  private readonly free: Buffer[] = [];
  private readonly waiting: ((buffer: Buffer) => void)[] = [];
  private made = 0;

  take(): Promise<Buffer> {
    const buffer = this.free.pop();
    if (buffer) return Promise.resolve(buffer);
    if (this.made < mostBuffers) {
      this.made++;
      return Promise.resolve(Buffer.allocUnsafeSlow(frameBytes));
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  give(buffer: Buffer): void {
    const next = this.waiting.shift();
    if (next) next(buffer);
    else this.free.push(buffer);
  }
}

async function send(
  channel: AgentChannel,
  missing: readonly BlobSource[],
  progress: (sent: number, total: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const total = missing.reduce((sum, blob) => sum + blob.size, 0);
  const buffers = new Buffers();
  const replies = new Set<Promise<unknown>>();
  let sent = 0;
  let said = -Infinity;
  let pieces: Piece[] = [];
  let buffer = await buffers.take();
  let filled = 0;
  let failure: Error | undefined;

  const flush = async () => {
    if (pieces.length === 0) return;
    const mine = buffer;
    const payload = mine.subarray(0, filled);
    const reply = channel
      .request('blobs.put', { pieces }, payload, () => buffers.give(mine))
      .catch((error: Error) => (failure ??= error))
      .finally(() => replies.delete(reply));
    replies.add(reply);
    if (filled === 0) buffers.give(mine);
    sent += filled;
    pieces = [];
    filled = 0;
    const now = performance.now();
    if (now - said >= progressMs || sent === total) {
      said = now;
      progress(sent, total);
    }
    const next = await Promise.race([buffers.take(), channel.closed]);
    if (failure) throw failure;
    if (!Buffer.isBuffer(next)) throw next;
    buffer = next;
    signal?.throwIfAborted();
  };

  for (const { hash, size, file } of missing) {
    const handle = await open(file, 'r');
    try {
      let offset = 0;
      do {
        const length = Math.min(size - offset, frameBytes - filled);
        for (let at = 0; at < length;) {
          const { bytesRead } = await handle.read(buffer, filled + at, length - at, offset + at);
          if (bytesRead === 0) throw new Error(`the blob ${hash} is shorter than it was`);
          at += bytesRead;
        }
        pieces.push({ hash, size, offset, length });
        filled += length;
        offset += length;
        if (filled === frameBytes || pieces.length >= 2000) await flush();
        if (offset >= size) break;
      } while (offset < size);
    } finally {
      await handle.close();
    }
  }
  await flush();
  await Promise.all(replies);
  if (failure) throw failure;
}

/** Those of the blobs that the host lacks, each once. */
export async function missingBlobs(
  channel: AgentChannel,
  blobs: readonly BlobSource[],
): Promise<BlobSource[]> {
  const byHash = new Map(blobs.map((blob) => [blob.hash, blob]));
  const hashes = [...byHash.keys()];
  const missing: BlobSource[] = [];
  for (let at = 0; at < hashes.length; at += hashesPerRequest) {
    const asked = Buffer.from(hashes.slice(at, at + hashesPerRequest).join('\n'));
    const { payload } = await channel.request('blobs.missing', {}, asked);
    for (const hash of Buffer.from(payload).toString().split('\n')) {
      const blob = byHash.get(hash);
      if (blob) missing.push(blob);
    }
  }
  return missing;
}
