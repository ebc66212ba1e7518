import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { component } from '../../../scripts/system-packages.mjs';
import { withLock } from '../lock.ts';
import { repository, run } from '../processes.ts';

const cache = process.env['RUNYARD_TEST_CACHE'] ?? path.join(repository, '.vscode-test');
/** Counts up when the image is to be made anew. */
const recipe = 1;

/** What tests call the image: Debian with Python, pip and venv, and nothing else. */
export const testImage = process.env['RUNYARD_TEST_IMAGE'] ?? 'runyard-test/debian-python:12';

/** The file system of the test image as a tar, made once a machine (about a minute) without any registry. */
export async function testImageTar(): Promise<string> {
  const folder = path.join(cache, 'docker');
  const file = path.join(folder, `debian-python-${recipe}.tar`);
  if (existsSync(file)) return file;
  await mkdir(folder, { recursive: true });
  return withLock(path.join(folder, 'lock'), async () => {
    if (existsSync(file)) return file;
    const work = await mkdtemp(path.join(os.tmpdir(), 'ry-image-'));
    try {
      const root = path.join(work, 'root');
      const include = '--include=python3,python3-pip,python3-venv';
      await run(component('debootstrap').path, ['--variant=minbase', include, 'bookworm', root, ...mirror()]);
      const exclude = [
        './var/cache',
        './var/lib/apt/lists',
        './usr/share/doc',
        './usr/share/locale',
        './dev',
      ];
      const left = exclude.map((name) => `--exclude=${name}/*`);
      await run('tar', ['-C', root, ...left, '-cf', path.join(work, 'image.tar'), '.']);
      await run('cp', [path.join(work, 'image.tar'), `${file}.part`]);
      await rename(`${file}.part`, file);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return file;
  });
}

/** The mirror that this machine's own packages come from, where it says one. */
function mirror(): string[] {
  const folder = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(folder) ? readdirSync(folder).map((name) => path.join(folder, name)) : []),
  ].filter(existsSync);
  const text = files.map((file) => readFileSync(file, 'utf8')).join('\n');
  const found = /^URIs:\s*(\S+)/m.exec(text)?.[1] ?? /^deb\s+(?:\[[^\]]*\]\s*)?(\S+)/m.exec(text)?.[1];
  // Ubuntu's mirrors have no Debian; debootstrap knows one itself.
  return found && !found.includes('ubuntu') ? [found] : [];
}
