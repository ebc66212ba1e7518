import { parseDocument, stringify, visit } from 'yaml';
import { condaSpecificationSchema, type CondaSpecification } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import {
  constraintMark,
  constraintsOf,
  readRequirements,
  refuseSecrets,
  type ReadText,
} from './requirements.ts';

/** A conda file as read. */
export interface CondaFile {
  specification: CondaSpecification;
  /** Variables that the file sets (`variables:`). */
  variables: Record<string, string>;
  /** Paths that pip lines name. */
  paths: string[];
  warnings: string[];
}

/**
 * Reads an environment.yml or conda_dependencies.yml (conda's own format; Azure ML v1 writes the same). Throws
 * `bad_request` with the file's name, for a file that refers to itself as well.
 */
export async function readConda(text: string, file: string, read: ReadText): Promise<CondaFile> {
  const document = parseDocument(text, { prettyErrors: true });
  const syntax = document.errors[0];
  if (syntax) {
    const said = syntax.message
      .split('\n')[0]!
      .replace(/^Maximum call stack size exceeded/, 'nested too deeply');
    throw wrong(`${file}: ${said}`);
  }
  // A specification needs no anchors, and one inside of itself never ends.
  visit(document, {
    Alias: (_, alias) => {
      throw wrong(
        `${file}: refers to "*${alias.source}"; a conda file that refers to itself cannot be resolved.`,
      );
    },
  });
  return fromObject(document.toJS({ maxAliasCount: 0 }), file, read);
}

/** The same from what was parsed already (`condaDependencies` of a run configuration). */
export async function fromObject(value: unknown, file: string, read: ReadText): Promise<CondaFile> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong(`${file}: a conda file is a mapping with "dependencies".`);
  }
  const warnings: string[] = [];
  const found: CondaFile = {
    specification: condaSpecificationSchema.parse({}),
    variables: {},
    paths: [],
    warnings,
  };
  for (const [key, member] of Object.entries(value)) {
    if (key === 'channels') found.specification.channels = strings(member ?? [], `${file}: channels`);
    else if (key === 'dependencies') await readDependencies(member, file, read, found);
    else if (key === 'variables') found.variables = variablesOf(member ?? {}, file);
    else if (key !== 'name' && key !== 'prefix') {
      warnings.push(`${file}: the key "${key}" is not known and has no effect.`);
    }
  }
  const { channels, conda } = found.specification;
  for (const one of [...channels, ...conda]) refuseSecrets(one, file);
  return found;
}

async function readDependencies(
  value: unknown,
  file: string,
  read: ReadText,
  into: CondaFile,
): Promise<void> {
  if (value === null || value === undefined) return;
  if (!Array.isArray(value)) throw wrong(`${file}: "dependencies" is a list.`);
  const pip: string[] = [];
  for (const one of value as unknown[]) {
    if (typeof one === 'string' && one.trim()) {
      if (!/^[\w.:/-]+(\[[^\]]*\])?\s*([=<>!~ ].*)?$/.test(one.trim()))
        throw wrong(`${file}: "${one}" is no conda dependency.`);
      into.specification.conda.push(one.trim());
    } else if (typeof one === 'object' && one !== null && Object.keys(one).join() === 'pip') {
      pip.push(...strings((one as { pip: unknown }).pip ?? [], `${file}: pip`));
    } else {
      throw wrong(`${file}: "${JSON.stringify(one)}" is no dependency.`);
    }
  }
  if (pip.length === 0) return;
  const { text, paths } = await readRequirements(file, async (name) =>
    name === file ? pip.join('\n') : read(name),
  );
  into.specification.pip = text.split('\n').filter(Boolean);
  // Written or not, pip is there when it has something to do.
  into.specification.conda = into.specification.conda.filter((one) => one !== 'pip');
  into.paths = paths;
}

/** The files of a recipe. Whoever installs the pip packages takes constraints from a file beside it. */
export function condaFiles(specification: CondaSpecification): Record<string, string> {
  const constraints = constraintsOf(specification.pip.map((line) => `${line}\n`).join(''));
  if (constraints === null) return { 'environment.yml': formatConda(specification) };
  const pip = specification.pip.filter((line) => !line.startsWith(constraintMark));
  return {
    'environment.yml': formatConda({ ...specification, pip: ['-c constraints.txt', ...pip] }),
    'constraints.txt': constraints,
  };
}

/** As a file: for mamba, micromamba and conda, and for Azure's `conda_dependencies.yml`. */
export function formatConda(specification: CondaSpecification, name?: string): string {
  const { channels, conda, pip } = specification;
  const needsPip = pip.length > 0 && !conda.some((one) => condaName(one) === 'pip');
  return stringify(
    {
      ...(name === undefined ? {} : { name }),
      ...(channels.length > 0 ? { channels } : {}),
      dependencies: [...conda, ...(needsPip ? ['pip'] : []), ...(pip.length > 0 ? [{ pip }] : [])],
    },
    { lineWidth: 0 },
  );
}

/** Whether a venv does as well: nothing but Python itself and packages of pip. */
export function pipOnly({ conda }: CondaSpecification): boolean {
  return conda.every((one) => ['python', 'pip', 'setuptools', 'wheel'].includes(condaName(one)));
}

/** The wanted version of Python, as `3` or `3.11`; undefined where any will do. */
export function pythonVersionOf({ conda }: CondaSpecification): string | undefined {
  const python = conda.find((one) => condaName(one) === 'python');
  return python && /^[^=<>~]*[=~]=?\s*(\d+(?:\.\d+)?)/.exec(python)?.[1];
}

export function condaName(dependency: string): string {
  return /^(?:[^:\s]+::)?([\w.-]+)/.exec(dependency)?.[1]?.toLowerCase() ?? dependency;
}

/** `numpy=1.24.1` and `numpy==1.24.1`; a version of two numbers means any of them. Python itself is no package. */
export function isCondaPinned(dependency: string): boolean {
  if (['python', 'pip'].includes(condaName(dependency))) return true;
  return /={1,2}\s*\d+\.\d+(\.\d+)+(=\S+)?$/.test(dependency) || /==\s*\d[^*]*$/.test(dependency);
}

function strings(value: unknown, what: string): string[] {
  if (Array.isArray(value) && value.every((one) => typeof one === 'string' || typeof one === 'number')) {
    return value.map(String);
  }
  throw wrong(`${what} is a list of texts.`);
}

function variablesOf(value: unknown, file: string): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(`${file}: "variables" is a mapping.`);
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      if (!['string', 'number', 'boolean'].includes(typeof one))
        throw wrong(`${file}: the variable ${name} has no text as its value.`);
      return [name, String(one)];
    }),
  );
}

function wrong(message: string): RunyardError {
  return new RunyardError('bad_request', message, { action: 'Correct the conda file.' });
}
