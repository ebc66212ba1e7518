/** Variables that the editor sets for itself; a training script should not see them. */
const editorOwn = [
  /^ELECTRON_/,
  /^VSCODE_/,
  /^CODE_SERVER_/,
  /^CHROME_/,
  /^GIO_LAUNCHED_DESKTOP_FILE/,
  /^ORIGINAL_XDG_CURRENT_DESKTOP$/,
  /^APPLICATION_INSIGHTS_NO_DIAGNOSTIC_CHANNEL$/,
  /^APPLICATIONINSIGHTS_/,
  /^GOOGLE_API_KEY$/,
  /^NODE_(OPTIONS|CHANNEL_FD|CHANNEL_SERIALIZATION_MODE|UNIQUE_ID|EXEC_PATH)$/,
  /^(HASHED_)?PASSWORD$/,
];

/** The submitter's environment without what belongs to the editor. */
export function submitterEnvironment(source: NodeJS.ProcessEnv): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(source)) {
    if (value === undefined || editorOwn.some((pattern) => pattern.test(name))) continue;
    result[name] = value;
  }
  return result;
}
