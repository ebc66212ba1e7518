/**
 * Does work that Ctrl-C aborts, so that the server stops and takes back what it began. Afterwards Ctrl-C is what it
 * was before.
 */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const end = () => abort.abort();
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  try {
    return await work(abort.signal);
  } finally {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
  }
}
