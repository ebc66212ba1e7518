import { spawn } from 'node:child_process';
import { once } from 'node:events';
import os from 'node:os';
import type { ComputeSettings } from '../api/compute.ts';
import { HostProblem } from './problem.ts';
import type { RemoteCommand, RemoteShell } from './ssh/remote-shell.ts';
import { startRemoteAgent, type AgentFiles } from './ssh/start-agent.ts';
import type { SshDuplex } from './ssh/transport.ts';
import type { Steps } from './steps.ts';

/**
 * The agent of a target that is this machine with a root folder and set-up lines of its own, as a cluster's login
 * node: started as over SSH, by a shell of this machine. Throws HostProblem.
 */
export async function connectLocalShell({
  settings,
  files,
  nonce,
  steps,
  signal,
}: {
  settings: ComputeSettings;
  files: AgentFiles;
  nonce: string;
  steps: Steps;
  signal: AbortSignal;
}): Promise<SshDuplex> {
  if (process.platform === 'win32') {
    throw new HostProblem('attention', 'Runs on this machine need Linux or macOS.', {
      action: 'Open the folder in WSL, or submit to a host over SSH.',
    });
  }
  const shell = localShell();
  try {
    const duplex = await startRemoteAgent(shell, settings, files, {
      nonce,
      steps,
      signal,
      isAsking: () => false,
    });
    return { ...duplex, transport: shell.transport, address: shell.address };
  } catch (error) {
    shell.close();
    throw error;
  }
}

function localShell(): RemoteShell {
  const running = new Set<RemoteCommand>();
  return {
    transport: 'local',
    address: os.hostname(),
    exec: async (command) => {
      const started = await start(command);
      running.add(started);
      return started;
    },
    signedIn: () => undefined,
    close: () => {
      for (const command of running) command.close();
    },
  };
}

async function start(command: string): Promise<RemoteCommand> {
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['pipe', 'pipe', 'pipe'], cwd: os.homedir() });
  let ended = false;
  let failure: Error | undefined;
  child.on('exit', () => (ended = true));
  child.on('error', (error) => {
    ended = true;
    failure = error;
    child.stdout.destroy();
  });
  await Promise.race([once(child, 'spawn'), once(child, 'error')]);
  if (failure) throw new HostProblem('attention', `/bin/sh cannot be started here: ${failure.message}.`);
  return {
    stdin: child.stdin,
    stdout: child.stdout,
    stderr: child.stderr,
    // Its own end is the end of stdin; runs go on.
    close: () => child.stdin.end(),
    ended: () => ended,
    failure: () => failure,
  };
}
