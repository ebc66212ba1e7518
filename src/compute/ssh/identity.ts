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
  return { file, publicKey, encrypted: key === undefined, publicOnly: false };
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

/** OpenSSH's own format holds the public key in plain, also when the private one is encrypted (PROTOCOL.key). */
function publicPartOfPrivate(text: string): Buffer | undefined {
  const at = text.indexOf(begin);
  if (at < 0) return undefined;
  const data = Buffer.from(text.slice(at + begin.length).split('-----')[0]!, 'base64');
  if (data.toString('latin1', 0, magic.length) !== magic) return undefined;
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
