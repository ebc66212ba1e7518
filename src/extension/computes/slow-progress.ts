import * as vscode from 'vscode';

/** What is done sooner needs no notification. */
const slowMs = 500;

/** Does something that a person may cancel; a notification shows once it takes a while. */
export async function slowProgress<T>(
  title: string,
  work: (signal: AbortSignal) => Promise<T>,
  canceled: () => unknown = () => undefined,
): Promise<T> {
  const abort = new AbortController();
  const answer = work(abort.signal);
  const settled = answer.then(
    () => undefined,
    () => undefined,
  );
  const show = () => {
    const location = vscode.ProgressLocation.Notification;
    void vscode.window.withProgress({ location, title, cancellable: true }, (_, token) => {
      token.onCancellationRequested(() => {
        abort.abort();
        canceled();
      });
      return settled;
    });
  };
  const timer = setTimeout(show, slowMs);
  try {
    return await answer;
  } finally {
    clearTimeout(timer);
  }
}
