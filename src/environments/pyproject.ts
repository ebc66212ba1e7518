import { parse } from 'smol-toml';
import { RunyardError } from '../api/errors.ts';

/** What a pyproject.toml asks for. */
export interface PyProject {
  /** Lines as in requirements.txt. */
  requirements: string[];
  warnings: string[];
}

/** Reads `[project] dependencies` (PEP 621). Throws `bad_request` where there are none to be read. */
export function readPyProject(text: string, file: string): PyProject {
  let document: Record<string, unknown>;
  try {
    document = parse(text);
  } catch (cause) {
    throw wrong(`${file}: ${(cause as Error).message.split('\n')[0]}`);
  }
  const project = document['project'] as Record<string, unknown> | undefined;
  if (!project || typeof project !== 'object') {
    const tool = document['tool'] as Record<string, unknown> | undefined;
    if (tool?.['poetry']) {
      throw wrong(
        `${file}: its dependencies are in Poetry's own table.`,
        'Write them with "poetry export -o requirements.txt", and use that file.',
      );
    }
    throw wrong(`${file}: there is no [project] table with dependencies.`, 'Use a requirements.txt.');
  }
  const warnings: string[] = [];
  const dynamic = project['dynamic'];
  if (Array.isArray(dynamic) && dynamic.includes('dependencies')) {
    throw wrong(
      `${file}: its dependencies are dynamic: only its build knows them.`,
      'Use a requirements.txt.',
    );
  }
  const dependencies = project['dependencies'] ?? [];
  if (!Array.isArray(dependencies) || !dependencies.every((one) => typeof one === 'string')) {
    throw wrong(`${file}: "dependencies" is a list of texts.`);
  }
  const groups = project['optional-dependencies'];
  if (groups && typeof groups === 'object' && Object.keys(groups).length > 0) {
    warnings.push(`${file}: optional dependencies (${Object.keys(groups).join(', ')}) are not installed.`);
  }
  return { requirements: dependencies, warnings };
}

function wrong(message: string, action = 'Correct the file.'): RunyardError {
  return new RunyardError('bad_request', message, { action });
}
