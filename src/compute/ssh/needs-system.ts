import { existsSync } from 'node:fs';
import { isForSystemOnly, isTokenKey, readIdentity } from './identity.ts';
import type { SshOptions } from './options.ts';

/** Why ssh2 has no answer for this host, or undefined. */
export async function needsSystem(options: SshOptions): Promise<string | undefined> {
  if (options.proxyCommand) return 'the ssh configuration has a ProxyCommand';
  if (options.controlPath && existsSync(options.controlPath))
    return 'a shared connection is open (ControlPath)';
  if (options.systemOnly.length > 0) return `the ssh configuration has ${options.systemOnly.join(' and ')}`;
  for (const file of options.certificateFiles)
    if (existsSync(file)) return `there is a certificate (${file})`;
  for (const file of options.identityFiles) {
    if (existsSync(`${file}-cert.pub`)) return `there is a certificate (${file}-cert.pub)`;
    if (await isForSystemOnly(file)) return `only ssh itself reads the key ${file}`;
    const identity = await readIdentity(file);
    if (identity && isTokenKey(identity.publicKey)) return `a FIDO token holds the key ${file}`;
  }
  return undefined;
}
