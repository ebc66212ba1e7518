import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { listByGit } from '../../src/snapshot/git-listing.ts';
import { listFolder } from '../../src/snapshot/list-folder.ts';
import { listByWalk } from '../../src/snapshot/walk.ts';

// The taken set against git itself, on generated trees. RUNYARD_PROPERTY_RUNS=5000 takes a while longer.
const runs = Number(process.env['RUNYARD_PROPERTY_RUNS'] ?? 120);
const seed = process.env['RUNYARD_PROPERTY_SEED'];
const parameters = { numRuns: runs, ...(seed ? { seed: Number(seed) } : {}) };

let base: string;
let template: string;

before(() => {
  base = mkdtempSync(path.join(os.tmpdir(), 'ry-l-'));
  template = path.join(base, 'template');
  mkdirSync(template);
  git(template, 'init', '-q', '-b', 'main');
});
after(() => rmSync(base, { recursive: true, force: true }));

/** Git without anything of the machine's own settings. */
function git(cwd: string, ...args: string[]): string {
  return execFileSync('git', args, {
    cwd,
    encoding: 'latin1',
    env: {
      ...process.env,
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@example.com',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@example.com',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
  });
}

const names = fc.constantFrom(
  'a',
  'b',
  'c',
  'ab',
  'a.py',
  'b.log',
  'x y',
  'é',
  'A',
  '[x]',
  '#h',
  '!n',
  'build',
  '.hidden',
  'a\\b',
  'tail ',
);
const paths = fc.array(names, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
const glob = fc.constantFrom(
  '*',
  '?',
  '**',
  '[ab]',
  '[!a]',
  '[a-c]',
  '\\*',
  '[[:alpha:]]',
  'a*',
  '*.py',
  '*.log',
  'b?',
  '[]x]',
);
const piece = fc.oneof({ weight: 3, arbitrary: names }, { weight: 2, arbitrary: glob });
const pattern = fc
  .record({
    negated: fc.boolean(),
    anchored: fc.boolean(),
    parts: fc.array(piece, { minLength: 1, maxLength: 3 }),
    folder: fc.boolean(),
    tail: fc.constantFrom('', '', '', ' ', '\\ ', '\r', '\t'),
  })
  .map(({ negated, anchored, parts, folder, tail }) => {
    return `${negated ? '!' : ''}${anchored ? '/' : ''}${parts.join('/')}${folder ? '/' : ''}${tail}`;
  });
const line = fc.oneof(
  { weight: 12, arbitrary: pattern },
  fc.constantFrom(
    '',
    '# a comment',
    '\\#h',
    '\\!n',
    '!',
    '/',
    '**/',
    '/**',
    'a/**/b',
    '**/a',
    'b/**',
    'a\\',
    '!*/',
    '*',
  ),
);
const ignoreFile = fc.array(line, { minLength: 1, maxLength: 5 }).map((lines) => lines.join('\n'));

interface Tree {
  files: string[];
  folders: string[];
  links: string[];
  ignores: [folder: string, text: string][];
  exclude: string;
  tracked: string[];
}
const tree: fc.Arbitrary<Tree> = fc.record({
  files: fc.array(paths, { maxLength: 14 }),
  folders: fc.array(paths, { maxLength: 4 }),
  links: fc.array(paths, { maxLength: 2 }),
  ignores: fc.array(fc.tuple(fc.oneof(fc.constant(''), paths), ignoreFile), { maxLength: 4 }),
  exclude: fc.oneof(fc.constant(''), ignoreFile),
  tracked: fc.array(paths, { maxLength: 3 }),
});

let made = 0;

/** Writes what of a tree can be there together: a path that is below a file is skipped. */
function makeTree({ files, folders, links, ignores, exclude, tracked }: Tree): string {
  const root = path.join(base, `t${made++}`);
  cpSync(template, root, { recursive: true });
  const attempt = (work: () => void) => {
    try {
      work();
    } catch (error) {
      if (!['ENOTDIR', 'EEXIST', 'EISDIR', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? ''))
        throw error;
    }
  };
  const write = (name: string, text: string) =>
    attempt(() => {
      mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      writeFileSync(path.join(root, name), text);
    });
  for (const name of [...files, ...tracked]) write(name, name);
  for (const name of folders) attempt(() => mkdirSync(path.join(root, name), { recursive: true }));
  for (const name of links)
    attempt(() => {
      mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
      symlinkSync('somewhere', path.join(root, name));
    });
  for (const [folder, text] of ignores) write(folder ? `${folder}/.gitignore` : '.gitignore', text);
  mkdirSync(path.join(root, '.git/info'), { recursive: true });
  writeFileSync(path.join(root, '.git/info/exclude'), exclude);
  return root;
}

function track(root: string, tracked: readonly string[]): void {
  const there = tracked.filter((name) => statsOf(path.join(root, name))?.isFile());
  // As `:(literal)`: names may look like patterns.
  if (there.length > 0) git(root, 'add', '-f', '--', ...there.map((name) => `:(literal)${name}`));
}

const binary = (name: string) => Buffer.from(name).toString('latin1');

/** What git lists, as a plain sorted set of paths that are there. */
function gitSays(root: string): string[] {
  const listed = git(root, 'ls-files', '-z', '-co', '--exclude-standard').split('\0').filter(Boolean);
  return [...new Set(listed)].filter((name) => existsAt(root, name)).sort();
}

function existsAt(root: string, name: string): boolean {
  return !!statsOf(Buffer.from(`${binary(root)}/${name}`, 'latin1'));
}

function statsOf(file: string | Buffer) {
  try {
    return lstatSync(file);
  } catch {
    return undefined;
  }
}

/** Folders without a single file below, the deepest, that git does not ignore: asked one by one. */
function emptyFolders(root: string): string[] {
  const found: string[] = [];
  const visit = (folder: string): void => {
    const absolute = Buffer.from(folder ? `${binary(root)}/${folder}` : binary(root), 'latin1');
    const entries = readdirSync(absolute, { withFileTypes: true, encoding: 'latin1' });
    if (entries.length === 0 && folder) found.push(folder);
    for (const entry of entries) {
      if (entry.isDirectory() && entry.name !== '.git')
        visit(folder ? `${folder}/${entry.name}` : entry.name);
    }
  };
  visit('');
  return found
    .filter((folder) => {
      try {
        execFileSync('git', ['check-ignore', '--no-index', '-q', '-z', '--stdin'], {
          cwd: root,
          input: Buffer.from(`${folder}\0`, 'latin1'),
          env: { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' },
        });
        return false;
      } catch {
        return true;
      }
    })
    .sort();
}

test('in a work tree the taken set is what git lists, and the empty folders it does not ignore', async () => {
  await fc.assert(
    fc.asyncProperty(tree, async (what) => {
      const root = makeTree(what);
      try {
        track(root, what.tracked);
        const listing = await listByGit(binary(root), '/nowhere');
        assert.ok(listing && !('refused' in listing), JSON.stringify(listing));
        assert.deepEqual(
          listing.names.filter((name) => existsAt(root, name)),
          gitSays(root),
        );
        assert.deepEqual(listing.emptyFolders, emptyFolders(root));
      } finally {
        rmSync(root, { recursive: true });
      }
    }),
    parameters,
  );
});

test('the walk agrees with git where nothing is tracked', async () => {
  await fc.assert(
    fc.asyncProperty(tree, async (what) => {
      const root = makeTree(what);
      try {
        const walked = listByWalk(binary(root), '/nowhere');
        assert.deepEqual(walked.names, gitSays(root));
        assert.deepEqual(walked.emptyFolders, emptyFolders(root));
      } finally {
        rmSync(root, { recursive: true });
      }
    }),
    parameters,
  );
});

test('a folder below the root: both agree with git asked there, and an ignored folder is taken for itself', async () => {
  await fc.assert(
    fc.asyncProperty(tree, async (what) => {
      const root = makeTree({ ...what, files: [...what.files, 'a/b/c', 'a/b/ab/a.py'] });
      try {
        const folder = path.join(root, 'a/b');
        if (!statsOf(folder)?.isDirectory()) return;
        const walked = listByWalk(binary(folder), '/nowhere').names;
        assert.deepEqual((await listFolder(binary(folder), '/nowhere')).names, walked);
        if (isIgnored(root, ['a', 'a/b'])) return;
        assert.deepEqual(walked, gitSays(folder));
      } finally {
        rmSync(root, { recursive: true });
      }
    }),
    parameters,
  );
});

function isIgnored(root: string, folders: string[]): boolean {
  return folders.some((folder) => {
    try {
      git(root, 'check-ignore', '-q', '--no-index', folder);
      return true;
    } catch {
      return false;
    }
  });
}
