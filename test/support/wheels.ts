import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { repository } from './home.ts';

/** A Python with `venv`; the one on the path may be anything. */
export const systemPython = '/usr/bin/python3';

/** Makes tiny wheels in a folder: tests have no package index. `requires` as in a wheel's metadata. */
export function makeWheel(folder: string, name: string, version: string, requires: string[] = []): void {
  const script = 'import sys, json; import wheels; wheels.make(*json.loads(sys.argv[1]))';
  const args = JSON.stringify([folder, name, version, requires]);
  execFileSync('python3', ['-c', script, args], {
    env: { ...process.env, PYTHONPATH: path.join(repository, 'python/tests'), PYTHONDONTWRITEBYTECODE: '1' },
  });
}
