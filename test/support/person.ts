import type { Prompt } from '../../src/api/compute.ts';
import type { AddComputeRequest } from '../../src/api/compute.ts';
import type { Client } from '../../src/client/client.ts';
import type { Subscription } from '../../src/client/event-stream.ts';
import type { SshConfig, SshHost } from '../rig/ssh-hosts.ts';

/** What a person says to a question: the fields' answers (none to accept), or undefined to dismiss it. */
export type Answer = (prompt: Prompt) => string[] | undefined;

/** Somebody who sits at a face and is asked what hosts want to know. */
export class Person {
  readonly asked: Prompt[] = [];
  answer: Answer = () => undefined;
  /** What their secret store knows: the only answer to what nobody asked for just now. */
  store = new Map<string, string>();
  private readonly subscription: Subscription;

  constructor(client: Client) {
    const seen = new Set<string>();
    const take = (prompt: Prompt) => {
      // One that was asked of secret stores may come again, for a person now.
      const id = `${prompt.id} ${prompt.background}`;
      if (seen.has(id)) return;
      seen.add(id);
      this.asked.push(prompt);
      const kept = this.store.get(prompt.secretKey ?? '');
      if (prompt.background && kept === undefined) return;
      const answers = prompt.background ? [kept!] : this.answer(prompt);
      client
        .call('answerPrompt', {
          params: { prompt: prompt.id },
          body: answers ? { answers } : { dismiss: true },
        })
        .catch(() => undefined);
    };
    this.subscription = client.events('default', {
      onEvent: (event) => {
        if (event.type === 'prompt') take(event.prompt);
        // What was asked before they were there, as every face does.
        else if (event.type === 'hello')
          void client.call('listPrompts').then(
            ({ prompts }) => prompts.forEach(take),
            () => undefined,
          );
      },
    });
  }

  leave(): void {
    this.subscription.close();
  }
}

/** A target for a host of the rig, by its alias. */
export async function addCompute(
  client: Client,
  host: SshHost,
  { file }: SshConfig,
  more: Partial<AddComputeRequest> = {},
): Promise<string> {
  const { name } = await client.call('addCompute', {
    body: { name: host.name, host: host.name, configFile: file, ...more },
  });
  return name;
}
