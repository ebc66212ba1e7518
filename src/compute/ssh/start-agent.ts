import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import type { ComputeSettings } from '../../api/compute.ts';
import { mostNoiseBytes } from '../../protocol/frames.ts';
import type { DuplexToAgent } from '../channel.ts';
import { HostProblem } from '../problem.ts';
import type { Steps } from '../steps.ts';
import type { RemoteCommand, RemoteShell } from './remote-shell.ts';

/** What every login shell understands; everything else comes over stdin and is nobody's to interpret. */
const startCommand = `exec /bin/sh -c 'IFS= read -r RUNYARD_START; eval "$RUNYARD_START"'`;
/** What the set-up lines and the agent may take; tests wait less. */
const startMs = Number(process.env['RUNYARD_SERVER_START_SECONDS'] ?? 60) * 1000;
const tickMs = 500;
/** Between the end of something and the last words about it. */
const afterwordsMs = 200;
const keptDiagnostics = 8000;

const saidSchema = z.union([
  z.object({ error: z.string(), message: z.string() }),
  z.object({ stage: z.literal('shell') }),
  z.object({ stage: z.literal('setup'), status: z.number() }),
  z.object({ stage: z.literal('python'), executable: z.string(), version: z.string() }),
  z.object({ stage: z.literal('root'), path: z.string(), free: z.number() }),
  z.object({ stage: z.literal('agent'), need: z.boolean(), path: z.string() }),
  z.object({ stage: z.literal('deployed'), path: z.string() }),
]);
type Said = z.infer<typeof saidSchema>;

export interface AgentFiles {
  /** dist/agent.pyz. */
  agentFile: string;
  /** dist/bootstrap.py. */
  bootstrapFile: string;
}

export interface StartContext {
  nonce: string;
  steps: Steps;
  signal: AbortSignal;
  /** Somebody is asked what the host wants to know: the start waits for them. */
  isAsking(): boolean;
}

/**
 * Starts the agent on a host: set-up lines, a python3, the root folder, the agent itself where it is not there.
 * Throws HostProblem with what is missing and what to do.
 */
export async function startRemoteAgent(
  shell: RemoteShell,
  settings: Pick<ComputeSettings, 'root' | 'setup'>,
  { agentFile, bootstrapFile }: AgentFiles,
  { nonce, steps, signal, isAsking }: StartContext,
): Promise<DuplexToAgent> {
  const [agent, bootstrap] = await Promise.all([readFile(agentFile), readFile(bootstrapFile, 'utf8')]);
  const hash = createHash('sha256').update(agent).digest('hex').slice(0, 16);
  const command = await shell.exec(startCommand);
  let diagnostics = '';
  command.stderr.on('data', (part: Buffer) => {
    diagnostics = (diagnostics + part.toString()).slice(-keptDiagnostics);
  });
  const aborted = () => command.close();
  signal.addEventListener('abort', aborted);
  try {
    command.stdin.on('error', () => undefined);
    command.stdin.write(startText({ ...settings, nonce, hash, size: agent.length, bootstrap }));
    await hear(
      command,
      nonce,
      settings,
      { steps, isAsking },
      () => diagnostics,
      () => {
        command.stdin.write(agent);
      },
    );
  } catch (error) {
    command.close();
    throw error;
  } finally {
    signal.removeEventListener('abort', aborted);
  }
  return {
    input: command.stdin,
    output: command.stdout,
    close: () => command.close(),
    diagnostics: () => [diagnostics.trim(), command.failure()?.message].filter(Boolean).join('\n'),
  };
}

