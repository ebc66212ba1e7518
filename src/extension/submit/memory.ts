import type * as vscode from 'vscode';
import type { EnvironmentAnswer } from './environment-answer.ts';

/** What a person answered the last time for a folder. */
export interface LastAnswers {
  script?: string;
  command?: string;
  arguments?: string;
  compute?: string;
  /** In a container there. */
  docker?: boolean;
  environment?: EnvironmentAnswer;
  experiment?: string;
  /** Chosen here instead of the Python extension's. */
  interpreter?: string;
  /** The configuration submitted last; it stands first. */
  configuration?: string;
}

/** Keeps the last answers of each folder with the editor's workspace. */
export class AnswersMemory {
  private readonly memento: vscode.Memento;

  constructor(memento: vscode.Memento) {
    this.memento = memento;
  }

  get(folder: string): LastAnswers {
    return this.memento.get<LastAnswers>(key(folder), {});
  }

  async update(folder: string, answers: LastAnswers): Promise<void> {
    await this.memento.update(key(folder), { ...this.get(folder), ...answers });
  }
}

function key(folder: string): string {
  return `runyard.answers:${folder}`;
}
