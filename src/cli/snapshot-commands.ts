import path from 'node:path';
import { InvalidArgumentError, type Command } from 'commander';
import type { DryRunLine, Snapshot, SnapshotEntry } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import type { Context } from './context.ts';
import { writeFileFrom } from './download.ts';
import { untilInterrupted } from './interrupt.ts';
import { jsonLines } from './json-lines.ts';
import { lookBefore } from './look-before.ts';
import { counted, formatBytes, formatTime, print, table } from './output.ts';
import type { Register } from './register.ts';

const named = 'an id, its first six characters or more, or a run';

/** `runyard snapshot ...` and `runyard gc` */
export function addSnapshotCommands(program: Command, register: Register): void {
  const snapshot = program.command('snapshot').description('Snapshots: what ran, and what would be sent');

  register(
    snapshot
      .command('create')
      .argument('<folder>', 'the folder that is taken')
      .description('Take a snapshot of a folder and keep it')
      .option('--dry-run', 'only say what would be taken, and why each other path is not'),
    create,
  );

  register(snapshot.command('list').description('Snapshots that are kept, newest first'), async (context) => {
    const { snapshots } = await context.client.call('listSnapshots', { params: await context.params() });
    print(context.json, snapshots, () =>
      table(
        ['SNAPSHOT', 'CREATED', 'FILES', 'SIZE', 'FOLDER'],
        snapshots.map((one) => [
          one.id.slice(0, 12),
          formatTime(one.createdAt),
          String(one.files),
          formatBytes(one.bytes),
          one.sourceDirectory,
        ]),
      ),
    );
  });

  register(
    snapshot
      .command('show')
      .argument('<snapshot>', named)
      .argument('[path]', 'a folder or a file in it; the bytes of a file go to standard output')
      .description('A snapshot, one of its folders or one of its files'),
    show,
  );

  register(
    snapshot.command('files').argument('<snapshot>', named).description('Every file of a snapshot'),
    async (context, [id]) => {
      const entries = await allEntries(context, id!, '');
      print(context.json, entries, () => entryTable(entries));
    },
  );

  register(
    snapshot
      .command('search')
      .argument('<snapshot>', named)
      .argument('<text>', 'what is looked for')
      .description("Lines of a snapshot's text files")
      .option('--regex', 'the text is a regular expression')
      .option('--case-sensitive', 'upper and lower case differ')
      .option('--limit <n>', 'at most so many', asCount, 1000),
    search,
  );

  register(
    snapshot
      .command('diff')
      .argument('<snapshot>', named)
      .argument('[other]', 'another snapshot or run')
      .description('What differs: A added, D deleted, M modified, T another kind or mode')
      .option('--folder <folder>', 'with a folder as it is now; by default the one that the snapshot is of'),
    diff,
  );

  register(
    snapshot
      .command('restore')
      .argument('<snapshot>', named)
      .argument('<folder>', 'must not be there, or be empty')
      .description('Write a snapshot into a folder')
      .option('--worktree', 'a new git worktree at the recorded commit, with the recorded changes'),
    async (context, [id, folder], options: { worktree?: boolean }) => {
      const params = await context.params({ snapshot: id! });
      const as = options.worktree ? ('worktree' as const) : ('folder' as const);
      const body = { folder: path.resolve(folder!), as };
      const restored = await untilInterrupted((signal) =>
        context.client.call('restoreSnapshot', { params, body, signal }),
      );
      print(context.json, restored, () => [
        `wrote ${counted(restored.files, 'file')} (${formatBytes(restored.bytes)}) into ${restored.folder}`,
        ...restored.notes.map((note) => `note: ${note}`),
      ]);
    },
  );

  register(
    snapshot
      .command('download')
      .argument('<snapshot>', named)
      .description('A snapshot as a zip: the same snapshot, the same bytes')
      .option('--output <file>', 'by default <snapshot>.zip here'),
    async (context, [id], options: { output?: string }) => {
      const params = await context.params({ snapshot: id! });
      const found = await context.client.call('getSnapshot', { params });
      const file = path.resolve(options.output ?? `${found.id.slice(0, 12)}.zip`);
      await untilInterrupted(async (signal) =>
        writeFileFrom(await context.client.stream('downloadSnapshot', { params, signal }), file),
      );
      print(context.json, { id: found.id, file }, () => `wrote ${file}`);
    },
  );

  register(
    snapshot
      .command('delete')
      .argument('<snapshots...>', named)
      .description('Keep snapshots no longer; runs keep theirs'),
    async (context, ids) => {
      for (const id of ids) {
        await context.client.call('deleteSnapshot', { params: await context.params({ snapshot: id }) });
      }
      print(context.json, { deleted: ids }, () => ids.map((id) => `deleted ${id}`));
    },
  );

  register(
    program.command('gc').description('Remove stored content that no run, artifact or kept snapshot has'),
    async (context) => {
      const found = await context.client.call('collectGarbage', { params: await context.params() });
      print(
        context.json,
        found,
        () => `removed ${counted(found.blobs, 'blob')} (${formatBytes(found.bytes)}), kept ${found.kept}`,
      );
    },
  );
}

