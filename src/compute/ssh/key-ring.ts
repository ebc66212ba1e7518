import { existsSync } from 'node:fs';
import ssh2, {
  type BaseAgent as Agent,
  type IdentityCallback,
  type ParsedKey,
  type SignCallback,
  type SigningRequestOptions,
} from 'ssh2';
import { isTokenKey, openIdentity, readIdentity, type Identity } from './identity.ts';
import type { SshOptions } from './options.ts';

interface Entry {
  publicKey: Buffer;
  /** Where it is signed with: the agent, or a file. */
  file: string | undefined;
  encrypted: boolean;
}

/** Asks for the passphrase of a key file; undefined when nobody gives one. */
export type AskPassphrase = (file: string, refused: boolean) => Promise<string | undefined>;

const mostPassphrases = 3;

/**
 * The agent's keys and those of the key files as one agent, in the order in which `ssh` tries them: so a
 * passphrase is asked for only when the host would take the key.
 */
export class KeyRing extends ssh2.BaseAgent<Buffer> {
  private readonly entries: Entry[];
  private readonly agent: Agent | undefined;
  private readonly ask: AskPassphrase;
  private at = -1;
  /** A passphrase was wanted and nobody gave it. */
  unopened: string | undefined;

  private constructor(entries: Entry[], agent: Agent | undefined, ask: AskPassphrase) {
    super();
    this.entries = entries;
    this.agent = agent;
    this.ask = ask;
  }

  /** Goes on to the next key; for the person: where it is from. Undefined when there is none left. */
  next(): string | undefined {
    const entry = this.entries[++this.at];
    return entry && (entry.file ?? 'a key of the ssh agent');
  }

  /** Undefined when there is no key at all. */
  static async open(options: SshOptions, ask: AskPassphrase): Promise<KeyRing | undefined> {
    const files: (Identity & { publicOnly: boolean })[] = [];
    for (const file of options.identityFiles) {
      const found = await readIdentity(file);
      if (found) files.push(found);
    }
    const agent = options.agent && existsSync(options.agent) ? ssh2.createAgent(options.agent) : undefined;
    const inAgent = agent ? await identitiesOf(agent) : [];
    const has = (key: Buffer) => inAgent.some((one) => one.equals(key));
    const named = files.filter(({ publicKey }) => has(publicKey)).map(({ publicKey }) => publicKey);
    const others = options.identitiesOnly
      ? []
      : inAgent.filter((key) => !named.some((one) => one.equals(key)));
    const entries: Entry[] = [
      ...[...named, ...others].map((publicKey) => ({ publicKey, file: undefined, encrypted: false })),
      ...files
        .filter(({ publicKey, publicOnly }) => !publicOnly && !has(publicKey))
        .map(({ publicKey, file, encrypted }) => ({ publicKey, file, encrypted })),
    ].filter(({ publicKey }) => !isTokenKey(publicKey));
    return entries.length === 0 ? undefined : new KeyRing(entries, agent, ask);
  }

  /** One at a time: each may be the first half of what the host wants. */
  override getIdentities(done: IdentityCallback<Buffer>): void {
    const entry = this.entries[this.at];
    done(undefined, entry ? [entry.publicKey] : []);
  }

  override sign(
    key: Buffer | ParsedKey,
    data: Buffer,
    given: SigningRequestOptions | SignCallback,
    then?: SignCallback,
  ): void {
    const done = typeof given === 'function' ? given : then!;
    const options = typeof given === 'function' ? {} : given;
    const blob = Buffer.isBuffer(key) ? key : key.getPublicSSH();
    const entry = this.entries.find(({ publicKey }) => publicKey.equals(blob));
    if (!entry) return done(new Error('an unknown key'));
    if (entry.file === undefined) return this.agent!.sign(blob, data, options, done);
    void this.signWith(entry.file, entry.encrypted, data, options.hash).then(
      (signature) => done(undefined, signature),
      (error: Error) => done(error),
    );
  }

  private async signWith(file: string, encrypted: boolean, data: Buffer, hash?: string): Promise<Buffer> {
    let key = encrypted ? undefined : await openIdentity(file);
    for (let tries = 0; !key && tries < mostPassphrases; tries++) {
      const passphrase = await this.ask(file, tries > 0);
      if (passphrase === undefined) break;
      key = await openIdentity(file, passphrase);
    }
    if (!key) {
      this.unopened = file;
      throw new Error(`the key ${file} was not opened`);
    }
    const signature = key.sign(data, hash);
    if (signature instanceof Error) throw signature;
    return signature;
  }
}

function identitiesOf(agent: Agent): Promise<Buffer[]> {
  return new Promise((resolve) => {
    agent.getIdentities((error, keys) => {
      if (error || !keys) return resolve([]);
      const blobs: Buffer[] = [];
      for (const key of keys) {
        if (Buffer.isBuffer(key)) blobs.push(key);
        else if (typeof key === 'object' && 'getPublicSSH' in key) blobs.push(key.getPublicSSH());
      }
      resolve(blobs);
    });
  });
}
