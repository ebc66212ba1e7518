// dist/runyard.vsix out of what `npm run build` made; too large a one is an error.
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const limit = 3_000_000;
const target = path.join(root, 'dist/runyard.vsix');
// The finished file appears at once, never half written.
const draft = path.join(root, `dist/.runyard-${process.pid}.vsix`);

function fail(text) {
  console.error(text);
  rmSync(draft, { force: true });
  process.exit(1);
}

if (!existsSync(path.join(root, 'dist/build.json')))
  fail('There is no build in dist/: run "npm run build" first.');
const vsce = path.join(root, 'node_modules/@vscode/vsce/vsce');
const args = ['package', '--no-dependencies', '--allow-missing-repository', '--no-rewrite-relative-links'];
const { status } = spawnSync(process.execPath, [vsce, ...args, '--out', draft], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
  env: { ...process.env, NODE_NO_WARNINGS: '1' },
});
if (status !== 0) fail(`vsce package ended with ${status}.`);
const { size } = statSync(draft);
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
if (size > limit) fail(`The VSIX has ${megabytes(size)}, more than the ${megabytes(limit)} it may have.`);
renameSync(draft, target);
console.log(`dist/runyard.vsix: ${megabytes(size)} of at most ${megabytes(limit)}`);
