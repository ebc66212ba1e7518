import type { SshSettings } from '../../api/compute.ts';
import type { DuplexToAgent } from '../channel.ts';
import { HostProblem } from '../problem.ts';
import type { Steps } from '../steps.ts';
import type { Asker } from './asker.ts';
import { connectBuiltin, NeedsSystemSsh } from './builtin.ts';
import { needsSystem } from './needs-system.ts';
import { sshOptions, type SshOptions } from './options.ts';
import type { RemoteShell } from './remote-shell.ts';
import { startRemoteAgent, type AgentFiles } from './start-agent.ts';
import { connectSystem } from './system.ts';

export interface SshConnect {
  settings: SshSettings;
  files: AgentFiles;
  nonce: string;
  asker: Asker;
  steps: Steps;
  signal: AbortSignal;
  agentSocket: string | undefined;
}

export interface SshDuplex extends DuplexToAgent {
  transport: RemoteShell['transport'];
  address: string;
}

/** From the settings of a target to a stream to its agent. Throws HostProblem. */
export async function connectSsh(connect: SshConnect): Promise<SshDuplex> {
  const { settings, asker, steps, signal, agentSocket } = connect;
  const options = await steps.run(
    'configuration',
    'SSH configuration',
    () => sshOptions(settings, agentSocket),
    ({ user, hostName, port, proxyJump }) => ({
      detail: `${user}@${hostName}, port ${port}${proxyJump.length > 0 ? `, through ${proxyJump.join(', ')}` : ''}.`,
    }),
  );
  const reason = settings.transport === 'system' ? 'the target asks for it' : await needsSystem(options);
  if (settings.transport === 'builtin' || reason === undefined) {
    const context = { asker, steps, signal, configFile: settings.configFile, agentSocket };
    try {
      return await startOn(await connectBuiltin(options, context), connect);
    } catch (error) {
      if (!(error instanceof NeedsSystemSsh)) throw error;
      if (settings.transport === 'builtin') {
        throw new HostProblem(
          'attention',
          `The built-in ssh cannot reach ${settings.host}: ${error.message}.`,
          {
            action: 'Set the transport of this compute target to "auto".',
          },
        );
      }
      return viaSystem(options, connect, error.message);
    }
  }
  return viaSystem(options, connect, reason);
}

async function viaSystem(options: SshOptions, connect: SshConnect, reason: string): Promise<SshDuplex> {
  const { settings, asker, steps, agentSocket } = connect;
  steps.done('transport', 'Transport', { detail: `The system's ssh is used: ${reason}.` });
  const duplex = await startOn(connectSystem(settings, options, asker, agentSocket), connect).catch(
    (error: unknown) => {
      const last = steps.all.at(-1);
      if (last?.state !== 'failed') steps.failed('sign-in', `Connect and sign in as ${options.user}`, error);
      throw error;
    },
  );
  asker.succeeded();
  return duplex;
}

async function startOn(shell: RemoteShell, connect: SshConnect): Promise<SshDuplex> {
  const { settings, files, nonce, steps, signal, asker } = connect;
  try {
    const duplex = await startRemoteAgent(shell, settings, files, {
      nonce,
      steps,
      signal,
      isAsking: () => asker.isAsking,
    });
    shell.signedIn();
    return { ...duplex, transport: shell.transport, address: shell.address };
  } catch (error) {
    shell.close();
    throw error;
  }
}
