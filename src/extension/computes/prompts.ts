import * as vscode from 'vscode';
import type { AnswerPromptRequest, Compute, Prompt } from '../../api/compute.ts';
import type { Connection } from '../connection.ts';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import type { Computes } from './computes.ts';
import { askPerson } from './questions.ts';
import type { SecretStore } from './secret-store.ts';

/** What this window knows of one target's sign-in; begun anew when the target is connected. */
interface SignIn {
  /** Secrets that were given silently: each at most once, as a wrong one must not be tried for ever. */
  readonly given: Set<string>;
  /** What a person has answered, to be kept once it has proved right. */
  readonly answered: Map<string, string>;
  /** The person was told that the target waits. */
  told: boolean;
  /** A connection from the secret store was tried. */
  tried: boolean;
}

interface Pending {
  prompt: Prompt;
  readonly gone: AbortController;
  /** It is being answered, from the store or by the person. */
  busy: boolean;
}

/**
 * Answers the questions of hosts: from the secret store, else by asking the person. What nobody has asked for
 * just now is never asked: it is told once, with a button.
 */
export class Prompts implements vscode.Disposable {
  private readonly connection: Connection;
  private readonly live: Live;
  private readonly choice: WorkspaceChoice;
  private readonly computes: Computes;
  private readonly store: SecretStore;
  private readonly log: Log;
  private readonly pending = new Map<string, Pending>();
  private readonly signIns = new Map<string, SignIn>();
  /** What this window is connecting to, because a person wants it or silently from the store. */
  private readonly own = new Set<{ compute: string; person: boolean; dismissed: boolean }>();
  /** One question at a time. */
  private asking: Promise<unknown> = Promise.resolve();
  private readonly subscriptions: vscode.Disposable[];

  constructor(
    connection: Connection,
    live: Live,
    choice: WorkspaceChoice,
    computes: Computes,
    store: SecretStore,
    log: Log,
  ) {
    this.connection = connection;
    this.live = live;
    this.choice = choice;
    this.computes = computes;
    this.store = store;
    this.log = log;
    this.subscriptions = [
      live.onEvent(({ event }) => {
        if (event.type === 'prompt') this.guard(this.take(event.prompt));
        if (event.type === 'prompt.gone') this.drop(event.id);
      }),
      live.onLookAgain(() => this.guard(this.list())),
      computes.onDidLook((looked) => looked.forEach((compute) => this.guard(this.follow(compute)))),
      connection.onDidChangeHome(() => this.clear()),
    ];
  }

  /**
   * Does what may raise questions of a target; they are shown in this window meanwhile. Where the person has
   * dismissed one, a failure is a cancellation.
   */
  async attend<T>(compute: string, work: () => Promise<T>): Promise<T> {
    return this.attending(compute, true, work);
  }

  /** The person gives up: what is asked for this target is dismissed. */
  async dismiss(compute: string): Promise<void> {
    for (const { prompt } of [...this.pending.values()]) {
      if (prompt.compute === compute) await this.answer(prompt, { dismiss: true });
    }
  }

  dispose(): void {
    this.clear();
    for (const subscription of this.subscriptions) subscription.dispose();
  }

  private async attending<T>(compute: string, person: boolean, work: () => Promise<T>): Promise<T> {
    const watch = this.live.watch(await this.choice.name());
    const mine = { compute, person, dismissed: false };
    this.own.add(mine);
    try {
      for (const one of person ? this.pending.values() : []) {
        if (one.prompt.compute === compute) this.guard(this.attempt(one));
      }
      return await work();
    } catch (error) {
      // Who has dismissed a question knows why there is no connection.
      throw mine.dismissed ? new vscode.CancellationError() : error;
    } finally {
      this.own.delete(mine);
      watch.dispose();
    }
  }

  /** Whether this window is connecting to a target, and for whom. */
  private connecting(compute: string): 'person' | 'silently' | undefined {
    const mine = [...this.own].filter((one) => one.compute === compute);
    if (mine.length === 0) return undefined;
    return mine.some(({ person }) => person) ? 'person' : 'silently';
  }

  private async list(): Promise<void> {
    const client = await this.connection.client();
    const { prompts } = await client.call('listPrompts');
    const there = new Set(prompts.map(({ id }) => id));
    for (const id of [...this.pending.keys()]) if (!there.has(id)) this.drop(id);
    await Promise.all(prompts.map((prompt) => this.take(prompt)));
  }

  /** A question came, or one that is known is now to be shown. */
  private async take(prompt: Prompt): Promise<void> {
    let one = this.pending.get(prompt.id);
    if (!one) {
      one = { prompt, gone: new AbortController(), busy: false };
      this.pending.set(prompt.id, one);
      if (prompt.refused && prompt.secretKey !== null) await this.refused(prompt.compute, prompt.secretKey);
    }
    one.prompt = prompt;
    await this.attempt(one);
  }

  private async attempt(one: Pending): Promise<void> {
    if (one.busy || one.gone.signal.aborted) return;
    one.busy = true;
    try {
      if (await this.answerSilently(one.prompt)) return;
      const own = this.connecting(one.prompt.compute);
      // The person did not ask for a connection that is tried from the secret store.
      if (own === 'silently') return await this.giveUp(one.prompt);
      // While the store was looked at, somebody may have wanted the connection: `prompt` says so then.
      if (one.prompt.background && !own) return this.tell(one.prompt.compute, one.prompt.title);
      await this.ask(one);
    } finally {
      one.busy = false;
    }
  }

