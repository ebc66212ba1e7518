import type { Prompts, Question } from '../prompts.ts';
import type { Secrets } from '../secrets.ts';

type Asked = Omit<Question, 'compute' | 'background'>;

/** Questions while one connection to one target is made. */
export class Asker {
  private readonly compute: string;
  private readonly prompts: Prompts;
  private readonly secrets: Secrets;
  private readonly signal: AbortSignal;
  private readonly background: () => boolean;
  /** Given in this attempt; kept once the host has taken them. */
  private readonly fresh = new Map<string, string>();
  private open = 0;
  /** What nobody answered: the title, and the key of the secret. */
  unanswered: { title: string; secretKey: string | null } | undefined;

  constructor(
    compute: string,
    tools: { prompts: Prompts; secrets: Secrets },
    signal: AbortSignal,
    background: () => boolean,
  ) {
    this.compute = compute;
    this.prompts = tools.prompts;
    this.secrets = tools.secrets;
    this.signal = signal;
    this.background = background;
  }

  /** Somebody thinks about an answer now. */
  get isAsking(): boolean {
    return this.open > 0;
  }

  /** Answers of the fields, or undefined: dismissed, or nobody is there. */
  async ask(question: Asked): Promise<string[] | undefined> {
    this.open++;
    const answers = await this.prompts
      .ask({ ...question, compute: this.compute, background: this.background() }, this.signal)
      .finally(() => this.open--);
    if (!answers) this.unanswered ??= { title: question.title, secretKey: question.secretKey };
    return answers;
  }

  /** A secret that may be used again: from memory, else asked for. */
  async secret(
    key: string,
    kind: 'password' | 'passphrase',
    title: string,
    refused: boolean,
  ): Promise<string | undefined> {
    if (refused) {
      this.secrets.forget(key);
      this.fresh.delete(key);
    }
    const known = refused ? undefined : (this.secrets.get(key) ?? this.fresh.get(key));
    if (known !== undefined) return known;
    const label = kind === 'password' ? 'Password' : 'Passphrase';
    const answers = await this.ask({
      kind,
      title,
      message: refused ? `The ${label.toLowerCase()} was not right.` : '',
      fields: [{ label, secret: true }],
      secretKey: key,
      refused,
    });
    const answer = answers?.[0];
    if (answer !== undefined) this.fresh.set(key, answer);
    return answer;
  }

  /** The host has let us in: what was given is right. */
  succeeded(): void {
    for (const [key, value] of this.fresh) this.secrets.keep(key, value);
  }
}
