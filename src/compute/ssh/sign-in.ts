import type { AnyAuthMethod, AuthenticationType, Client, NextAuthHandler, Prompt as SshPrompt } from 'ssh2';
import type { Asker } from './asker.ts';
import { KeyRing } from './key-ring.ts';
import type { SshOptions } from './options.ts';

const mostTries = 3;

interface Handlers {
  USERAUTH_FAILURE: (protocol: unknown, left: string[], partial: boolean) => void;
}

/** `mia@gpu.example.org`, with the port where it is not 22. */
export function addressOf({ user, hostName, port }: SshOptions): string {
  const host = hostName.includes(':') ? `[${hostName}]` : hostName;
  return `${user}@${host}${port === 22 ? '' : `:${port}`}`;
}

export function passwordKey(options: SshOptions): string {
  return `password:${addressOf(options)}`;
}

/** Signs in to one host: which method comes next, in the order of the ssh configuration. */
export class SignIn {
  private readonly options: SshOptions;
  private readonly asker: Asker;
  private readonly begun: Promise<void>;
  private queue: string[] = [];
  private ring: KeyRing | undefined;
  private passwordTries = 0;
  private interactiveTries = 0;
  /** The host's latest word, until the next method is chosen. */
  private said: { left: string[]; partial: boolean } | undefined;
  /** What the host would take, as far as it said so. */
  offers: string[] = [];
  /** For the person: what was tried. */
  readonly tried: string[] = [];
  /** Which method succeeded last. */
  latest = 'none';

  constructor(options: SshOptions, asker: Asker) {
    this.options = options;
    this.asker = asker;
    this.begun = KeyRing.open(options, (file, refused) =>
      asker.secret(`passphrase:${file}`, 'passphrase', `Passphrase of ${file}`, refused),
    ).then(
      (ring) => {
        this.ring = ring;
      },
      () => undefined,
    );
  }

  /** A key file that the host would have taken, whose passphrase nobody gave. */
  get unopened(): string | undefined {
    return this.ring?.unopened;
  }

  /**
   * Hears what the host would take next. ssh2 keeps that to itself while keys of an agent are tried, and so the
   * second step of `publickey,password` would never come.
   */
  listenTo(client: Client): void {
    const { _handlers: handlers } = (client as unknown as { _protocol: { _handlers: Handlers } })._protocol;
    const handle = handlers.USERAUTH_FAILURE;
    handlers.USERAUTH_FAILURE = (protocol, left, partial) => {
      this.said = { left, partial };
      handle(protocol, left, partial);
    };
  }

  /** The `authHandler` of ssh2. */
  readonly next = (left: AuthenticationType[], partial: boolean, then: NextAuthHandler): void => {
    void this.choose(left, partial).then(
      (method) => then(method ?? (false as never)),
      () => then(false as never),
    );
  };

  private async choose(left: string[] | null, partial: boolean | null): Promise<AnyAuthMethod | undefined> {
    const username = this.options.user;
    if (left === null) {
      await this.begun;
      this.queue = [...this.options.methods];
      return { type: 'none', username };
    }
    const said = this.said ?? { left, partial: partial === true };
    this.said = undefined;
    this.offers = said.left;
    // One method is done, the host wants another one.
    if (said.partial) this.queue = this.options.methods.filter((method) => said.left.includes(method));
    for (;;) {
      const method = this.queue[0];
      if (method === undefined) return undefined;
      const found = said.left.includes(method) ? await this.attempt(method, username) : undefined;
      if (found) {
        this.latest = method;
        return found;
      }
      this.queue.shift();
    }
  }

  private async attempt(method: string, username: string): Promise<AnyAuthMethod | undefined> {
    switch (method) {
      case 'publickey': {
        const offered = this.ring?.next();
        if (!offered) return undefined;
        this.tried.push(offered);
        // The type of ssh2's agents does not say that a key may be a buffer.
        return { type: 'agent', username, agent: this.ring as never };
      }
      case 'password': {
        if (this.passwordTries === mostTries || this.asker.unanswered) return undefined;
        const password = await this.password(this.passwordTries++ > 0);
        if (password === undefined) return undefined;
        if (this.passwordTries === 1) this.tried.push('password');
        return { type: 'password', username, password };
      }
      case 'keyboard-interactive': {
        if (this.interactiveTries === mostTries || this.asker.unanswered) return undefined;
        this.interactiveTries++;
        if (this.interactiveTries === 1) this.tried.push('keyboard-interactive');
        const refused = this.interactiveTries > 1;
        let given = false;
        return {
          type: 'keyboard-interactive',
          username,
          prompt: (name, instructions, _language, prompts, finish) => {
            void this.answer(name, instructions, prompts, refused && !given).then((answers) => {
              given = true;
              finish(answers);
            });
          },
        };
      }
      default:
        return undefined;
    }
  }

  private password(refused: boolean): Promise<string | undefined> {
    return this.asker.secret(
      passwordKey(this.options),
      'password',
      `Password of ${addressOf(this.options)}`,
      refused,
    );
  }

  /** A lone question for the password is one for the password; anything else is asked each time anew. */
  private async answer(
    name: string,
    instructions: string,
    prompts: SshPrompt[],
    refused: boolean,
  ): Promise<string[]> {
    if (prompts.length === 0) return [];
    const [first] = prompts;
    if (prompts.length === 1 && first && !first.echo && /password[^a-z]*$/i.test(first.prompt)) {
      const password = await this.password(refused);
      if (password === undefined) this.giveUp();
      return [password ?? ''];
    }
    const answers = await this.asker.ask({
      kind: 'keyboard-interactive',
      title: `Sign in to ${addressOf(this.options)}`,
      message: [name, instructions, refused ? 'The answer was not right.' : '']
        .filter(Boolean)
        .join('\n')
        .trim(),
      fields: prompts.map(({ prompt, echo }) => ({ label: prompt.replace(/:\s*$/, ''), secret: !echo })),
      secretKey: null,
      refused,
    });
    if (!answers) this.giveUp();
    return answers ?? prompts.map(() => '');
  }

  /** Nobody answers: what is refused now is not asked again. */
  private giveUp(): void {
    this.interactiveTries = mostTries;
    this.passwordTries = mostTries;
  }
}
