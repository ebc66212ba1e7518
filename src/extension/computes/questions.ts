import * as vscode from 'vscode';
import type { AnswerPromptRequest, Prompt } from '../../api/compute.ts';

/** What a person answers; undefined: the question went away meanwhile. */
export type PersonsAnswer = AnswerPromptRequest | undefined;

const dismissed = { dismiss: true } as const;

/** Shows a question until it is answered, dismissed, or `gone`. */
export async function askPerson(prompt: Prompt, gone: AbortSignal): Promise<PersonsAnswer> {
  if (gone.aborted) return undefined;
  switch (prompt.kind) {
    case 'host-key':
      return askTrust(prompt);
    case 'notice':
      return showNotice(prompt, gone);
    case 'password':
    case 'passphrase':
    case 'keyboard-interactive':
      return askFields(prompt, gone);
  }
}

async function askFields(prompt: Prompt, gone: AbortSignal): Promise<PersonsAnswer> {
  const answers: string[] = [];
  for (const [i, field] of prompt.fields.entries()) {
    const answer = await askField(prompt, i, field, gone);
    if (gone.aborted) return undefined;
    if (answer === undefined) return dismissed;
    answers.push(answer);
  }
  return { answers };
}

async function askField(
  { title, message, fields, compute, kind, refused }: Prompt,
  index: number,
  { label, secret }: Prompt['fields'][number],
  gone: AbortSignal,
): Promise<string | undefined> {
  const box = vscode.window.createInputBox();
  box.title = title;
  const about = vscode.l10n.t('For the compute target {0}.', compute);
  box.prompt = [refused ? '' : message, kind === 'keyboard-interactive' ? label : '', about]
    .filter(Boolean)
    .join(' · ');
  if (refused) box.validationMessage = message;
  box.onDidChangeValue(() => (box.validationMessage = ''));
  box.placeholder = label;
  box.password = secret;
  box.ignoreFocusOut = true;
  if (fields.length > 1) {
    box.step = index + 1;
    box.totalSteps = fields.length;
  }
  const close = () => box.hide();
  gone.addEventListener('abort', close);
  try {
    return await new Promise((resolve) => {
      box.onDidAccept(() => resolve(box.value));
      box.onDidHide(() => resolve(undefined));
      box.show();
    });
  } finally {
    gone.removeEventListener('abort', close);
    box.dispose();
  }
}

/** The editor cannot take a dialog back: an answer that comes too late is of no use and does no harm. */
async function askTrust({ title, message }: Prompt): Promise<PersonsAnswer> {
  const trust = vscode.l10n.t('Trust and Connect');
  const answer = await vscode.window.showWarningMessage(title, { modal: true, detail: message }, trust);
  return answer === trust ? { answers: [] } : dismissed;
}

/** "Touch your security key": there until it is done, or given up. */
async function showNotice({ title, message }: Prompt, gone: AbortSignal): Promise<PersonsAnswer> {
  const location = vscode.ProgressLocation.Notification;
  const text = [title, message].filter(Boolean).join(': ');
  return vscode.window.withProgress(
    { location, title: text, cancellable: true },
    (_, token) =>
      new Promise<PersonsAnswer>((resolve) => {
        token.onCancellationRequested(() => resolve(dismissed));
        gone.addEventListener('abort', () => resolve(undefined));
      }),
  );
}
