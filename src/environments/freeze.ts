import type { EnvironmentDefinition, EnvironmentFacts } from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import { condaName } from './conda.ts';
import { kindOf } from './definition.ts';
import { isPinned, normalName, requirementName } from './requirements.ts';

/** What pip itself and an interpreter bring along; pinning them would make a build upgrade its own tools. */
const tools = new Set(['pip', 'setuptools', 'wheel', 'pkg-resources', 'distribute']);

/** A pinned copy, and what a person should know of it. */
export interface Frozen {
  definition: EnvironmentDefinition;
  warnings: string[];
}

/**
 * The same environment with every package at the version that was found installed, those too that nobody asked for.
 * Throws `conflict` where no packages are known or nothing can be pinned.
 */
export function freeze(
  definition: EnvironmentDefinition,
  facts: EnvironmentFacts | null,
  label: string,
): Frozen {
  const packages = facts?.packages;
  if (!packages) {
    throw new RunyardError('conflict', `What is installed in ${label} is not known yet.`, {
      action: 'Run something in it first, and wait for the end of that run.',
    });
  }
  const warnings: string[] = [];
  const kind = kindOf(definition);
  if (kind === 'conda-environment' || kind === 'system' || kind === 'interpreter') {
    const pinned = packages.filter(({ source, name }) => source === 'pip' && !tools.has(normalName(name)));
    return { definition: { ...definition, condaEnvironment: null, requirements: lines(pinned) }, warnings };
  }
  const image = definition.image === null ? null : (facts.image_digest ?? definition.image);
  if (image !== null && image === definition.image && !image.includes('@')) {
    warnings.push(`The image ${image} is not pinned: it comes from no registry, so it has no digest.`);
  }
  if (definition.dockerfile !== null) {
    warnings.push(
      'Steps of the Dockerfile are not pinned: what they install can be another version in the next build.',
    );
  }
  if (definition.condaSpecification) {
    const conda = packages.filter(({ source }) => source === 'conda');
    const pip = packages.filter(({ source, name }) => source !== 'conda' && !tools.has(normalName(name)));
    const python = facts.python;
    const names =
      conda.length > 0
        ? conda.map(({ name, version }) => `${name}=${version}`)
        : definition.condaSpecification.conda.map((one) =>
            condaName(one) === 'python' && python ? `python=${python}` : one,
          );
    return {
      definition: {
        ...definition,
        image,
        condaSpecification: {
          ...definition.condaSpecification,
          conda: names.sort(),
          pip: pinnedLines(pip, []),
        },
      },
      warnings,
    };
  }
  if (definition.requirements === null) return { definition: { ...definition, image }, warnings };
  const asked = definition.requirements.split('\n').filter(Boolean);
  const pinned = packages.filter(({ name }) => !tools.has(normalName(name)));
  // Of an image everything would be installed again: only what was asked for, and what it needs, is not known apart.
  const wanted = definition.image === null ? pinned : pinned.filter(({ name }) => isAsked(name, asked));
  if (definition.image !== null && wanted.length < pinned.length)
    warnings.push('Packages that the image itself brings are pinned by the image only.');
  return {
    definition: {
      ...definition,
      image,
      requirements: pinnedLines(wanted, asked)
        .map((line) => `${line}\n`)
        .join(''),
    },
    warnings,
  };
}

function isAsked(name: string, asked: readonly string[]): boolean {
  return asked.some((line) => requirementName(line) === normalName(name));
}

/** Options stay (where packages come from), and lines that name a file; all others become `name==version`. */
function pinnedLines(
  packages: readonly { name: string; version: string }[],
  asked: readonly string[],
): string[] {
  // Addresses stay, since no index need have what they lead to; so do hashes.
  const kept = asked.filter(
    (line) =>
      requirementName(line) === undefined ||
      /^\.\/|\s@\s/.test(line) ||
      (/\s--hash=/.test(line) && isPinned(line)),
  );
  const files = new Set(kept.map(requirementName));
  const pins = packages
    .filter(({ name }) => !files.has(normalName(name)))
    .map(({ name, version }) => `${name}==${version}`);
  return [...kept.filter((line) => !line.startsWith('#:constraint')), ...pins.sort()];
}

function lines(packages: readonly { name: string; version: string }[]): string {
  return pinnedLines(packages, [])
    .map((line) => `${line}\n`)
    .join('');
}
