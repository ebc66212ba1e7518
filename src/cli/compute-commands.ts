import path from 'node:path';
import type { Command } from 'commander';
import {
  localCompute,
  type AddComputeRequest,
  type Compute,
  type ConnectionStep,
  type UpdateComputeRequest,
  type Cluster,
} from '../api/compute.ts';
import { RunyardError } from '../api/errors.ts';
import type { Context } from './context.ts';
import { clusterChanges, clusterOptions, type SlurmFlags } from './cluster-options.ts';
import { describe, listHead, listRow, partitionTable, stateWord } from './compute-views.ts';
import { untilInterrupted } from './interrupt.ts';
import { counted, formatBytes, print, table } from './output.ts';
import { agentSocket, answeringPrompts, connectFirst } from './prompting.ts';
import { failed, type Register } from './register.ts';
import { submitterEnvironment } from './submitter.ts';

interface SettingOptions extends SlurmFlags {
  scheduler?: string;
  local?: boolean;
  host?: string;
  user?: string;
  port?: string;
  transport?: string;
  sshConfig?: string;
  root?: string;
  setup?: string[] | boolean;
  python?: string;
  slots?: string;
  detach?: string;
  keepDays?: string;
  keepBytes?: string;
}

/** `runyard compute ...` */
export function addComputeCommands(program: Command, register: Register): void {
  const compute = program
    .command('compute')
    .description('Compute targets: this machine, hosts over SSH, Slurm clusters');

  register(compute.command('list').description('Compute targets, their load and queues'), async (context) => {
    const { computes } = await context.client.call('listComputes');
    print(context.json, computes, () => table(listHead, computes.map(listRow)));
  });

  register(
    settings(
      compute
        .command('add')
        .argument('<name>', 'how the target is called here')
        .argument('[host]', 'an alias of your ssh configuration, or [user@]host[:port]; by default the name')
        .description('Add a host over SSH, or a Slurm cluster by its login node')
        .option('--local', 'no host: this machine, where it is the login node of a Slurm cluster'),
    ),
    async (context, [name, host], options: SettingOptions) => {
      if (options.local && host !== undefined) {
        throw new RunyardError('bad_request', `--local is this machine; ${host} is another one.`, {
          action: 'Leave one of the two out.',
        });
      }
      const where = options.local
        ? ({ host: null, scheduler: 'slurm', root: '~/.runyard/cluster' } as const)
        : addressOf(host ?? name!);
      const body = { ...where, ...settingsOf(options), name: name! } as AddComputeRequest;
      const added = await context.client.call('addCompute', { body });
      print(
        context.json,
        added,
        () => `added ${describeBriefly(added)}; try it: runyard compute test ${added.name}`,
      );
    },
  );

  register(
    settings(
      compute
        .command('edit')
        .argument('<name>', 'a compute target, as "runyard compute list" names it')
        .description('Change settings of a target; what is not named stays')
        .option('--host <host>', 'another host: an alias or a name')
        .option('--no-setup', 'no set-up lines'),
    ),
    async (context, [name], options: SettingOptions) => {
      const { host, ...more } = options;
      const body: UpdateComputeRequest = {
        ...(host === undefined ? {} : addressOf(host)),
        ...settingsOf({ ...more, ...(options.setup === false ? { setup: [] } : {}) }),
      };
      if (Object.keys(body).length === 0) {
        throw new RunyardError('bad_request', 'It is not said what is to be changed.', {
          action: 'Add --help for what can be.',
        });
      }
      const changed = await context.client.call('updateCompute', { params: { compute: name! }, body });
      print(context.json, changed, () => `changed ${describeBriefly(changed)}`);
    },
  );

  register(
    compute
      .command('show')
      .argument('<name>', 'a compute target, as "runyard compute list" names it')
      .description('One target: its state, size, queue and settings'),
    async (context, [name]) => {
      const found = await context.client.call('getCompute', { params: { compute: name! } });
      print(context.json, found, () => describe(found));
    },
  );

  register(
    compute
      .command('partitions')
      .argument('<name>', 'a Slurm cluster among the compute targets')
      .description('Partitions of a Slurm cluster: limits, and what is idle now'),
    async (context, [name]) => {
      const { settings } = await context.client.call('getCompute', { params: { compute: name! } });
      if (settings?.scheduler !== 'slurm') {
        throw new RunyardError('bad_request', `The compute target ${name} is no Slurm cluster.`, {
          action: 'Where its host is a login node: runyard compute edit NAME --scheduler slurm',
        });
      }
      await connectFirst(context, name!);
      const cluster = await clusterOf(context, name!);
      if (!cluster || cluster.problem) {
        throw new RunyardError('unavailable', cluster?.problem ?? 'Slurm does not answer.', {
          action: cluster?.action ?? `Look at it with "runyard compute test ${name}".`,
        });
      }
      print(context.json, cluster.partitions, () => partitionTable(cluster));
    },
  );

  register(
    compute
      .command('connect')
      .argument('<name>', 'a compute target, as "runyard compute list" names it')
      .description('Connect now (sign in); asks what the host wants to know, at the terminal'),
    async (context, [name]) => {
      await connectFirst(context, name!);
      const found = await context.client.call('getCompute', { params: { compute: name! } });
      print(context.json, found, () => `${found.name} is ${stateWord(found.name, found.state)}`);
    },
  );

  register(
    compute
      .command('test')
      .argument('<name>', 'a compute target, as "runyard compute list" names it')
      .description('Look at everything a run needs there, step by step; exit code 1 when a step failed'),
    async (context, [name]) => {
      const result = await answeringPrompts(context, name!, () =>
        untilInterrupted((signal) =>
          context.client.call('testCompute', {
            params: { compute: name! },
            body: { ...agentSocket(), environment: submitterEnvironment() },
            signal,
          }),
        ),
      );
      print(context.json, result, () => result.steps.flatMap(stepLines));
      if (!result.ok) failed();
    },
  );

  register(
    compute
      .command('hosts')
      .description('Hosts that the ssh configuration names')
      .option('--ssh-config <file>', 'another one than ~/.ssh/config'),
    async (context, _args, options: { sshConfig?: string }) => {
      const { candidates } = await context.client.call('listComputeCandidates', {
        query: options.sshConfig ? { configFile: fileHere(options.sshConfig) } : {},
      });
      if (candidates.length === 0 && !context.json) {
        const file = options.sshConfig ?? '~/.ssh/config';
        process.stderr.write(
          `${file} names no host. An address does as well: runyard compute add NAME user@host:port\n`,
        );
        return;
      }
      print(context.json, candidates, () =>
        table(
          ['HOST', 'ADDRESS', 'TARGETS'],
          candidates.map((one) => [
            one.host,
            `${one.user ?? ''}@${one.hostName ?? one.host}${one.port && one.port !== 22 ? `:${one.port}` : ''}`,
            one.usedBy.join(', '),
          ]),
        ),
      );
    },
  );

  register(
    compute
      .command('engine')
      .argument('<name>', 'a compute target, as "runyard compute list" names it')
      .description('The container engine there, and the images it has'),
    async (context, [name]) => {
      if (name !== localCompute) await connectFirst(context, name!);
      const engine = await context.client.call('getEngine', {
        params: { compute: name! },
        body: { environment: submitterEnvironment() },
      });
      print(context.json, engine, () => [
        engine.kind === null
          ? 'no container engine'
          : `${engine.kind}${engine.version ? ` ${engine.version}` : ''}${engine.rootless ? ', rootless' : ''}${engine.running ? '' : ', not running'}`,
        ...[engine.problem, engine.action].filter((text) => text !== null),
        ...engine.images.map((image) => `${image.name}  ${formatBytes(image.bytes)}`),
      ]);
      if (!engine.running) failed();
    },
  );

  register(
    compute
      .command('clean')
      .argument('<name>', 'a compute target, as "runyard compute list" names it')
      .description('Remove old run folders and cached files there now; what exists only there stays'),
    async (context, [name]) => {
      if (name !== localCompute) await connectFirst(context, name!);
      const cleaned = await context.client.call('cleanCompute', { params: { compute: name! } });
      print(
        context.json,
        cleaned,
        () =>
          `removed ${counted(cleaned.runs, 'run folder')}, ${counted(cleaned.blobs, 'cached file')} and ${counted(cleaned.environments, 'built environment')}, ${formatBytes(cleaned.bytes)}`,
      );
    },
  );

  register(
    compute
      .command('remove')
      .argument('<name>', 'a compute target, as "runyard compute list" names it')
      .description('Forget a target that has no active runs; nothing is removed from the host')
      .option('--force', 'also when outputs of runs exist only there'),
    async (context, [name], options: { force?: boolean }) => {
      await context.client.call('removeCompute', {
        params: { compute: name! },
        query: options.force ? { force: 'true' as const } : {},
      });
      print(context.json, { removed: name }, () => `removed ${name}`);
    },
  );
}

