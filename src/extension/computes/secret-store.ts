import type * as vscode from 'vscode';

const listKey = 'runyard.secretKeys';

/** Passwords and passphrases that were right, in the editor's secret store; their names in its global state. */
export class SecretStore {
  private readonly secrets: vscode.SecretStorage;
  private readonly memory: vscode.Memento;

  constructor(secrets: vscode.SecretStorage, memory: vscode.Memento) {
    this.secrets = secrets;
    this.memory = memory;
  }

  /** What there is, by the keys that prompts name: `password:mia@gpu.example.org`. */
  get keys(): readonly string[] {
    return this.memory.get<string[]>(listKey, []);
  }

  async get(key: string): Promise<string | undefined> {
    return this.secrets.get(storeKey(key));
  }

  async keep(key: string, value: string): Promise<void> {
    await this.secrets.store(storeKey(key), value);
    await this.remember([...this.keys.filter((other) => other !== key), key]);
  }

  async forget(key: string): Promise<void> {
    await this.secrets.delete(storeKey(key));
    await this.remember(this.keys.filter((other) => other !== key));
  }

  private async remember(keys: readonly string[]): Promise<void> {
    await this.memory.update(listKey, keys.length > 0 ? keys : undefined);
  }
}

function storeKey(key: string): string {
  return `runyard.compute/${key}`;
}
