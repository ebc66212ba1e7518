import { readFile } from 'node:fs/promises';
import ssh2, { type ParsedKey } from 'ssh2';
import { keyType } from './known-hosts.ts';

const begin = '-----BEGIN OPENSSH PRIVATE KEY-----';
const magic = 'openssh-key-v1\0';

/** A private key in a file, and how to use it. */
export interface Identity {
  file: string;
  /** As it goes over the wire; known without the passphrase. */
  publicKey: Buffer;
  encrypted: boolean;
}

/**
 * What can be known of a key file without its passphrase; undefined where there is no key. A file that holds a
 * public key (its private half is in the agent) is given as one without a private key, by `publicOnly`.
 */
export async function readIdentity(file: string): Promise<(Identity & { publicOnly: boolean }) | undefined> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  const beside = publicPart(await readFile(`${file}.pub`, 'utf8').catch(() => ''));
  if (text === undefined) return beside && { file, publicKey: beside, encrypted: false, publicOnly: true };
  const alone = publicPart(text);
  if (alone) return { file, publicKey: alone, encrypted: false, publicOnly: true };
  const inside = publicPartOfPrivate(text);
  const parsed = ssh2.utils.parseKey(text);
  const key = one(parsed);
  const publicKey = inside ?? (key && key.getPublicSSH()) ?? beside;
  if (!publicKey) return undefined;
  return { file, publicKey, encrypted: key === undefined, publicOnly: !isReadable(text, parsed) };
}

/** A private key that the built-in client cannot use: its format or cipher, or there is no telling which key it is. */
export async function isForSystemOnly(file: string): Promise<boolean> {
  const text = await readFile(file, 'utf8').catch(() => '');
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) return false;
  return !isReadable(text, ssh2.utils.parseKey(text)) || (await readIdentity(file)) === undefined;
}

function isReadable(text: string, parsed: ParsedKey | ParsedKey[] | Error): boolean {
  if (one(parsed)) return true;
  return (
    parsed instanceof Error && /no passphrase given/.test(parsed.message) && !unknownCipher(opensshData(text))
  );
}

function unknownCipher(data: Buffer | undefined): boolean {
  return (
    data !== undefined &&
    data
      .subarray(magic.length + 4)
      .toString('latin1')
      .startsWith('chacha20')
  );
}

/** The private key; undefined when the passphrase is wrong. */
export async function openIdentity(file: string, passphrase?: string): Promise<ParsedKey | undefined> {
  return one(ssh2.utils.parseKey(await readFile(file, 'utf8'), passphrase));
}

/** Kinds of keys that only the system's client can use: a FIDO token signs. */
export function isTokenKey(publicKey: Buffer): boolean {
  return keyType(publicKey).startsWith('sk-');
}

function one(parsed: ParsedKey | ParsedKey[] | Error): ParsedKey | undefined {
  const key = Array.isArray(parsed) ? parsed[0] : parsed;
  return key instanceof Error || key === undefined ? undefined : key;
}

/** The key of a `.pub` file's line. */
function publicPart(text: string): Buffer | undefined {
  const [type = '', base64 = ''] = text.trim().split(/\s+/);
  if (!/^(ssh|ecdsa|sk)-/.test(type)) return undefined;
  const key = Buffer.from(base64, 'base64');
  return keyType(key) === type ? key : undefined;
}

function opensshData(text: string): Buffer | undefined {
  const at = text.indexOf(begin);
  if (at < 0) return undefined;
  const data = Buffer.from(text.slice(at + begin.length).split('-----')[0]!, 'base64');
  return data.toString('latin1', 0, magic.length) === magic ? data : undefined;
}

/** OpenSSH's own format holds the public key in plain, also when the private one is encrypted (PROTOCOL.key). */
function publicPartOfPrivate(text: string): Buffer | undefined {
  const data = opensshData(text);
  if (!data) return undefined;
  let offset = magic.length;
  const next = () => {
    const length = data.readUInt32BE(offset);
    const part = data.subarray(offset + 4, offset + 4 + length);
    offset += 4 + length;
    return part;
  };
  try {
    next();
    next();
    next();
    offset += 4;
    return Buffer.from(next());
  } catch {
    return undefined;
  }
}
