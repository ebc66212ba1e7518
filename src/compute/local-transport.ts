import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { RunyardError } from '../api/errors.ts';
import type { DuplexToAgent } from './channel.ts';

export interface LocalTransportOptions {
  /** dist/agent.pyz. */
  agentFile: string;
  /** The host's root folder. */
  root: string;
  nonce: string;
}

const keptDiagnostics = 8000;

/** Starts the agent of this machine as a child process. Throws RunyardError when there is no python3. */
export async function startLocalAgent(options: LocalTransportOptions): Promise<DuplexToAgent> {
  if (process.platform === 'win32') {
    throw new RunyardError('unavailable', 'Runs on this machine need Linux or macOS.', {
      action: 'Open the folder in WSL, or submit to a host over SSH.',
    });
  }
  await mkdir(options.root, { recursive: true, mode: 0o700 });
  const python = findPython(process.env['PATH'] ?? '');
  if (!python) {
    throw new RunyardError('unavailable', 'There is no python3 on this machine.', {
      action: 'Install Python 3.6 or later, such that "python3" is on the PATH, and try again.',
    });
  }
  const child = spawn(
    python,
    ['-S', '-E', options.agentFile, 'serve', '--root', options.root, '--nonce', options.nonce],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
      cwd: options.root,
    },
  );
  let diagnostics = '';
  child.stderr.setEncoding('utf8');
  child.stderr.on('data', (text: string) => (diagnostics = (diagnostics + text).slice(-keptDiagnostics)));
  child.on('error', (error) => {
    diagnostics += `${error.message}\n`;
    child.stdout.destroy();
  });
  return {
    input: child.stdin,
    output: child.stdout,
    // Its own end is the end of stdin; runs go on.
    close: () => child.stdin.end(),
    diagnostics: () => diagnostics,
  };
}

/** The first python3 of a PATH. */
export function findPython(searchPath: string): string | undefined {
  for (const name of ['python3', 'python']) {
    for (const dir of searchPath.split(path.delimiter)) {
      const file = path.join(dir, name);
      if (dir && existsSync(file)) return file;
    }
  }
  return undefined;
}