async function create(context: Context, [given]: string[], options: { dryRun?: boolean }): Promise<void> {
  const folder = path.resolve(given!);
  if (options.dryRun) return dryRun(context, folder);
  const params = await context.params();
  const taken = await untilInterrupted((signal) =>
    context.client.call('createSnapshot', { params, body: { folder }, signal }),
  );
  for (const warning of taken.warnings) process.stderr.write(`warning: ${warning}\n`);
  print(context.json, taken, () => [
    taken.id,
    `${counted(taken.files, 'file')}, ${formatBytes(taken.bytes)}; stored ${counted(taken.stored.blobs, 'blob')} anew (${formatBytes(taken.stored.bytes)})`,
  ]);
}

async function dryRun(context: Context, folder: string): Promise<void> {
  const all: DryRunLine[] = [];
  await untilInterrupted(async (signal) => {
    const stream = await context.client.stream('dryRunSnapshot', { body: { folder }, signal });
    for await (const one of jsonLines<DryRunLine>(stream)) {
      if (context.json) all.push(one);
      else process.stdout.write(`${dryRunText(one)}\n`);
    }
  });
  if (context.json) print(true, all, () => '');
  await lookBefore(context, { folder });
}

/** Written as it comes: columns of a fixed width. */
function dryRunText(line: DryRunLine): string {
  if ('taken' in line) return `take      ${String(line.size).padStart(12)}  ${shown(line.taken, line.kind)}`;
  if ('leftOut' in line) {
    const where = line.line === null ? line.source : `${line.source}:${line.line}: ${line.pattern}`;
    return `leave out ${''.padStart(12)}  ${shown(line.leftOut, line.folder ? 'folder' : 'file')}  (${where})`;
  }
  return `${counted(line.files, 'file')}, ${formatBytes(line.bytes)}`;
}

async function show(context: Context, [id, file]: string[]): Promise<void> {
  const params = await context.params({ snapshot: id! });
  if (file === undefined) {
    const found = await context.client.call('getSnapshot', { params });
    const { entries } = await context.client.call('listSnapshotEntries', { params });
    print(context.json, { ...found, entries }, () => [...describe(found), '', ...entryTable(entries)]);
    return;
  }
  const inside = file.replace(/^(\.\/)+|\/+$/g, '');
  const { entry, entries } = await context.client.call('listSnapshotEntries', {
    params,
    query: { path: inside },
  });
  if (entry?.kind !== 'file') {
    print(context.json, { entry, entries }, () =>
      entry?.kind === 'link' ? `${entry.path} -> ${entry.target}` : entryTable(entries),
    );
    return;
  }
  if (context.json) {
    print(true, { entry, entries }, () => '');
    return;
  }
  for (let offset = 0; offset < entry.size;) {
    const { data } = await context.client.bytes('readSnapshotFile', {
      params,
      query: { path: inside, offset, length: 4 * 1024 * 1024 },
    });
    if (data.byteLength === 0) break;
    await write(data);
    offset += data.byteLength;
  }
}

/** Waits for who reads, so that a large file is not in memory as a whole. */
function write(data: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(data, (error) => (error ? reject(error) : resolve()));
  });
}

