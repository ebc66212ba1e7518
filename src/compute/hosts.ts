import type { Compute } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import { Host } from './host.ts';
import { startLocalAgent } from './local-transport.ts';

/** This machine, as a compute target. */
export const localName = 'local';

export interface HostsOptions {
  /** dist/agent.pyz. */
  agentFile: string;
  /** Root folder of this machine's agent. */
  localRoot: string;
  changed: (name: string) => void;
}

/** The compute targets by name. */
export class Hosts {
  private readonly hosts: Map<string, Host>;

  constructor({ agentFile, localRoot, changed }: HostsOptions) {
    const local = new Host(
      localName,
      (nonce) => startLocalAgent({ agentFile, root: localRoot, nonce }),
      () => changed(localName),
      true,
    );
    this.hosts = new Map([[localName, local]]);
  }

  /** Throws `not_found`, naming what there is. */
  get(name: string): Host {
    const host = this.hosts.get(name);
    if (!host) {
      throw new RunyardError('not_found', `There is no compute target "${name}".`, {
        action: `Choose one of: ${[...this.hosts.keys()].join(', ')}.`,
      });
    }
    return host;
  }

  list(): Promise<Compute[]> {
    return Promise.all([...this.hosts.values()].map((host) => host.describe()));
  }

  stop(): void {
    for (const host of this.hosts.values()) host.stop();
  }
}
