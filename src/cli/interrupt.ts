/** Aborted by Ctrl-C, so that the server stops and takes back what it began; a second one ends at once. */
export function interrupted(): AbortSignal {
  const abort = new AbortController();
  process.once('SIGINT', () => abort.abort());
  process.once('SIGTERM', () => abort.abort());
  return abort.signal;
}
