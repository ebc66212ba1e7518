import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { repository } from '../rig/processes.ts';

/** Writes tiny wheels into a folder, as there is no package index: names with versions. */
export function makeWheels(folder: string, packages: Record<string, string>): void {
  const script = `
import json, sys
sys.path.insert(0, sys.argv[1])
import wheels
for name, version in json.loads(sys.argv[3]).items(): wheels.make(sys.argv[2], name, version)
`;
  const tests = path.join(repository, 'python/tests');
  execFileSync('python3', ['-B', '-c', script, tests, folder, JSON.stringify(packages)]);
}
