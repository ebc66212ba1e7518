/** Options of a requirements file that have a value, by their long names. */
const withValue = [
  '--requirement',
  '--constraint',
  '--editable',
  '--index-url',
  '--extra-index-url',
  '--find-links',
  '--trusted-host',
  '--no-binary',
  '--only-binary',
  '--use-feature',
];
const flags = ['--no-index', '--pre', '--prefer-binary', '--require-hashes'];
const short: Readonly<Record<string, string>> = {
  '-r': '--requirement',
  '-c': '--constraint',
  '-e': '--editable',
  '-i': '--index-url',
  '-f': '--find-links',
};

/** Those that name files. */
export const fileOptions: ReadonlySet<string> = new Set(withValue.slice(0, 3).concat('--find-links'));

/** An option by its long name, its value, and both as they are written. */
type Option = readonly [name: string, value: string, words: string];

/**
 * The options of a line: pip takes several in one, and any beginning of a long name that is no other's. Null where
 * that cannot be told: pip itself says then what is wrong.
 */
export function optionsOf(line: string): Option[] | null {
  const words = wordsOf(line);
  if (!words) return null;
  const found: Option[] = [];
  for (let i = 0; i < words.length; i++) {
    const [name, inWord] = nameOf(words[i]!);
    if (name === undefined) return null;
    if (flags.includes(name)) {
      found.push([name, '', words[i]!]);
      continue;
    }
    const value = inWord ?? words[++i];
    if (value === undefined) return null;
    found.push([name, value, `${name} ${quoted(value)}`]);
  }
  return found;
}

function nameOf(word: string): [name: string | undefined, value: string | undefined] {
  if (!word.startsWith('--')) {
    const rest = word.slice(2);
    return [short[word.slice(0, 2)], rest ? rest.replace(/^=/, '') : undefined];
  }
  const at = word.indexOf('=');
  const asked = at < 0 ? word : word.slice(0, at);
  const all = [...withValue, ...flags];
  const meant = all.includes(asked) ? [asked] : all.filter((one) => one.startsWith(asked));
  return [meant.length === 1 ? meant[0] : undefined, at < 0 ? undefined : word.slice(at + 1)];
}

/** A word as pip's shell-like reading takes it for one. */
export function quoted(word: string): string {
  return /^[^\s"'\\#]+$/.test(word) ? word : `"${word.replace(/["\\]/g, '\\$&')}"`;
}

/** Words as a shell has them; null for a quote that does not end. */
function wordsOf(line: string): string[] | null {
  const found: string[] = [];
  let rest = line.trim();
  let word = '';
  while (rest) {
    const part = /^(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)|([^\s"'\\]+)|(\s+))/s.exec(rest);
    if (!part) return null;
    const [whole, double, single, escaped, plain, space] = part;
    if (space === undefined) word += double?.replace(/\\(["\\])/g, '$1') ?? single ?? escaped ?? plain ?? '';
    else {
      found.push(word);
      word = '';
    }
    rest = rest.slice(whole.length);
  }
  return [...found, word];
}
