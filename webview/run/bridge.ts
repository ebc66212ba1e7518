import type { PageState, RequestName, Requests, ToExtension, ToPage } from './contract.ts';

interface VsCodeApi {
  postMessage(message: ToExtension): void;
  getState(): PageState | undefined;
  setState(state: PageState): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

const vscode = acquireVsCodeApi();
const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
let lastId = 0;

/** Tells the extension something. */
export function send(message: ToExtension): void {
  vscode.postMessage(message);
}

/** Asks the extension for a part of the run. Rejects with a sentence for a person. */
export function ask<N extends RequestName>(
  name: N,
  params: Requests[N]['params'],
): Promise<Requests[N]['result']> {
  const id = ++lastId;
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
    send({ type: 'request', id, name, params } as ToExtension);
  });
}

/** Listens; answers go to whoever asked, the rest to the handler. */
export function listen(handler: (message: ToPage) => void): void {
  window.addEventListener('message', ({ data }: MessageEvent<ToPage>) => {
    if (data.type !== 'answer' && data.type !== 'refusal') return handler(data);
    const asker = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.type === 'answer') asker?.resolve(data.result);
    else asker?.reject(new Error(data.message));
  });
}

/** What this page remembers over a reload of the window. */
export function savedState(): PageState | undefined {
  return vscode.getState();
}

export function saveState(state: PageState): void {
  vscode.setState(state);
}
