/** An arguments line that cannot be split; `message` says where. */
export class ArgumentsError extends Error {}

/**
 * Splits a line as a shell splits words: quotes group, a backslash takes the next character as it is (in
 * double quotes only before `"` and `\`). Nothing is expanded. Throws for a quote that is never closed.
 */
export function splitArguments(line: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let i = 0; i < line.length; i++) {
    const c = line[i]!;
    const next = line[i + 1];
    if (quote) {
      if (c === quote) quote = '';
      else if (c === '\\' && quote === '"' && (next === '"' || next === '\\')) word += line[++i]!;
      else word += c;
    } else if (c === '"' || c === "'") {
      quote = c;
      word ??= '';
    } else if (c === '\\' && next !== undefined) {
      word = (word ?? '') + line[++i]!;
    } else if (/\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + c;
    }
  }
  if (quote) throw new ArgumentsError(`a ${quote} is not closed`);
  if (word !== undefined) words.push(word);
  return words;
}

/** The line that splits into these words. */
export function joinArguments(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
    .join(' ');
}
