/** Passwords and passphrases that were right, in memory only, so that a reconnect need not ask. */
export class Secrets {
  private readonly known = new Map<string, string>();

  get(key: string): string | undefined {
    return this.known.get(key);
  }

  keep(key: string, value: string): void {
    this.known.set(key, value);
  }

  forget(key: string): void {
    this.known.delete(key);
  }
}
