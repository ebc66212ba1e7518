import type { RunConfiguration } from '../../api/run-configuration.ts';

/** The environment that a person has chosen for a run. */
export type EnvironmentAnswer =
  /** The host's own Python, as the interpreter line says. */
  | { kind: 'host' }
  | { kind: 'named'; name: string; version: number }
  /** A file of the folder, by its name. */
  | { kind: 'file'; file: string }
  | { kind: 'image'; image: string }
  /** That of the run that is run again. */
  | { kind: 'asBefore' };

export const asTheHostIs: EnvironmentAnswer = { kind: 'host' };

export function sameEnvironment(a: EnvironmentAnswer, b: EnvironmentAnswer): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
}

/** The sections of a run configuration that say it. */
export function sectionsOf(
  answer: EnvironmentAnswer,
  docker: boolean,
): Pick<RunConfiguration, 'environment' | 'docker'> {
  const container = docker ? { docker: { useDocker: true } } : {};
  switch (answer.kind) {
    case 'host':
    case 'asBefore':
      return container;
    case 'named':
      return { environment: { name: answer.name, version: String(answer.version) }, ...container };
    case 'image':
      return { environment: { docker: { baseImage: answer.image } }, docker: { useDocker: true } };
    case 'file':
      if (/dockerfile/i.test(answer.file))
        return { environment: { docker: { baseDockerfile: answer.file } }, docker: { useDocker: true } };
      if (isCondaFile(answer.file))
        return { environment: { python: { condaDependenciesFile: answer.file } }, ...container };
      return { environment: { python: { requirementsFile: answer.file } }, ...container };
  }
}

/** In a few words: "digits:2", "requirements.txt", "image python:3.12-slim"; empty for the host's own. */
export function environmentPhrase({ environment, docker }: RunConfiguration): string {
  const section = environment?.docker;
  const image = docker?.baseImage ?? section?.baseImage;
  const dockerfile = docker?.baseDockerfile ?? section?.baseDockerfile;
  const container = docker?.useDocker ?? docker?.enabled ?? section?.useDocker ?? section?.enabled ?? false;
  if (environment?.name && !image && !dockerfile)
    return environment.version ? `${environment.name}:${environment.version}` : environment.name;
  if (container && dockerfile && !dockerfile.includes('\n')) return dockerfile;
  if (container) return image ?? 'Docker';
  const python = environment?.python;
  return python?.condaDependenciesFile ?? python?.requirementsFile ?? python?.baseCondaEnvironment ?? '';
}

function isCondaFile(file: string): boolean {
  return /\.ya?ml$/i.test(file);
}

function sorted(answer: EnvironmentAnswer): [string, unknown][] {
  return Object.entries(answer).sort(([a], [b]) => (a < b ? -1 : 1));
}