/** What is sent before anything else: one line for the shell, the set-up lines, their end. */
export function startText(start: {
  setup: readonly string[];
  root: string;
  nonce: string;
  hash: string;
  size: number;
  bootstrap: string;
}): string {
  const { setup, root, nonce, hash, size, bootstrap } = start;
  const args = [nonce, root, hash, String(size)].map(quote).join(' ');
  // As one line: a Python string holds the text, and the shell's quotes hold that.
  const become = `exec "$p" -S -E -c ${quote(`exec(${pythonString(bootstrap)})`)} ${args}`;
  const refuse = (error: string, message: string) =>
    `printf 'RUNYARD-START %s {"error":"%s","message":"%s"}\\n' ${nonce} ${error} "${message}"; exit 1`;
  const usable = `"$p" -S -E -c 'import sys; sys.exit(sys.version_info[:2] < (3, 6))' </dev/null >/dev/null 2>&1`;
  const find =
    `o=; for n in python3 python3.14 python3.13 python3.12 python3.11 python3.10 python3.9 python3.8 python3.7 python3.6 python /usr/libexec/platform-python; do ` +
    `p=$(command -v "$n" 2>/dev/null) || continue; if ${usable}; then ${become}; fi; o=$n; done; ` +
    `if [ -n "$o" ]; then ${refuse('old_python', '$o is older than Python 3.6, or cannot be run.')}; fi; ` +
    refuse('no_python', 'There is no python3 on the PATH.');
  if (setup.length === 0) return `${find}\n`;
  const end = `RUNYARD-SETUP-END ${nonce}`;
  const say = (members: string, status = '') => `printf 'RUNYARD-START %s {${members}}\\n' ${nonce}${status}`;
  const ended = say('"error":"setup","message":"The set-up lines ended the shell (status %d)."', ' $? >&8');
  const program =
    `${say('"stage":"shell"')}; exec 8>&1; runyard_ended() { ${ended}; }; trap runyard_ended EXIT; ` +
    `s=; c=$(printf '\\nx'); c=\${c%x}; while IFS= read -r l; do [ "$l" = "${end}" ] && break; s="$s$l$c"; done; ` +
    `[ ! -r /etc/profile ] || . /etc/profile </dev/null >&2; ` +
    `eval "$s" </dev/null >&2; ${say('"stage":"setup","status":%d', ' $?')}; trap - EXIT; exec 8>&-; ${find}`;
  const inBash = `if command -v bash >/dev/null 2>&1; then exec bash --noprofile --norc -c ${quote(program)}; fi; ${program}`;
  return `${inBash}\n${setup.join('\n')}\n${end}\n`;
}

/** Follows the start until the agent speaks; what comes behind stays in the stream. */
function hear(
  command: RemoteCommand,
  nonce: string,
  settings: Pick<ComputeSettings, 'setup'>,
  { steps, isAsking }: Pick<StartContext, 'steps' | 'isAsking'>,
  diagnostics: () => string,
  sendAgent: () => void,
): Promise<void> {
  const { stdout } = command;
  const prefix = `RUNYARD-START ${nonce} `;
  const marker = `RUNYARD-CHANNEL ${nonce}`;
  return new Promise((resolve, reject) => {
    let rest: Buffer = Buffer.alloc(0);
    let noise = 0;
    let heard = false;
    let inSetup = false;
    const settle = (error?: unknown) => {
      clearInterval(timer);
      stdout.off('data', onData).off('close', onClose).off('end', onClose);
      stdout.pause();
      if (error === undefined) resolve();
      else reject(error as Error);
    };
    let waited = 0;
    const timer = setInterval(() => {
      waited = isAsking() ? 0 : waited + tickMs;
      if (waited < startMs) return;
      if (inSetup)
        return settle(setUpProblem(`have not ended within ${startMs / 1000} s`, diagnostics(), steps));
      settle(silent(`The host did not start the agent within ${startMs / 1000} s.`, diagnostics(), rest));
    }, tickMs);
    const refuse = (said: Said) => {
      stdout.off('data', onData).off('close', onClose).off('end', onClose);
      stdout.resume();
      setTimeout(() => {
        try {
          take(said, settings, steps, diagnostics, sendAgent);
        } catch (error) {
          settle(error);
        }
      }, afterwordsMs);
    };
    const onData = (part: Buffer) => {
      rest = rest.length === 0 ? part : Buffer.concat([rest, part]);
      for (let at = rest.indexOf(0x0a); at >= 0; at = rest.indexOf(0x0a)) {
        const line = rest.toString('utf8', 0, at);
        if (line.endsWith(marker)) {
          settle();
          stdout.unshift(rest);
          return;
        }
        rest = rest.subarray(at + 1);
        // A prompt or a banner without a newline may stand in front.
        const start = line.indexOf(prefix);
        if (start < 0) {
          noise += at + 1;
          continue;
        }
        heard = true;
        try {
          const said = saidSchema.parse(JSON.parse(line.slice(start + prefix.length)));
          inSetup = 'stage' in said && said.stage === 'shell';
          // What it says of it on the other stream comes a moment later.
          if ('error' in said) return refuse(said);
          take(said, settings, steps, diagnostics, sendAgent);
        } catch (error) {
          return settle(
            error instanceof HostProblem ? error : silent('The host speaks garbage.', diagnostics(), rest),
          );
        }
      }
      if (noise + rest.length > mostNoiseBytes) {
        settle(silent('The host talks without end before the agent starts.', '', rest.subarray(0, 300)));
      }
    };
    const onClose = () => {
      // Why it ended is known a moment later.
      setTimeout(() => {
        const failure = command.failure();
        if (failure instanceof HostProblem) return settle(failure);
        if (inSetup && command.ended())
          return settle(
            setUpProblem('ended the shell, or put something else into its place', diagnostics(), steps),
          );
        const what = heard
          ? 'The agent could not be started'
          : 'The host ended the connection before anything was started';
        settle(silent(`${what}${failure ? ` (${failure.message})` : ''}.`, diagnostics(), rest));
      }, afterwordsMs);
    };
    stdout.on('data', onData).on('close', onClose).on('end', onClose);
  });
}