function settings(command: Command): Command {
  command
    .option('--user <name>', 'who signs in; by default what the ssh configuration says')
    .option('--port <n>', 'the port; by default what the ssh configuration says')
    .option('--transport <kind>', 'auto (the default), builtin, or system (the ssh of this machine)')
    .option('--ssh-config <file>', 'another ssh configuration than ~/.ssh/config')
    .option('--root <folder>', "Runyard's folder on the host; by default ~/.runyard/host")
    .option('--setup <lines...>', 'shell lines before anything else there: "module load cuda"')
    .option('--python <interpreter>', 'the Python of runs; by default python3 after the set-up lines')
    .option(
      '--slots <n>',
      'runs at a time; "auto" (the default): one for each GPU, else half of the CPUs, at least two',
    )
    .option('--detach <how>', 'process (the default), or systemd where the host ends what a session leaves')
    .option(
      '--keep-days <n>',
      'days after which the folder of a collected run goes from the host; by default 14',
    )
    .option('--keep-bytes <n>', 'bytes above which the oldest go earlier; by default 50000000000 (50 GB)');
  return clusterOptions(command);
}

/** `[user@]host[:port]`; an IPv6 address with a port stands in brackets. */
function addressOf(text: string): { host: string; user?: string; port?: number } {
  const at = text.lastIndexOf('@');
  const rest = text.slice(at + 1);
  const found = /^\[([^\]]*)\](?::(\d+))?$/.exec(rest) ?? /^([^:]*)(?::(\d+))?$/.exec(rest) ?? [rest, rest];
  return {
    host: found[1]!,
    ...(at >= 0 ? { user: text.slice(0, at) } : {}),
    ...(found[2] ? { port: Number(found[2]) } : {}),
  };
}

