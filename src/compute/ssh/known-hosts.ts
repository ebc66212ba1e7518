import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { appendFile, mkdir, open, readFile } from 'node:fs/promises';
import path from 'node:path';

/** What the known hosts say of a key that a host shows (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export type Verdict =
  | { state: 'known' }
  /** Nobody has recorded a key of this type; `others` are types that were recorded for the host. */
  | { state: 'unknown'; others: string[] }
  | { state: 'changed'; file: string; line: number; type: string }
  | { state: 'revoked'; file: string; line: number };

interface Entry {
  file: string;
  line: number;
  marker: '' | '@revoked' | '@cert-authority';
  type: string;
  /** The key as it goes over the wire. */
  key: Buffer;
}

/** The entries that are about one host, of several files. */
export class KnownHosts {
  private readonly entries: Entry[];

  private constructor(entries: Entry[]) {
    this.entries = entries;
  }

  /** Reads the files; one that is not there holds nothing. */
  static async read(files: readonly string[], hostName: string, port: number): Promise<KnownHosts> {
    const name = knownHostsName(hostName, port);
    const entries: Entry[] = [];
    for (const file of files) {
      const text = await readFile(file, 'utf8').catch(() => '');
      for (const [index, line] of text.split('\n').entries()) {
        const entry = parseLine(line, name);
        if (entry) entries.push({ ...entry, file, line: index + 1 });
      }
    }
    return new KnownHosts(entries);
  }

  /** Types of the recorded keys: asked for first, so that the host shows one that can be compared. */
  get types(): string[] {
    return [...new Set(this.entries.filter(({ marker }) => marker === '').map(({ type }) => type))];
  }

  /** Certificates are the system client's business. */
  get hasAuthority(): boolean {
    return this.entries.some(({ marker }) => marker === '@cert-authority');
  }

  check(key: Buffer): Verdict {
    const revoked = this.entries.find((entry) => entry.marker === '@revoked' && equal(entry.key, key));
    if (revoked) return { state: 'revoked', file: revoked.file, line: revoked.line };
    const type = keyType(key);
    const plain = this.entries.filter(({ marker }) => marker === '');
    const same = plain.filter((entry) => entry.type === type);
    if (same.some((entry) => equal(entry.key, key))) return { state: 'known' };
    const other = same[0];
    if (other) return { state: 'changed', file: other.file, line: other.line, type };
    return { state: 'unknown', others: this.types };
  }
}

/** The name a host has in the files: `[name]:port` when the port is not 22. */
export function knownHostsName(hostName: string, port: number): string {
  const name = hostName.toLowerCase();
  return port === 22 ? name : `[${name}]:${port}`;
}

/** Records a key that a person has accepted, at the end of the file. */
export async function recordHostKey(
  file: string,
  key: Buffer,
  { hostName, port, hashed }: { hostName: string; port: number; hashed: boolean },
): Promise<void> {
  const name = knownHostsName(hostName, port);
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 });
  const line = `${hashed ? hashName(name) : name} ${keyType(key)} ${key.toString('base64')}\n`;
  await appendFile(file, (await endsWithNewline(file)) ? line : `\n${line}`, { mode: 0o600 });
}

/** As `ssh-keygen -l` shows it: `SHA256:...`. */
export function fingerprint(key: Buffer): string {
  return `SHA256:${createHash('sha256').update(key).digest('base64').replace(/=+$/, '')}`;
}

/** `ssh-ed25519`: the first string of a key as it goes over the wire. */
export function keyType(key: Buffer): string {
  if (key.length < 4) return '';
  const length = key.readUInt32BE(0);
  return length > key.length - 4 ? '' : key.toString('latin1', 4, 4 + length);
}

async function endsWithNewline(file: string): Promise<boolean> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (!handle) return true;
  try {
    const { size } = await handle.stat();
    if (size === 0) return true;
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer[0] === 0x0a;
  } finally {
    await handle.close();
  }
}

function parseLine(text: string, name: string): Omit<Entry, 'file' | 'line'> | undefined {
  const words = text.trim().split(/\s+/);
  if (words[0] === '' || words[0]?.startsWith('#')) return undefined;
  const marker = words[0]?.startsWith('@') ? words.shift() : '';
  if (marker !== '' && marker !== '@revoked' && marker !== '@cert-authority') return undefined;
  const [patterns, type, base64] = words;
  if (!patterns || !type || !base64 || !matches(patterns, name)) return undefined;
  return { marker, type, key: Buffer.from(base64, 'base64') };
}

/** Patterns with commas; a negated one that matches wins. */
function matches(patterns: string, name: string): boolean {
  if (patterns.startsWith('|')) return matchesHash(patterns, name);
  let found = false;
  for (const pattern of patterns.toLowerCase().split(',')) {
    const negated = pattern.startsWith('!');
    if (!globMatches(negated ? pattern.slice(1) : pattern, name)) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}

function globMatches(pattern: string, name: string): boolean {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replace(/\*/g, '.*')
    .replace(/\?/g, '.');
  return new RegExp(`^${source}$`).test(name);
}

function hashName(name: string, salt: Buffer = randomBytes(20)): string {
  const hash = createHmac('sha1', salt).update(name).digest('base64');
  return `|1|${salt.toString('base64')}|${hash}`;
}

function matchesHash(pattern: string, name: string): boolean {
  const [, version, salt, hash] = pattern.split('|');
  if (version !== '1' || !salt || !hash) return false;
  return equal(Buffer.from(hashName(name, Buffer.from(salt, 'base64'))), Buffer.from(pattern));
}

function equal(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
