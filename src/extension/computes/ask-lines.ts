import * as vscode from 'vscode';

export interface AskLines {
  /** Of the n-th line. */
  title(n: number): string;
  prompt: string;
  /** Of the first line, and of those behind it. */
  placeholders: [string, string];
  before: readonly string[];
  problem?(line: string): string | undefined;
}

/** Asks one line after the other; an empty one ends. Undefined: the person has dismissed it. */
export async function askLines(asked: AskLines): Promise<string[] | undefined> {
  const lines: string[] = [];
  for (;;) {
    const line = await vscode.window.showInputBox({
      title: asked.title(lines.length + 1),
      prompt: asked.prompt,
      placeHolder: asked.placeholders[lines.length === 0 ? 0 : 1],
      value: asked.before[lines.length] ?? '',
      ignoreFocusOut: true,
      validateInput: (text) => asked.problem?.(text.trim()),
    });
    if (line === undefined) return undefined;
    if (!line.trim()) return lines;
    lines.push(line.trim());
  }
}
