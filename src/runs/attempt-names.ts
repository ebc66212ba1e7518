/**
 * What an earlier attempt has left and a later one has made anew stays, under the earlier one's own name:
 * `attempts/1/outputs/model.pkl`, `attempt-1/loss`.
 */
export function pathOfAttempt(attempt: number, path: string): string {
  return `attempts/${attempt}/${path}`;
}

/** The path that a file has on its host; what the latest attempt has made is named as it is there. */
export function pathOnHost({ attempts }: { attempts: number }, attempt: number, path: string): string {
  if (attempt >= attempts) return path;
  const prefix = pathOfAttempt(attempt, '');
  return path.startsWith(prefix) ? path.slice(prefix.length) : path;
}

/** The name of a metric, table or image of an earlier attempt. */
export function nameOfAttempt(attempt: number, name: string): string {
  return `attempt-${attempt}/${name}`;
}
