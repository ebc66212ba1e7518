// Bundles the extension, the server (with its writer thread), the command line and the webviews, and
// packs the Python agent. `--watch` rebuilds on change.
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { copyFile, mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ZipArchive } from 'archiver';
import esbuild from 'esbuild';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const watch = process.argv.includes('--watch');
/** A build is put together beside dist/ and takes its place at the end: what runs from dist/ is never half there. */
const dist = path.join(root, watch ? 'dist' : `dist.${process.pid}`);
const manifest = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));

/** Gives bundled CommonJS dependencies what a CommonJS module has, in an ES module. */
const requireBanner =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); " +
  'const __filename = import.meta.filename; const __dirname = import.meta.dirname;';

/** A bundle runs on every machine: ssh2 and its helper go on without what was compiled for this one. */
const withoutNativeModules = {
  name: 'without-native-modules',
  setup: (build) =>
    build.onLoad({ filter: /\.node$/ }, () => ({
      contents: "throw new Error('there is no native module');",
    })),
};

const common = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  keepNames: true,
  sourcemap: 'linked',
  sourcesContent: false,
  legalComments: 'none',
  logLevel: 'warning',
  define: { 'process.env.RUNYARD_BUILD_VERSION': JSON.stringify(manifest.version) },
};

const node = {
  ...common,
  plugins: [withoutNativeModules],
  platform: 'node',
  target: 'node20',
  format: 'esm',
  banner: { js: requireBanner },
};

const bundles = [
  {
    ...common,
    platform: 'node',
    target: 'node22',
    format: 'cjs',
    external: ['vscode'],
    entryPoints: { extension: 'src/extension/main.ts' },
    outdir: dist,
    outExtension: { '.js': '.cjs' },
  },
  {
    ...node,
    entryPoints: {
      server: 'src/server/main.ts',
      writer: 'src/server/writer-thread.ts',
      snapshot: 'src/server/snapshot-thread.ts',
    },
    outdir: dist,
    outExtension: { '.js': '.mjs' },
  },
  {
    ...node,
    entryPoints: { cli: 'src/cli/main.ts' },
    outdir: dist,
    outExtension: { '.js': '.mjs' },
    banner: { js: '#!/usr/bin/env node\n' + requireBanner },
  },
  {
    ...common,
    platform: 'browser',
    target: 'es2022',
    format: 'esm',
    entryPoints: { run: 'webview/run/main.ts' },
    outdir: path.join(dist, 'webview'),
  },
];

/** Every file under `dir` that belongs into the agent, sorted, as paths relative to `dir`. */
async function pythonFiles(dir) {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return (
    entries
      .filter((e) => e.isFile() && e.name.endsWith('.py'))
      .map((e) => path.relative(dir, path.join(e.parentPath, e.name)))
      // What starts the agent is sent by itself.
      .filter((name) => !name.split(path.sep).includes('tests') && name !== 'bootstrap.py')
      .sort()
  );
}

/** dist/agent.pyz: a zipapp of python/, the same bytes for the same sources. */
async function packAgent() {
  const source = path.join(root, 'python');
  const target = path.join(dist, 'agent.pyz');
  const zip = new ZipArchive({ zlib: { level: 9 } });
  const out = createWriteStream(target);
  out.write('#!/usr/bin/env python3\n');
  const done = new Promise((resolve, reject) => out.on('close', resolve).on('error', reject));
  zip.pipe(out);
  for (const name of await pythonFiles(source)) {
    zip.append(await readFile(path.join(source, name)), {
      name: name.split(path.sep).join('/'),
      date: new Date('2020-01-01T00:00:00Z'),
      mode: 0o644,
    });
  }
  await zip.finalize();
  await done;
  await copyFile(path.join(source, 'bootstrap.py'), path.join(dist, 'bootstrap.py'));
}

/** One hash over all that a server is made of: two builds with the same hash are the same server. */
async function writeBuildInfo() {
  const hash = createHash('sha256');
  for (const name of ['server.mjs', 'writer.mjs', 'snapshot.mjs', 'agent.pyz', 'bootstrap.py']) {
    hash.update(await readFile(path.join(dist, name)));
  }
  const info = { version: manifest.version, builtAt: Date.now(), hash: hash.digest('hex').slice(0, 16) };
  await writeFile(path.join(dist, 'build.json'), JSON.stringify(info) + '\n');
}

const finish = {
  name: 'pack-agent',
  setup: (build) =>
    build.onEnd(async () => {
      await packAgent();
      await writeBuildInfo();
    }),
};

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
if (watch) {
  await Promise.all(bundles.map((b) => esbuild.build(b)));
  for (const bundle of bundles)
    await (await esbuild.context({ ...bundle, plugins: [...(bundle.plugins ?? []), finish] })).watch();
  console.log('watching');
} else {
  try {
    await Promise.all(bundles.map((b) => esbuild.build(b)));
    await packAgent();
    await writeBuildInfo();
    const final = path.join(root, 'dist');
    const old = path.join(root, `dist.old.${process.pid}`);
    await rename(final, old).catch(() => undefined);
    await rename(dist, final);
    await rm(old, { recursive: true, force: true });
  } finally {
    await rm(dist, { recursive: true, force: true });
  }
}
