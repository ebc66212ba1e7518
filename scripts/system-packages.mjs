// What the suites need from the system: finds it, and as root on Debian or Ubuntu installs what is missing.
//   node scripts/system-packages.mjs [suite...]     all suites where none is named
import { spawnSync } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** @returns {string | undefined} the absolute path of a program on the PATH */
export function which(program) {
  for (const dir of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(dir, program);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      continue;
    }
  }
  return undefined;
}

function output(program, args) {
  const result = spawnSync(program, args, { encoding: 'utf8', timeout: 60_000 });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/** Browsers that playwright has downloaded, the newest first. */
function playwrightBrowsers() {
  const folders = [
    process.env.PLAYWRIGHT_BROWSERS_PATH,
    path.join(homedir(), '.cache/ms-playwright'),
    path.join(homedir(), 'Library/Caches/ms-playwright'),
  ];
  const inside = [
    'chrome-linux/chrome',
    'chrome-linux64/chrome',
    'chrome-mac/Chromium.app/Contents/MacOS/Chromium',
    'chrome-mac-arm64/Google Chrome for Testing.app/Contents/MacOS/Google Chrome for Testing',
  ];
  return folders
    .filter((folder) => folder && existsSync(folder))
    .flatMap((folder) =>
      readdirSync(folder)
        .filter((name) => /^chromium-\d+$/.test(name))
        .sort((a, b) => Number(b.split('-')[1]) - Number(a.split('-')[1]))
        .flatMap((name) => inside.map((file) => path.join(folder, name, file))),
    )
    .filter((file) => existsSync(file));
}

/** Ubuntu's `chromium` only starts a snap, whose own confinement hides the folders of a test. */
function isSnap(file) {
  if (realpathSync(file).startsWith('/snap') || realpathSync(file) === '/usr/bin/snap') return true;
  const head = readFileSync(file).subarray(0, 4096).toString('latin1');
  return head.startsWith('#!') && head.includes('/snap/bin/');
}

function findChromium() {
  const candidates = [
    process.env.RUNYARD_CHROMIUM,
    ...['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'].map(which),
    ...playwrightBrowsers(),
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
  ];
  return candidates.find((file) => file && existsSync(file) && !isSnap(file));
}

function findPython() {
  const test = 'import sys; sys.exit(sys.version_info < (3, 6))';
  return [which('python3'), '/usr/bin/python3'].find(
    (file) => file && output(file, ['-c', test]) !== undefined,
  );
}

/** Programs of administrators are often not on a user's PATH. */
function findAdmin(program) {
  return which(program) ?? [`/usr/sbin/${program}`, `/sbin/${program}`].find(existsSync);
}

/** Whether the system's Python has modules, without the seconds that an import of them takes. */
function hasModules(names) {
  const test = `import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, ${JSON.stringify(names)})))`;
  return output('/usr/bin/python3', ['-c', test]) === undefined ? undefined : '/usr/bin/python3';
}

function hasFont(dir) {
  if (!existsSync(dir)) return undefined;
  const fonts = readdirSync(dir, { recursive: true, encoding: 'utf8' });
  return fonts.some((name) => /\.(ttf|otf|ttc)$/i.test(name)) ? dir : undefined;
}

/**
 * One row for each thing: how it is found, the Debian packages that bring it, the suites that need it. An
 * `optional` one makes a suite better but its absence stops nothing.
 */
export const needs = {
  git: { find: () => which('git'), packages: ['git'], suites: ['unit', 'contract', 'host', 'browser'] },
  python3: {
    find: findPython,
    packages: ['python3'],
    suites: ['unit', 'python', 'contract', 'host', 'browser'],
  },
  chromium: {
    find: findChromium,
    packages: ['chromium'],
    suites: ['host', 'browser', 'start'],
    // Ubuntu's package is the snap; playwright brings a Chromium of its own.
    otherwise: [
      process.execPath,
      'node_modules/playwright-core/cli.js',
      'install',
      '--with-deps',
      'chromium',
    ],
  },
  // The hosts of test/rig/ssh-hosts.ts. Their absence skips the tests that need hosts, not the whole suite; with
  // CI=true those tests fail.
  sshd: {
    find: () => findAdmin('sshd'),
    packages: ['openssh-server'],
    suites: ['contract'],
    optional: true,
  },
  ssh: { find: () => which('ssh'), packages: ['openssh-client'], suites: ['contract'], optional: true },
  iproute2: { find: () => findAdmin('ip'), packages: ['iproute2'], suites: ['contract'], optional: true },
  shells: {
    find: () => ['fish', 'tcsh', 'zsh'].map(which).find((file, _, all) => file && all.every(Boolean)),
    packages: ['fish', 'tcsh', 'zsh'],
    suites: ['contract'],
    optional: true,
  },
  // The engines of test/rig/docker, likewise.
  dockerd: {
    find: () => findAdmin('dockerd'),
    packages: ['docker.io'],
    suites: ['contract', 'python', 'browser'],
    optional: true,
  },
  docker: {
    find: () => which('docker'),
    packages: ['docker.io'],
    suites: ['contract', 'python', 'browser'],
    optional: true,
  },
  debootstrap: {
    find: () => findAdmin('debootstrap'),
    packages: ['debootstrap'],
    suites: ['contract', 'python', 'browser'],
    optional: true,
  },
  registry: {
    find: () => which('docker-registry'),
    packages: ['docker-registry'],
    suites: ['contract'],
    optional: true,
  },
  // Of runs in images on those clusters: an engine without a daemon, for a user (newuidmap).
  podman: {
    find: () =>
      ['newuidmap', 'slirp4netns', 'fuse-overlayfs', 'podman'].every((name) => which(name)) &&
      which('podman'),
    // With what Debian only recommends: networks, storage and an init for containers of a user.
    packages: ['podman', 'uidmap', 'slirp4netns', 'fuse-overlayfs', 'netavark', 'tini'],
    suites: ['contract'],
    optional: true,
  },
  // The clusters of test/rig/slurm, likewise, and what the examples for several machines run on.
  slurm: {
    find: () =>
      [which('sbatch'), findAdmin('slurmctld'), findAdmin('slurmd')].find((file, _, all) =>
        all.every(Boolean),
      ),
    packages: ['slurm-wlm'],
    suites: ['contract', 'python'],
    optional: true,
  },
  munge: {
    find: () => findAdmin('munged'),
    packages: ['munge'],
    suites: ['contract', 'python'],
    optional: true,
  },
  torch: {
    find: () => hasModules(['torch']),
    packages: ['python3-torch'],
    suites: ['contract'],
    optional: true,
  },
  mpi: {
    find: () => (which('mpirun') ? hasModules(['mpi4py']) : undefined),
    packages: ['openmpi-bin', 'python3-mpi4py'],
    suites: ['contract'],
    optional: true,
  },
  // Makes virtual environments; Debian has it in a package of its own.
  venv: {
    find: () =>
      output('/usr/bin/python3', ['-c', 'import venv, ensurepip']) === undefined
        ? undefined
        : '/usr/bin/python3',
    packages: ['python3-venv'],
    suites: ['contract', 'python'],
    optional: true,
  },
  fonts: {
    find: () =>
      process.platform === 'darwin' ? '/System/Library/Fonts' : (hasFont('/usr/share/fonts') ?? undefined),
    packages: ['fonts-liberation'],
    suites: ['browser', 'start'],
    optional: true,
  },
};

/** Whether a thing is there, where, and else why not. */
export function component(name) {
  const need = needs[name];
  if (!need) throw new Error(`There is no component "${name}"; there are ${Object.keys(needs).join(', ')}.`);
  const found = need.find();
  if (found) return { available: true, path: found, reason: '' };
  return {
    available: false,
    path: '',
    reason: `${name} is missing (on Debian or Ubuntu: apt-get install ${need.packages.join(' ')})`,
  };
}

/** The components that a suite cannot do without. */
export function needsOf(suite) {
  return Object.keys(needs).filter((name) => needs[name].suites.includes(suite) && !needs[name].optional);
}

function mayInstall() {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'not root on Debian or Ubuntu';
  return which('apt-get') ? '' : 'there is no apt-get';
}

function apt(args) {
  return spawnSync('apt-get', args, {
    encoding: 'utf8',
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** What is installed for the tests is a program, never a service that this machine then runs. */
function withoutServices(work) {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return work();
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    return work();
  } finally {
    rmSync(policy, { force: true });
  }
}

function lastLines(result) {
  return `${result.stdout ?? ''}${result.stderr ?? ''}`.trim().split('\n').slice(-5).join('\n');
}

/**
 * Installs what the suites need and is missing. Returns the names of what is missing afterwards.
 * @param {string[]} suites all where empty
 * @param {(text: string) => void} log
 */
export function ensureSystemPackages(suites = [], log = console.log) {
  const wanted = Object.keys(needs).filter(
    (name) => suites.length === 0 || needs[name].suites.some((suite) => suites.includes(suite)),
  );
  const missing = () => wanted.filter((name) => !needs[name].find());
  const absent = missing();
  if (absent.length === 0) return [];
  const obstacle = mayInstall();
  if (!obstacle) {
    const packages = absent.flatMap((name) => needs[name].packages);
    log(`installing ${packages.join(' ')}`);
    const update = apt(['update', '-q']);
    if (update.status !== 0) log(`apt-get update failed:\n${lastLines(update)}`);
    const install = withoutServices(() =>
      apt(['install', '-q', '-y', '--no-install-recommends', ...packages]),
    );
    if (install.status !== 0) log(`apt-get install failed:\n${lastLines(install)}`);
    for (const name of missing()) {
      if (!needs[name].otherwise) continue;
      const [program, ...args] = needs[name].otherwise;
      log(`installing ${name} by ${path.basename(args[0])}`);
      const result = spawnSync(program, args, { cwd: root, encoding: 'utf8' });
      if (result.status !== 0) log(`that failed:\n${lastLines(result)}`);
    }
  }
  for (const name of missing()) {
    const how = obstacle ? ` Not installed by itself: ${obstacle}.` : '';
    log(`${needs[name].optional ? 'note: ' : ''}${component(name).reason}.${how}`);
  }
  return missing().filter((name) => !needs[name].optional);
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const missing = ensureSystemPackages(process.argv.slice(2));
  for (const name of Object.keys(needs)) {
    const { available, path: where } = component(name);
    console.log(`${name}: ${available ? where : 'missing'}`);
  }
  process.exitCode = missing.length ? 1 : 0;
}