  private async answerSilently(prompt: Prompt): Promise<boolean> {
    const { compute, secretKey, refused } = prompt;
    const { given } = this.signIn(compute);
    if (secretKey === null || refused || given.has(secretKey)) return false;
    const value = await this.store.get(secretKey);
    if (value === undefined || prompt.fields.length !== 1) return false;
    given.add(secretKey);
    await this.answer(prompt, { answers: [value] });
    return true;
  }

  /** In this window when it began the connection or has the focus; else as soon as it gets the focus. */
  private async ask(one: Pending): Promise<void> {
    if (!this.connecting(one.prompt.compute)) await focused(one.gone.signal);
    const before = this.asking;
    const turn = (async () => {
      await before;
      const answer = await askPerson(one.prompt, one.gone.signal);
      if (!answer || one.gone.signal.aborted) return;
      const { compute, secretKey } = one.prompt;
      const signIn = this.signIn(compute);
      if ('answers' in answer) {
        const [secret] = answer.answers;
        if (secretKey !== null && secret !== undefined) signIn.answered.set(secretKey, secret);
      } else {
        signIn.told = true;
        for (const mine of this.own) if (mine.compute === compute) mine.dismissed = true;
      }
      await this.answer(one.prompt, answer);
    })();
    this.asking = turn.catch(() => undefined);
    await turn;
  }

  private async giveUp(prompt: Prompt): Promise<void> {
    await this.answer(prompt, { dismiss: true });
    this.tell(prompt.compute, prompt.title);
  }

  /** Another window, or the command line, may have been first: that is no error. */
  private async answer(prompt: Prompt, body: AnswerPromptRequest): Promise<void> {
    const client = await this.connection.client();
    try {
      await client.call('answerPrompt', { params: { prompt: prompt.id }, body });
    } catch (error) {
      if ((error as { code?: string }).code !== 'not_found') throw error;
    }
    this.drop(prompt.id);
  }

  private async refused(compute: string, key: string): Promise<void> {
    this.signIn(compute).answered.delete(key);
    if (this.store.keys.includes(key)) await this.store.forget(key);
  }

  /** A target's state: what was answered was right, or somebody is needed. */
  private async follow(compute: Compute): Promise<void> {
    const { name, state, secretKey, problem, activeRuns } = compute;
    if (state === 'connected') {
      const signIn = this.signIns.get(name);
      this.signIns.delete(name);
      for (const [key, value] of signIn?.answered ?? []) await this.store.keep(key, value);
      return;
    }
    if (state === 'connecting') return;
    const signIn = this.signIn(name);
    if (this.connecting(name)) return;
    signIn.answered.clear();
    if (state !== 'attention') return;
    if (secretKey !== null && !signIn.tried && !signIn.given.has(secretKey)) {
      signIn.tried = true;
      if ((await this.store.get(secretKey)) !== undefined) return this.connectSilently(name);
    }
    // Runs wait there, and nobody else tells.
    if (activeRuns > 0) this.tell(name, problem ?? '');
  }

  private async connectSilently(name: string): Promise<void> {
    this.log.info(`${name}: signing in with what is kept`);
    const client = await this.connection.client();
    const body = { ...agentBody(), silent: true };
    await this.attending(name, false, () =>
      client.call('connectCompute', { params: { compute: name }, body }).then(
        (compute) => this.computes.take(compute),
        (error: unknown) => this.log.error(`${name} cannot be connected`, error),
      ),
    );
  }

  /** Once for each target until it is connected again. */
  private tell(name: string, what: string): void {
    const signIn = this.signIn(name);
    if (signIn.told) return;
    signIn.told = true;
    const button = vscode.l10n.t('Sign In');
    const text = vscode.l10n.t('{0} waits for you: {1}', name, what);
    void vscode.window.showWarningMessage(text, button).then((answer) => {
      if (answer === button) return vscode.commands.executeCommand('runyard.connectCompute', name);
    });
  }

  private signIn(compute: string): SignIn {
    let found = this.signIns.get(compute);
    if (!found) {
      found = { given: new Set(), answered: new Map(), told: false, tried: false };
      this.signIns.set(compute, found);
    }
    return found;
  }

  private drop(id: string): void {
    this.pending.get(id)?.gone.abort();
    this.pending.delete(id);
  }

  private clear(): void {
    for (const id of [...this.pending.keys()]) this.drop(id);
    this.signIns.clear();
  }

  private guard(work: Promise<void>): void {
    work.catch((error: unknown) => this.log.error('A question of a host cannot be answered', error));
  }
}

/** The ssh agent of this window; the server's own may be of one that is long gone. */
export function agentBody(): { agentSocket?: string } {
  const agentSocket = process.env['SSH_AUTH_SOCK'];
  return agentSocket ? { agentSocket } : {};
}

function focused(gone: AbortSignal): Promise<void> {
  if (vscode.window.state.focused || gone.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      listener.dispose();
      gone.removeEventListener('abort', done);
      resolve();
    };
    const listener = vscode.window.onDidChangeWindowState(({ focused: now }) => now && done());
    gone.addEventListener('abort', done);
  });
}
