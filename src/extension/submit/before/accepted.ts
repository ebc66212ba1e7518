import { createHash } from 'node:crypto';
import type * as vscode from 'vscode';
import type { Concern } from '../../../api/entities.ts';

/** Remembers which concerns about a folder a person has accepted: the same ones are not asked about twice. */
export class AcceptedConcerns {
  private readonly memento: vscode.Memento;

  constructor(memento: vscode.Memento) {
    this.memento = memento;
  }

  has(folder: string, concerns: readonly Concern[]): boolean {
    return this.memento.get(keyOf(folder)) === fingerprint(concerns);
  }

  async add(folder: string, concerns: readonly Concern[]): Promise<void> {
    await this.memento.update(keyOf(folder), fingerprint(concerns));
  }
}

function keyOf(folder: string): string {
  return `runyard.accepted:${folder}`;
}

function fingerprint(concerns: readonly Concern[]): string {
  const lines = concerns.map(({ kind, path, message }) => JSON.stringify([kind, path, message])).sort();
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}
