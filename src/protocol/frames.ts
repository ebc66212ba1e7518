/**
 * Frames of the agent channel: u32 header length, u32 payload length (big endian), header (JSON), payload.
 * See docs/agent-protocol.md.
 */
export const mostHeaderBytes = 1024 * 1024;
export const mostPayloadBytes = 1024 * 1024;
/** Noise before the channel's marker (banners, shell start-up files) that is put up with. */
export const mostNoiseBytes = 1024 * 1024;

export interface Frame {
  header: Record<string, unknown>;
  payload: Uint8Array;
}

/** The peer does not speak the protocol; the channel is of no use any more. */
export class ProtocolError extends Error {}

const empty = new Uint8Array(0);

/** Throws RangeError when header or payload are larger than a frame holds. */
export function encodeFrame(header: object, payload: Uint8Array = empty): Buffer {
  const head = encodeHead(header, payload.length);
  return payload.length === 0 ? head : Buffer.concat([head, payload]);
}

/** What stands before a payload of so many bytes, which is sent behind it. Throws as `encodeFrame`. */
export function encodeHead(header: object, payloadLength: number): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  if (text.length > mostHeaderBytes) throw new RangeError('the header of a frame is too large');
  if (payloadLength > mostPayloadBytes) throw new RangeError('the payload of a frame is too large');
  const head = Buffer.allocUnsafe(8 + text.length);
  head.writeUInt32BE(text.length, 0);
  head.writeUInt32BE(payloadLength, 4);
  text.copy(head, 8);
  return head;
}

/** The line that ends the noise. */
export function markerOf(nonce: string): string {
  return `RUNYARD-CHANNEL ${nonce}\n`;
}

/**
 * Takes bytes as they come and gives whole frames. Each payload has memory of its own, so that it can be
 * transferred to another thread.
 */
export class FrameDecoder {
  private parts: Buffer[] = [];
  private length = 0;
  private marker: Buffer | undefined;
  /** What came before the marker, for the error a person sees when it never came. */
  noise = '';

  /** With a nonce, everything up to the marker line is skipped first. */
  constructor(nonce?: string) {
    this.marker = nonce === undefined ? undefined : Buffer.from(markerOf(nonce));
  }

  /** True once the marker was seen. */
  get synchronised(): boolean {
    return this.marker === undefined;
  }

  /** Throws ProtocolError when the peer speaks garbage. */
  *push(bytes: Buffer): Generator<Frame> {
    this.parts.push(bytes);
    this.length += bytes.length;
    if (this.marker && !this.skipNoise(this.marker)) return;
    for (;;) {
      if (this.length < 8) return;
      const head = this.peek(8);
      const headerLength = head.readUInt32BE(0);
      const payloadLength = head.readUInt32BE(4);
      if (headerLength > mostHeaderBytes || payloadLength > mostPayloadBytes) {
        throw new ProtocolError('a frame is larger than the protocol allows');
      }
      if (this.length < 8 + headerLength + payloadLength) return;
      this.take(8);
      const text = this.take(headerLength).toString('utf8');
      const payload = payloadLength === 0 ? empty : new Uint8Array(this.take(payloadLength));
      let header: unknown;
      try {
        header = JSON.parse(text);
      } catch {
        throw new ProtocolError('the header of a frame is not JSON');
      }
      if (typeof header !== 'object' || header === null || Array.isArray(header)) {
        throw new ProtocolError('the header of a frame is not an object');
      }
      yield { header: header as Record<string, unknown>, payload };
    }
  }

  private skipNoise(marker: Buffer): boolean {
    const all = Buffer.concat(this.parts);
    this.parts = [all];
    const at = all.indexOf(marker);
    if (at < 0) {
      this.noise = all.subarray(-4096).toString('utf8');
      if (all.length > mostNoiseBytes) throw new ProtocolError('the agent did not answer; other output came');
      return false;
    }
    this.noise = all.subarray(0, at).subarray(-4096).toString('utf8');
    this.parts = [all.subarray(at + marker.length)];
    this.length = this.parts[0]!.length;
    this.marker = undefined;
    return true;
  }

  /** The first `n` bytes, which stay. */
  private peek(n: number): Buffer {
    if (this.parts[0]!.length < n) this.parts = [Buffer.concat(this.parts)];
    return this.parts[0]!;
  }

  /** Removes and gives the first `n` bytes; copies only what spans several parts. */
  private take(n: number): Buffer {
    if (n === 0) return Buffer.alloc(0);
    this.length -= n;
    while (this.parts[0]!.length === 0) this.parts.shift();
    const first = this.parts[0]!;
    if (first.length >= n) {
      this.parts[0] = first.subarray(n);
      return first.subarray(0, n);
    }
    const taken: Buffer[] = [];
    for (let missing = n; missing > 0;) {
      const part = this.parts[0]!;
      const piece = part.subarray(0, missing);
      taken.push(piece);
      missing -= piece.length;
      if (piece.length === part.length) this.parts.shift();
      else this.parts[0] = part.subarray(piece.length);
    }
    return Buffer.concat(taken);
  }
}
