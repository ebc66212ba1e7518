// Built from codes: control characters in a pattern are easily lost in an editor.
const escape = String.fromCharCode(27);
const bell = String.fromCharCode(7);
const sequences = new RegExp(
  `${escape}(?:\\[[0-?]*[ -/]*[@-~]|\\][^${bell}${escape}]*(?:${bell}|${escape}\\\\)|[@-Z\\\\^_])`,
  'g',
);
// Everything below the space but tab, newline and carriage return; and DEL.
const otherControls = new RegExp(`[${range(0, 8)}${range(11, 12)}${range(14, 31)}${range(127, 127)}]`, 'g');

/**
 * Terminal output as plain text: colour codes go; of a line that was written over (a progress bar's
 * carriage returns) the last writing stays; other control characters become visible marks.
 */
export function cleanLog(text: string): string {
  let clean = text.includes(escape) ? text.replace(sequences, '') : text;
  clean = clean.replaceAll('\r\n', '\n');
  if (clean.includes('\r')) {
    clean = clean
      .split('\n')
      .map((line) => line.replace(/\r+$/, '').split('\r').at(-1))
      .join('\n');
  }
  return clean.replace(otherControls, (c) =>
    c.charCodeAt(0) === 127 ? '\u2421' : String.fromCharCode(0x2400 + c.charCodeAt(0)),
  );
}

function range(from: number, to: number): string {
  return `${String.fromCharCode(from)}-${String.fromCharCode(to)}`;
}
