/**
 * Names on a POSIX file system are bytes. Here they are `binary` strings (one UTF-16 unit a byte, Node's
 * `latin1`), which sort as bytes do; in a manifest they are text, in which a byte that is no UTF-8 stands as the
 * private use character U+F700 + byte (docs/agent-protocol.md). A name that really has one of those characters
 * is written as if its bytes were no UTF-8, so that every name comes back as it was.
 */
const privateUse = /[\uF780-\uF7FF]/g;
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const onlyAscii = /^[\0-\x7F]*$/;

/** The text of a binary name. */
export function textOf(binary: string): string {
  if (onlyAscii.test(binary)) return binary;
  const bytes = Buffer.from(binary, 'latin1');
  try {
    return strict.decode(bytes).replace(privateUse, (character) => {
      return [...Buffer.from(character)].map(privateByte).join('');
    });
  } catch {
    return lenient(bytes);
  }
}

/** The bytes of a name's text, for the file system. */
export function bytesOf(text: string): Buffer {
  if (!/[\uF780-\uF7FF]/.test(text)) return Buffer.from(text);
  const parts: Buffer[] = [];
  for (const part of text.split(/([\uF780-\uF7FF]+)/)) {
    if (/^[\uF780-\uF7FF]/.test(part)) {
      parts.push(Buffer.from([...part].map((character) => character.charCodeAt(0) - 0xf700)));
    } else parts.push(Buffer.from(part));
  }
  return Buffer.concat(parts);
}

/** The binary name of a text. */
export function binaryOf(text: string): string {
  return onlyAscii.test(text) ? text : bytesOf(text).toString('latin1');
}

/** What Node's file functions take for a binary path: bytes only where they are needed, for they are slower. */
export function fsPath(binary: string): string | Buffer {
  return onlyAscii.test(binary) ? binary : Buffer.from(binary, 'latin1');
}

function privateByte(byte: number): string {
  return String.fromCharCode(0xf700 + byte);
}

/** As Python's `surrogateescape` reads: the longest valid sequences as text, every other byte for itself. */
function lenient(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length;) {
    const byte = bytes[at]!;
    const length = byte < 0x80 ? 1 : byte >= 0xc2 && byte < 0xe0 ? 2 : byte >= 0xe0 && byte < 0xf0 ? 3 : 4;
    const part = bytes.subarray(at, at + length);
    try {
      if (byte >= 0x80 && (byte < 0xc2 || part.length < length)) throw new Error('no start of a character');
      const character = strict.decode(part);
      text += character.replace(privateUse, (c) => [...Buffer.from(c)].map(privateByte).join(''));
      at += length;
    } catch {
      text += privateByte(byte);
      at++;
    }
  }
  return text;
}