function take(
  said: Said,
  { setup }: Pick<ComputeSettings, 'setup'>,
  steps: Steps,
  diagnostics: () => string,
  sendAgent: () => void,
): void {
  if ('error' in said && said.error === 'setup')
    throw setUpProblem(
      said.message.replace(/^The set-up lines /, '').replace(/\.$/, ''),
      diagnostics(),
      steps,
    );
  if ('error' in said) {
    const words = diagnostics().trim().slice(-500);
    const problem = new HostProblem(
      'attention',
      words ? `${said.message} The host says: ${words}` : said.message,
      {
        code: said.error === 'root' ? 'not_permitted' : 'not_found',
        action: actionOf(said.error, setup.length > 0),
      },
    );
    steps.failed(
      said.error === 'root' ? 'root' : said.error === 'agent' ? 'agent' : 'python',
      titles[said.error] ?? 'Start',
      problem,
    );
    throw problem;
  }
  switch (said.stage) {
    case 'shell':
      return;
    case 'setup': {
      const words = diagnostics().trim().slice(-500);
      if (said.status === 0)
        steps.done('setup', 'Set-up lines', {
          detail: `${setup.length === 1 ? 'The line' : `${setup.length} lines`} went well.`,
        });
      else
        steps.done('setup', 'Set-up lines', {
          state: 'warning',
          detail: `The last one ended with status ${said.status}.${words ? ` It says: ${words}` : ''}`,
          action: 'Edit the set-up lines of this compute target.',
        });
      return;
    }
    case 'python':
      steps.done('python', 'Python for the agent', {
        detail: `Python ${said.version} (${said.executable}).`,
      });
      return;
    case 'root':
      steps.done('root', 'Folder on the host', { detail: `${said.path}, ${gigabytes(said.free)} free.` });
      return;
    case 'agent':
      if (said.need) sendAgent();
      else steps.done('agent', 'Agent', { detail: `It is there already (${said.path}).` });
      return;
    case 'deployed':
      steps.done('agent', 'Agent', { detail: `Put into ${said.path}.` });
      return;
  }
}

/** Nothing is tried again by itself: the lines would do the same. */
function setUpProblem(what: string, diagnostics: string, steps: Steps): HostProblem {
  const words = diagnostics.trim().slice(-500);
  const problem = new HostProblem(
    'attention',
    `The set-up lines ${what}.${words ? ` They say: ${words}` : ''}`,
    {
      code: 'bad_request',
      action: 'Edit the set-up lines of this compute target: they are to end, and without exit or exec.',
    },
  );
  steps.failed('setup', 'Set-up lines', problem);
  return problem;
}

const titles: Record<string, string> = {
  no_python: 'Python for the agent',
  old_python: 'Python for the agent',
  root: 'Folder on the host',
  agent: 'Agent',
};

function actionOf(error: string, hasSetup: boolean): string {
  switch (error) {
    case 'no_python':
    case 'old_python':
      return hasSetup
        ? 'Look at the set-up lines of this compute target: after them a python3 of 3.6 or later must be on the PATH.'
        : 'Install Python 3.6 or later there, or add set-up lines to this compute target that bring one (module load python, conda activate base).';
    case 'root':
      return 'Set the folder of this compute target to one where you may write.';
    default:
      return 'Free some room on the host, and connect again.';
  }
}

function silent(what: string, diagnostics: string, rest: Buffer): HostProblem {
  const words = [diagnostics.trim(), rest.toString('utf8', 0, 300).trim()]
    .filter(Boolean)
    .join('\n')
    .slice(-600);
  return new HostProblem('unreachable', words ? `${what} It said: ${words}` : what);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}

/** For /bin/sh: nothing between the quotes means anything. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A text as a Python literal on one line; JSON's escapes are Python's. */
function pythonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
