import { randomBytes } from 'node:crypto';
import type { AnswerPromptRequest, Prompt } from '../api/compute.ts';
import { RunyardError } from '../api/errors.ts';
import { plainText } from './plain-text.ts';

export type Question = Omit<Prompt, 'id'>;

interface Pending {
  prompt: Prompt;
  /** Starts the wait for an answer again. */
  wait(): void;
  settle(answers: string[] | undefined): void;
}

/** A face answers from its secret store within moments; nobody there means nobody answers. */
const backgroundMs = 15_000;
const personMs = 5 * 60_000;

/** Questions that wait for a person. Answers go to who asked and nowhere else. */
export class Prompts {
  private readonly pending = new Map<string, Pending>();
  private readonly announce: (
    event: { type: 'prompt'; prompt: Prompt } | { type: 'prompt.gone'; id: string },
  ) => void;

  constructor(announce: Prompts['announce']) {
    this.announce = announce;
  }

  list(): Prompt[] {
    return [...this.pending.values()].map(({ prompt }) => prompt);
  }

  /**
   * Asks; resolves with an answer for each field (an empty list where there is none), or undefined when it was
   * dismissed, nobody answered in time, or `signal` withdrew it.
   */
  ask(question: Question, signal: AbortSignal): Promise<string[] | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    const prompt: Prompt = {
      ...question,
      title: plainText(question.title),
      message: plainText(question.message),
      fields: question.fields.map(({ label, secret }) => ({ label: plainText(label), secret })),
      id: randomBytes(9).toString('base64url'),
    };
    return new Promise((resolve) => {
      const settle = (answers: string[] | undefined) => {
        clearTimeout(timer);
        signal.removeEventListener('abort', withdraw);
        if (this.pending.delete(prompt.id)) this.announce({ type: 'prompt.gone', id: prompt.id });
        resolve(answers);
      };
      const withdraw = () => settle(undefined);
      let timer: NodeJS.Timeout | undefined;
      const wait = () => {
        clearTimeout(timer);
        timer = setTimeout(withdraw, prompt.background ? backgroundMs : personMs).unref();
      };
      wait();
      signal.addEventListener('abort', withdraw);
      this.pending.set(prompt.id, { prompt, wait, settle });
      this.announce({ type: 'prompt', prompt });
    });
  }

  /** A person wants this connection now: what is asked of their secret store is asked of them. */
  raise(compute: string): void {
    for (const { prompt, wait } of this.pending.values()) {
      if (prompt.compute !== compute || !prompt.background) continue;
      prompt.background = false;
      wait();
      this.announce({ type: 'prompt', prompt });
    }
  }

  /** Throws `not_found` for a question that is answered or of no use any more, `bad_request` for a wrong number. */
  answer(id: string, answer: AnswerPromptRequest): void {
    const found = this.pending.get(id);
    if (!found)
      throw new RunyardError('not_found', 'The question was answered already, or is of no use any more.');
    if ('dismiss' in answer) return found.settle(undefined);
    const wanted = found.prompt.fields.length;
    if (answer.answers.length !== wanted)
      throw new RunyardError(
        'bad_request',
        `The question has ${wanted} fields; ${answer.answers.length} answers came.`,
      );
    found.settle(answer.answers);
  }
}
