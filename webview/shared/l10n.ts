let strings: Record<string, string> = {};

/** The translations that the extension has loaded; English without. */
export function setStrings(bundle: Record<string, string>): void {
  strings = bundle;
}

/** A text for people, with `{0}`, `{1}` replaced; the English text is the key. */
export function t(text: string, ...values: (string | number)[]): string {
  return (strings[text] ?? text).replace(/\{(\d+)\}/g, (whole, n: string) =>
    String(values[Number(n)] ?? whole),
  );
}