function settingsOf(options: SettingOptions): UpdateComputeRequest {
  const { user, port, transport, sshConfig, root, setup, python, slots, detach, keepDays, keepBytes } =
    options;
  const keep = keepDays !== undefined || keepBytes !== undefined;
  return {
    ...(user === undefined ? {} : { user: user || null }),
    ...(port === undefined ? {} : { port: port === '' ? null : number(port, '--port') }),
    ...(transport === undefined ? {} : { transport: transport as 'auto' }),
    ...(sshConfig === undefined ? {} : { configFile: sshConfig ? fileHere(sshConfig) : null }),
    ...(root === undefined ? {} : { root }),
    ...(Array.isArray(setup) ? { setup } : {}),
    ...(python === undefined ? {} : { interpreter: python || null }),
    ...(slots === undefined ? {} : { slots: slots === 'auto' ? null : number(slots, '--slots') }),
    ...(detach === undefined ? {} : { detach: detach as 'process' }),
    ...(keep
      ? {
          keep: {
            ...(keepDays === undefined ? {} : { days: number(keepDays, '--keep-days') }),
            ...(keepBytes === undefined ? {} : { bytes: number(keepBytes, '--keep-bytes') }),
          },
        }
      : {}),
    ...clusterChanges(options),
  };
}

/** The server is somewhere else: a path counts from where the person is. */
function fileHere(file: string): string {
  return file.startsWith('~') ? file : path.resolve(file);
}

function number(text: string, option: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw new RunyardError('bad_request', `${option} ${text} is not a number.`);
  return value;
}

function describeBriefly({ name, address }: Compute): string {
  return `${name} (${address ?? 'this machine'})`;
}

const marks = { ok: 'ok  ', warning: 'WARN', failed: 'FAIL', skipped: '-   ' } as const;

function stepLines({ state, title, detail, action }: ConnectionStep): string[] {
  return [`${marks[state]}  ${title}: ${detail}`, ...(action ? [`      ${action}`] : [])];
}

/** What a big cluster says of itself the first time may take longer than one request waits for it. */
async function clusterOf(context: Context, compute: string): Promise<Cluster | null> {
  for (let tries = 1; ; tries++) {
    const { cluster, state } = await context.client.call('getCompute', { params: { compute } });
    if (cluster || state !== 'connected' || tries === 8) return cluster;
  }
}
