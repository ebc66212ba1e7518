import type { EnvironmentComparison, RunEnvironment } from '../api/environment.ts';
import { normalName } from './requirements.ts';

/** How two runs' environments differ: by what was found installed, not by what was asked for. */
export function compareEnvironments(left: RunEnvironment, right: RunEnvironment): EnvironmentComparison {
  const a = packagesOf(left);
  const b = packagesOf(right);
  const names = [...new Set([...a.keys(), ...b.keys()])].sort();
  const packages = names
    .map((name) => ({ name, left: a.get(name) ?? null, right: b.get(name) ?? null }))
    .filter((one) => one.left !== one.right);
  const without = [left, right].filter((one) => !one.facts?.packages);
  const problem =
    without.length === 0
      ? null
      : without.length === 2
        ? 'Neither of the runs has a list of its packages.'
        : `One of the runs has no list of its packages (${without[0]!.label}).`;
  return {
    // A side without a list would make all of the other's packages a difference.
    packages: problem === null ? packages : [],
    same: problem === null ? names.length - packages.length : 0,
    facts: factsOf(left, right),
    problem,
  };
}

function packagesOf({ facts }: RunEnvironment): Map<string, string> {
  return new Map((facts?.packages ?? []).map(({ name, version }) => [normalName(name), version]));
}

function factsOf(left: RunEnvironment, right: RunEnvironment): EnvironmentComparison['facts'] {
  const rows: EnvironmentComparison['facts'] = [];
  const add = (name: string, a: string | null | undefined, b: string | null | undefined) => {
    if ((a ?? null) !== (b ?? null)) rows.push({ name, left: a ?? null, right: b ?? null });
  };
  add('Environment', left.label, right.label);
  add('Python', left.facts?.python, right.facts?.python);
  // A build's interpreter and image have its key in their names: they always differ, and say nothing.
  if (![left, right].some(({ facts }) => facts?.key)) {
    add('Interpreter', left.facts?.interpreter, right.facts?.interpreter);
    add('Image', left.facts?.image, right.facts?.image);
  }
  add('Image id', left.facts?.image_id, right.facts?.image_id);
  const variables = new Set(
    [left, right].flatMap(({ definition }) => Object.keys(definition?.variables ?? {})),
  );
  for (const name of [...variables].sort())
    add(`Variable ${name}`, left.definition?.variables[name], right.definition?.variables[name]);
  return rows;
}
