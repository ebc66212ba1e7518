import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** What unlocks `SshKeys.locked`. */
export const passphrase = 'open sesame 7';

function keygen(...args: string[]): void {
  execFileSync('ssh-keygen', ['-q', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The keys of a rig: those of users, made when they are asked for, those of hosts, and two authorities. */
export class SshKeys {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
  }

  private make(name: string, type = 'ed25519', phrase = ''): string {
    const file = path.join(this.dir, name);
    try {
      readFileSync(file);
    } catch {
      const bits = type === 'rsa' ? ['-b', '2048'] : [];
      keygen('-t', type, ...bits, '-N', phrase, '-C', `rig-${name}`, '-f', file);
    }
    return file;
  }

  get ed25519(): string {
    return this.make('ed25519');
  }

  get rsa(): string {
    return this.make('rsa', 'rsa');
  }

  /** Protected by `passphrase`. */
  get locked(): string {
    return this.make('locked', 'ed25519', passphrase);
  }

  /** No host knows it. */
  get stranger(): string {
    return this.make('stranger');
  }

  /** A key whose certificate (`-cert.pub` beside it) is all that hosts know: see `signIn: ['certificate']`. */
  get certified(): string {
    const file = path.join(this.dir, 'certified');
    try {
      readFileSync(`${file}-cert.pub`);
    } catch {
      this.make('certified');
      keygen('-s', this.make('user-ca'), '-I', 'rig', '-n', 'root,mia', '-V', '-5m:+52w', `${file}.pub`);
    }
    return file;
  }

  get userAuthority(): string {
    return this.public(this.make('user-ca'));
  }

  get hostAuthority(): string {
    return this.public(this.make('host-ca'));
  }

  /** The line of a public key. */
  public(file: string): string {
    return readFileSync(`${file}.pub`, 'utf8').trim();
  }

  /** What hosts let in where `signIn` has `key`. */
  get authorized(): string {
    return [this.ed25519, this.rsa, this.locked].map((file) => this.public(file) + '\n').join('');
  }

  /** A key for a host. */
  hostKey(host: string, type: 'ed25519' | 'rsa', generation = 0): string {
    return this.make(`host-${host}-${type}-${generation}`, type);
  }

  /** The host authority's word for a host's key: the certificate's text. */
  hostCertificate(key: string, address: string): string {
    const copy = `${key}-for-ca`;
    copyFileSync(`${key}.pub`, `${copy}.pub`);
    keygen('-s', this.make('host-ca'), '-h', '-I', 'rig', '-n', address, '-V', '-5m:+52w', `${copy}.pub`);
    return readFileSync(`${copy}-cert.pub`, 'utf8');
  }

  /** A program for SSH_ASKPASS that gives one answer. */
  askpass(answer: string): string {
    const file = path.join(this.dir, `askpass-${Buffer.from(answer).toString('hex').slice(0, 40)}`);
    writeFileSync(file, `#!/bin/sh\ncat <<'END-OF-ANSWER'\n${answer}\nEND-OF-ANSWER\n`, { mode: 0o700 });
    return file;
  }
}
