import { existsSync, openSync, readdirSync, readFileSync, readSync, closeSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Concern } from '../api/entities.ts';
import { fsPath, textOf } from './path-text.ts';
import type { Survey } from './survey.ts';
import { Field, State } from './table.ts';

/** Files whose names tell of secrets; templates of such are none. */
const secretNames = [
  /^\.env(\..+)?$/,
  /^\.netrc$/,
  /^\.pypirc$/,
  /^\.npmrc$/,
  /^\.git-credentials$/,
  /^\.pgpass$/,
  /^id_(rsa|dsa|ecdsa|ed25519)(_sk)?$/,
  /\.(pem|key|p12|pfx|ppk|keystore|jks|kdbx)$/i,
  /^(service[-_]?account|credentials|client[-_]?secret).*\.json$/i,
  /^kubeconfig$/,
];
const templates = /\.(example|sample|template|dist|tpl)$/i;
const mostConcerns = 50;

/** Files that look like secrets: they would be kept in the record of every run. */
export function secretConcerns({ root, table }: Survey): Concern[] {
  const found: Concern[] = [];
  for (let i = 0; i < table.count && found.length < mostConcerns; i++) {
    if (table.states[i] !== State.file || table.stat(i, Field.size) === 0) continue;
    const binary = table.name(i);
    const name = binary.slice(binary.lastIndexOf('/') + 1);
    if (templates.test(name) || !secretNames.some((pattern) => pattern.test(name))) continue;
    const what = secretIn(`${root}/${binary}`, name);
    if (!what) continue;
    found.push({
      kind: 'secret',
      path: textOf(binary),
      message: `${textOf(binary)} ${what}: it would be kept with the run and sent to its host.`,
      action: 'Leave it out, and hand secrets over in environment variables.',
    });
  }
  return found;
}

/** What a file with such a name is, by its first bytes; undefined where it is harmless. */
function secretIn(binary: string, name: string): string | undefined {
  const head = headOf(binary);
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----|^PuTTY-User-Key-File/m.test(head)) return 'is a private key';
  // Certificates and public keys have such names, too.
  if (/\.(pem|key)$/i.test(name)) return undefined;
  if (/\.npmrc$/.test(name) && !/_auth|password/i.test(head)) return undefined;
  if (/\.json$/i.test(name) && !/private_key|secret|password|token/i.test(head)) return undefined;
  return 'looks like a file with secrets';
}

function headOf(binary: string): string {
  try {
    const fd = openSync(fsPath(binary), 'r');
    try {
      const buffer = Buffer.alloc(4096);
      return buffer.toString('latin1', 0, readSync(fd, buffer));
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}

/** Arguments that name something in the folder (or beside it) which the run will not find. */
export function argumentConcerns({ root, table, emptyFolders }: Survey, args: readonly string[]): Concern[] {
  const found: Concern[] = [];
  const empty = new Set(emptyFolders);
  for (const argument of args) {
    // `--data=path` as well as `path`.
    const text = argument.startsWith('-') ? argument.slice(argument.indexOf('=') + 1) : argument;
    if (!text || (text === argument && argument.startsWith('-')) || text.includes('\0')) continue;
    const value = Buffer.from(text).toString('latin1');
    const absolute = path.posix.resolve(root, value);
    const relative = path.posix.relative(root, absolute);
    if (relative === '' || (path.posix.isAbsolute(value) && relative.startsWith('..'))) continue;
    if (!existsSync(fsPath(absolute))) continue;
    const taken = empty.has(relative) || table.find(relative) >= 0 || hasBelow(table, relative);
    const isAbsolute = path.posix.isAbsolute(value);
    // What is left out is found by its absolute path, what is taken by its relative one.
    if (taken ? !isAbsolute : isAbsolute) continue;
    found.push({
      kind: 'argument',
      path: textOf(relative),
      message: relative.startsWith('..')
        ? `The argument "${argument}" leads out of the folder: the run gets the folder alone and will not find it.`
        : isAbsolute
          ? `The argument "${argument}" is a path of this machine: the run works on a copy of the folder.`
          : `The argument "${argument}" names something that the snapshot leaves out: the run will not find it.`,
      action: isAbsolute
        ? 'Write it relative to the folder.'
        : 'Take it into the snapshot, or give a path that the target has.',
    });
  }
  return found;
}

function hasBelow(table: Survey['table'], folder: string): boolean {
  const prefix = `${folder}/`;
  let low = 0;
  let high = table.count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (table.name(middle) < prefix) low = middle + 1;
    else high = middle;
  }
  return low < table.count && table.name(low).startsWith(prefix);
}

/**
 * Packages that are installed editable (`pip install -e`) from the folder or around it: a run would import the
 * live files, not its snapshot's. Found by what pip leaves beside the packages; nothing is executed.
 */
export function editableInstalls(folder: string, interpreter: string): Concern[] {
  const found = new Map<string, Concern>();
  for (const packages of packageFolders(interpreter)) {
    for (const { name, target } of editablesIn(packages)) {
      const relative = path.relative(folder, target);
      const inside = !relative.startsWith('..') && !path.isAbsolute(relative);
      const around = !path.relative(target, folder).startsWith('..');
      if (!inside && !around) continue;
      found.set(name, {
        kind: 'editable_install',
        path: inside ? relative : '',
        message: `${name} is installed editable from ${target}: a run with this interpreter imports the files that are there now, not those of its snapshot.`,
        action: 'Install it as a package, or add the folder to PYTHONPATH in the run configuration.',
      });
    }
  }
  return [...found.values()].slice(0, mostConcerns);
}

function packageFolders(interpreter: string): string[] {
  const prefix = path.dirname(path.dirname(interpreter));
  const folders: string[] = [];
  for (const base of [path.join(prefix, 'lib'), path.join(homedir(), '.local/lib')]) {
    for (const version of entriesOf(base)) {
      if (!/^python3(\.\d+)?$/.test(version)) continue;
      folders.push(path.join(base, version, 'site-packages'), path.join(base, version, 'dist-packages'));
    }
  }
  return folders.filter((folder) => existsSync(folder));
}

function* editablesIn(packages: string): Generator<{ name: string; target: string }> {
  for (const entry of entriesOf(packages)) {
    const file = path.join(packages, entry);
    if (entry.endsWith('.dist-info')) {
      const target = editableUrl(path.join(file, 'direct_url.json'));
      if (target) yield { name: entry.replace(/-[^-]*\.dist-info$/, ''), target };
    } else if (entry.endsWith('.egg-link')) {
      const target = textFile(file)?.split('\n')[0]?.trim();
      if (target) yield { name: entry.replace(/\.egg-link$/, ''), target };
    }
  }
}

function editableUrl(file: string): string | undefined {
  try {
    const { url, dir_info: info } = JSON.parse(textFile(file) ?? '') as {
      url?: string;
      dir_info?: { editable?: boolean };
    };
    return info?.editable && url?.startsWith('file://') ? fileURLToPath(url) : undefined;
  } catch {
    return undefined;
  }
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function textFile(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
