import { localCompute } from '../../api/compute.ts';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import { overlaid } from './defined.ts';
import { readConfiguration } from './files.ts';
import { findInterpreter } from './resolve.ts';

export interface PreviewOf {
  configurationName?: string | undefined;
  configuration?: Partial<RunConfiguration> | undefined;
  interpreter?: string | undefined;
  /** The submitter's PATH. */
  path?: string | undefined;
}

/**
 * What is going to run in a folder, as far as it can be said without refusing anything: its arguments, and the
 * interpreter where there is one. Throws for a named configuration that cannot be read.
 */
export async function previewLaunch(
  folder: string,
  { configurationName, configuration: inline, interpreter, path }: PreviewOf,
): Promise<{ arguments: string[]; interpreter: string | null }> {
  const named = configurationName ? (await readConfiguration(folder, configurationName)).configuration : {};
  const configuration = overlaid(named, inline);
  const environment: Record<string, string> = path === undefined ? {} : { PATH: path };
  // Another machine's interpreter has other packages.
  const here = !configuration.target || configuration.target === localCompute;
  const asked = configuration.environment?.python?.interpreterPath;
  // "python" is what Azure writes when nobody said anything.
  const own = asked && asked !== 'python' ? asked : null;
  const found = here && findInterpreter(folder, own, { interpreter, environment }).catch(() => null);
  return { arguments: argumentsOf(configuration), interpreter: found ? await found : null };
}

function argumentsOf({ command, arguments: args }: RunConfiguration): string[] {
  // A shell line: its words are near enough for looking whether one of them is a path.
  if (typeof command === 'string') return command.split(/[\s"'=;|&<>]+/).filter(Boolean);
  return [...(command ?? []), ...(args ?? [])];
}
