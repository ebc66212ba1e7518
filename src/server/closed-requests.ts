import type { ServerResponse } from 'node:http';

/** Aborted when the client goes away before it has its answer (Ctrl-C). */
export function signalOf(res: ServerResponse): AbortSignal {
  const abort = new AbortController();
  res.on('close', () => {
    if (!res.writableFinished) abort.abort();
  });
  return abort.signal;
}
