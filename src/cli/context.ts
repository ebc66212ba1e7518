import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '../client/client.ts';

/** Options that every command takes. */
export interface GlobalOptions {
  json?: boolean;
  workspace?: string;
  home?: string;
}

/** What a command works with: the client, and the workspace that is meant. */
export class Context {
  readonly json: boolean;
  readonly client: Client;
  private readonly named: string | undefined;

  constructor(options: GlobalOptions) {
    this.json = options.json ?? false;
    this.named = options.workspace;
    this.client = new Client({ home: options.home, distDir: distDir() });
  }

  /** The workspace of `--workspace`, else the current one. */
  async workspace(): Promise<string> {
    if (this.named) return this.named;
    const { workspaces } = await this.client.call('listWorkspaces');
    return workspaces.find((one) => one.current)?.name ?? 'default';
  }

  /** Parameters of a route of this workspace. */
  async params(more: Record<string, string> = {}): Promise<Record<string, string>> {
    return { workspace: await this.workspace(), ...more };
  }
}

/** Where the server's files are: beside the bundle, or in dist/ of a checkout. */
function distDir(): string {
  const here = path.dirname(fileURLToPath(import.meta.url));
  return path.basename(here) === 'dist' ? here : path.join(here, '../../dist');
}
