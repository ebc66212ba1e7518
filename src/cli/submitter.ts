/** The environment that a submit hands to the server: this shell's, without what only belongs to npm or to us. */
export function submitterEnvironment(): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    if (value !== undefined && !name.startsWith('npm_') && !name.startsWith('RUNYARD_'))
      environment[name] = value;
  }
  return environment;
}