async function allEntries(context: Context, id: string, folder: string): Promise<SnapshotEntry[]> {
  const params = await context.params({ snapshot: id });
  const all: SnapshotEntry[] = [];
  const visit = async (at: string): Promise<void> => {
    const { entries } = await context.client.call('listSnapshotEntries', { params, query: { path: at } });
    // An empty folder is something, too.
    if (entries.length === 0 && at !== '') all.push(folderOf(at));
    for (const entry of entries) {
      if (entry.kind === 'folder') await visit(entry.path);
      else all.push(entry);
    }
  };
  await visit(folder);
  return all;
}

function folderOf(at: string): SnapshotEntry {
  return { path: at, kind: 'folder', size: 0, mode: null, hash: null, target: null };
}

async function search(
  context: Context,
  [id, query]: string[],
  options: { regex?: boolean; caseSensitive?: boolean; limit: number },
): Promise<void> {
  const { regex = false, caseSensitive = false, limit } = options;
  const params = await context.params({ snapshot: id! });
  const body = { query: query!, regex, caseSensitive, limit };
  const found = await untilInterrupted((signal) =>
    context.client.call('searchSnapshot', { params, body, signal }),
  );
  print(context.json, found, () =>
    found.matches.map((one) => `${printable(one.path)}:${one.line}:${one.column}: ${printable(one.text)}`),
  );
  if (found.more && !context.json)
    process.stderr.write('There are more matches: --limit says how many are shown.\n');
}

const letters = { added: 'A', deleted: 'D', modified: 'M', mode: 'T', kind: 'T' } as const;

async function diff(context: Context, [id, other]: string[], options: { folder?: string }): Promise<void> {
  if (other !== undefined && options.folder !== undefined) {
    throw new RunyardError('bad_request', 'Say either another snapshot or --folder.');
  }
  const params = await context.params({ snapshot: id! });
  const body =
    other !== undefined
      ? { snapshot: other }
      : {
          folder: options.folder
            ? path.resolve(options.folder)
            : (await context.client.call('getSnapshot', { params })).sourceDirectory,
        };
  const found = await untilInterrupted((signal) =>
    context.client.call('compareSnapshot', { params, body, signal }),
  );
  print(context.json, found, () => {
    const lines = found.changes.map((one) => {
      const kind = one.left?.kind ?? one.right!.kind;
      const how =
        one.change === 'mode'
          ? `  (mode ${octal(one.left!)} -> ${octal(one.right!)})`
          : one.change === 'kind'
            ? `  (${one.left!.kind} -> ${one.right!.kind})`
            : '';
      return `${letters[one.change]}  ${shown(one.path, kind)}${how}`;
    });
    if (found.more) lines.push('and more');
    return lines;
  });
}

function describe(one: Snapshot): string[] {
  const { git } = one;
  const pairs: [string, string][] = [
    ['snapshot', one.id],
    ['created', formatTime(one.createdAt)],
    ['folder', one.sourceDirectory],
    ['size', `${counted(one.files, 'file')}, ${formatBytes(one.bytes)}`],
    ['kept', one.kept ? 'until it is deleted' : 'as long as a run has it'],
    ['runs', one.runs.join(', ') || '-'],
    ['git', git?.commit ? `${git.commit} ${git.branch ?? ''}${git.dirty ? ' (dirty)' : ''}` : '-'],
  ];
  return pairs.map(([name, value]) => `${name.padEnd(8)}  ${value}`);
}

function entryTable(entries: SnapshotEntry[]): string[] {
  return table(
    ['MODE', 'BYTES', 'PATH'],
    entries.map((one) => [
      one.kind === 'file' ? octal(one) : '-',
      one.kind === 'file' ? String(one.size) : '-',
      one.kind === 'link' ? `${printable(one.path)} -> ${printable(one.target!)}` : shown(one.path, one.kind),
    ]),
  );
}

function octal({ mode }: SnapshotEntry): string {
  return (mode ?? 0).toString(8).padStart(4, '0');
}

function shown(name: string, kind: SnapshotEntry['kind']): string {
  return `${printable(name)}${kind === 'folder' ? '/' : ''}`;
}

/** A name may hold what moves a terminal's cursor; a byte that is no UTF-8 is shown as one. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\uF780-\uF7FF]/gu, (one) => {
    const code = one.charCodeAt(0);
    if (one === '\t') return one;
    return `\\x${(code & 0xff).toString(16).padStart(2, '0')}`;
  });
}

function asCount(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 10_000) {
    throw new InvalidArgumentError('It is not a number from 1 to 10000.');
  }
  return value;
}
