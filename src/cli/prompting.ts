import { createInterface } from 'node:readline';
import type { Prompt } from '../api/compute.ts';
import type { Context } from './context.ts';

/**
 * Does work during which a host may want to know something: the person at the terminal is asked. Without a
 * terminal every question is dismissed, and the work says what it would have needed.
 */
export async function answeringPrompts<T>(
  context: Context,
  compute: string,
  work: () => Promise<T>,
): Promise<T> {
  const asked = new Set<string>();
  const gone = new Map<string, AbortController>();
  let chain: Promise<unknown> = Promise.resolve();
  const take = (prompt: Prompt) => {
    // What nobody asked for just now is for a secret store, and there is none here.
    if (prompt.compute !== compute || prompt.background || asked.has(prompt.id)) return;
    asked.add(prompt.id);
    const abort = new AbortController();
    gone.set(prompt.id, abort);
    chain = chain.then(() => answer(context, prompt, abort.signal)).catch(() => undefined);
  };
  const workspace = await context.workspace();
  const subscription = context.client.events(workspace, {
    onEvent: (event) => {
      if (event.type === 'prompt') take(event.prompt);
      else if (event.type === 'prompt.gone') gone.get(event.id)?.abort();
      else if (event.type === 'hello') {
        // What was asked before this stream was there.
        void context.client.call('listPrompts').then(
          ({ prompts }) => prompts.forEach(take),
          () => undefined,
        );
      }
    },
  });
  try {
    return await work();
  } finally {
    subscription.close();
    for (const abort of gone.values()) abort.abort();
  }
}

/** Connects to a target before work that needs it, so that what keeps it away is said at once. */
export async function connectFirst(context: Context, compute: string): Promise<void> {
  await answeringPrompts(context, compute, () =>
    context.client.call('connectCompute', { params: { compute }, body: agentSocket() }),
  );
}

/** The ssh agent of this shell. */
export function agentSocket(): { agentSocket?: string } {
  const socket = process.env['SSH_AUTH_SOCK'];
  return socket ? { agentSocket: socket } : {};
}

async function answer(context: Context, prompt: Prompt, signal: AbortSignal): Promise<void> {
  const say = (body: { answers: string[] } | { dismiss: true }) =>
    context.client.call('answerPrompt', { params: { prompt: prompt.id }, body });
  const { stderr, stdin } = process;
  const title = [prompt.title, prompt.message].filter(Boolean).join('\n');
  if (!stdin.isTTY) {
    stderr.write(`${title}\nThis is no terminal: nobody can answer.\n`);
    await say({ dismiss: true });
    return;
  }
  if (signal.aborted) return;
  stderr.write(`${title}\n`);
  if (prompt.kind === 'notice') return;
  if (prompt.kind === 'host-key') {
    const said = await read('Trust it and connect? (yes/no) ', true, signal);
    await say(/^y(es)?$/i.test(said?.trim() ?? '') ? { answers: [] } : { dismiss: true });
    return;
  }
  const answers: string[] = [];
  for (const { label, secret } of prompt.fields) {
    const said = await read(`${label}: `, !secret, signal);
    if (said === undefined) return void (await say({ dismiss: true }));
    answers.push(said);
  }
  await say({ answers });
}

/** One line of the terminal, shown or not; undefined when it was ended (Ctrl-D), or is of no use any more. */
function read(question: string, echo: boolean, signal: AbortSignal): Promise<string | undefined> {
  const { stdin, stderr } = process;
  // First, so that nothing that is typed at once is shown.
  if (!echo) stdin.setRawMode(true);
  stderr.write(question);
  const lines = echo ? createInterface({ input: stdin, terminal: false }) : undefined;
  return new Promise((resolve) => {
    let typed = '';
    let settled = false;
    const done = (value: string | undefined) => {
      // To close `lines` says that they are closed, at once.
      if (settled) return;
      settled = true;
      stdin.off('data', onKeys);
      signal.removeEventListener('abort', aborted);
      if (!echo) {
        stdin.setRawMode(false);
        stderr.write('\n');
      }
      lines?.close();
      stdin.pause();
      resolve(value);
    };
    const aborted = () => done(undefined);
    // Without the terminal's own editing: Enter, Ctrl-C, Ctrl-D and deletion are ours.
    const onKeys = (keys: Buffer) => {
      for (const key of keys.toString('utf8')) {
        if (key === '\r' || key === '\n') return done(typed);
        if (key === '\u0004') return done(undefined);
        if (key === '\u0003') {
          done(undefined);
          process.kill(process.pid, 'SIGINT');
          return;
        }
        if (key === '\u007f' || key === '\b') typed = [...typed].slice(0, -1).join('');
        else typed += key;
      }
    };
    signal.addEventListener('abort', aborted);
    if (lines) {
      lines.once('line', done);
      lines.once('close', () => done(undefined));
    } else stdin.on('data', onKeys).resume();
  });
}
