import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import type { Run } from '../api/entities.ts';
import { localCompute } from '../api/compute.ts';
import { RunyardError } from '../api/errors.ts';
import type { SubmitRequest } from '../api/requests.ts';
import { isTerminal } from '../api/run-status.ts';
import { jobConfiguration, jobOptions, type JobFlags } from './cluster-options.ts';
import type { Context } from './context.ts';
import { writeFileFrom } from './download.ts';
import { followLog, logOf, waitForEnd } from './follow.ts';
import { untilInterrupted } from './interrupt.ts';
import { formatDuration, formatTime, print, runLine, sayWarnings, table } from './output.ts';
import { lookBefore } from './look-before.ts';
import { connectFirst } from './prompting.ts';
import { changeTeller, describe, showMetrics } from './run-views.ts';
import { fetchFiles, sayWhatStayed } from './fetch.ts';
import { failed, type Register } from './register.ts';
import { submitterEnvironment } from './submitter.ts';

interface SubmitOptions extends JobFlags {
  config?: string;
  script?: string;
  args?: string[];
  command?: string;
  experiment?: string;
  compute?: string;
  tag?: string[];
  name?: string;
  python?: string;
  environment?: string;
  image?: string;
  evenIfAway?: boolean;
  wait?: boolean;
  follow?: boolean;
}

interface LogOptions {
  follow?: boolean;
  file?: string;
  rank?: number;
  attempt?: number;
}

interface RerunOptions extends JobFlags {
  /** False for `--no-args`. */
  args?: string[] | boolean;
  compute?: string;
  experiment?: string;
  python?: string;
  environment?: string;
  image?: string;
  name?: string;
  evenIfAway?: boolean;
  wait?: boolean;
  follow?: boolean;
}

const standardLog = logOf(0);
const buildLog = 'user_logs/build_log.txt';

/** `runyard run ...` */
export function addRunCommands(program: Command, register: Register): void {
  const run = program.command('run').description('Runs: submit, watch, cancel, compare');

  register(
    jobOptions(
      run
        .command('submit')
        .argument('<folder>', 'the folder that is sent')
        .argument('[arguments...]', "the script's arguments, after everything else: -- --lr 0.1 --epochs 5")
        .description('Submit a folder')
        .option(
          '--config <name>',
          'a run configuration of the folder (.runyard/<name>.runconfig or .azureml/...)',
        )
        .option('--script <file>', 'the Python script, relative to the folder')
        .option(
          '--args <arguments...>',
          'its arguments, where none begins with "-"; else write them after "--"',
        )
        .option('--command <line>', 'a shell command instead of a script')
        .option(
          '--experiment <name>',
          'the experiment; by default what the configuration says, else the folder',
        )
        .option('--compute <name>', 'the compute target; by default what the configuration says, else local')
        .option(
          '--python <interpreter>',
          'the interpreter; by default python3 of your PATH, on a host what its compute target says',
        )
        .option(
          '--environment <environment>',
          'a registered one (name or name:version), or the path of a requirements.txt, environment.yml, pyproject.toml, Dockerfile',
        )
        .option(
          '--image <name>',
          'in a container of this image; packages of an --environment file go into it',
        )
        .option('--name <name>', "the run's display name")
        .option('--tag <key=value...>', 'a tag')
        .option('--even-if-away', 'also when the host cannot be reached now: the run waits for it')
        .option('--wait', 'wait for the end; exit code 1 when the run failed')
        .option('--follow', 'show the log until the end; exit code 1 when the run failed'),
    ),
    submit,
  );

  register(
    run
      .command('list')
      .description('Runs, newest first')
      .option('--experiment <name>', 'only runs of this experiment')
      .option('--active', 'only runs that have not ended')
      .option('--limit <n>', 'at most so many', asNumber, 50),
    async (context, _args, options: { experiment?: string; active?: boolean; limit: number }) => {
      const { runs } = await context.client.call('listRuns', {
        params: await context.params(),
        query: {
          experiment: options.experiment,
          limit: options.limit,
          ...(options.active ? { active: 'true' as const } : {}),
        },
      });
      print(context.json, runs, () =>
        table(
          ['RUN', 'NAME', 'EXPERIMENT', 'COMPUTE', 'STATUS', 'CREATED', 'DURATION', 'SCRIPT'],
          runs.map((one) => [
            one.id,
            one.displayName,
            one.experiment,
            one.compute,
            one.status,
            formatTime(one.createdAt),
            formatDuration(one.durationMs),
            one.script,
          ]),
        ),
      );
    },
  );

  register(
    run.command('show').argument('<run>', 'the id of a run, in full').description('One run'),
    async (context, [id]) => {
      const detail = await context.client.call('getRun', { params: await context.params({ run: id! }) });
      print(context.json, detail, () => describe(detail));
    },
  );

  register(
    run
      .command('logs')
      .argument('<run>', 'the id of a run, in full')
      .description("A run's log")
      .option('--follow', 'until the run has ended')
      .option('--rank <n>', 'of several processes the one with this rank; by default the first, 0', asCount)
      .option('--attempt <n>', 'of a run that was requeued an earlier attempt, from 1', asCount)
      .option('--file <path>', `another file than ${standardLog}`),
    async (context, [id], options: LogOptions) => {
      const { follow, rank = 0 } = options;
      if (follow && (options.file !== undefined || options.attempt !== undefined)) {
        throw new RunyardError('bad_request', '--follow shows the log of the attempt that runs.', {
          action: 'Leave out --follow, or --file and --attempt.',
        });
      }
      if (follow) {
        const [write, writeBuild] = [writer(context.json), buildWriter(context.json)];
        const ended = await followLog(context, id!, { write, writeBuild, rank });
        if (ended.status !== 'Completed') failed();
        return;
      }
      const params = await context.params({ run: id! });
      const file = await logFileOf(context, params, options);
      const written = await writeFileOf(context, params, file, writer(context.json));
      // A run that has not got that far, or never has: what there is to read is the build of its environment.
      if (written === 0 && file === standardLog)
        await writeFileOf(context, params, buildLog, buildWriter(context.json)).catch(() => 0);
    },
  );

  register(
    run
      .command('metrics')
      .argument('<run>', 'the id of a run, in full')
      .description('Metrics of a run; with --name the points of one')
      .option('--name <metric>', 'the metric; one line a point: step, tab, value')
      .option('--from <step>', 'from this step on', asNumber)
      .option('--to <step>', 'up to this step', asNumber)
      .option('--points <n>', 'at most about so many', asNumber, 2000),
    showMetrics,
  );

  register(
    run
      .command('files')
      .argument('<run>', 'the id of a run, in full')
      .description('Logs, outputs and artifacts'),
    async (context, [id]) => {
      const { artifacts } = await context.client.call('listArtifacts', {
        params: await context.params({ run: id! }),
      });
      print(context.json, artifacts, () =>
        table(
          ['PATH', 'BYTES', 'WHERE'],
          artifacts.map((one) => [one.path, String(one.size), one.stored ? 'workspace' : 'host']),
        ),
      );
    },
  );

  register(
    run
      .command('fetch')
      .argument('<run>', 'the id of a run, in full')
      .argument('[paths...]', 'files; by default all that are on the host only')
      .description('Bring large outputs from the host into the workspace; goes on where it stopped'),
    async (context, [id, ...paths]) => fetchFiles(context, id!, paths),
  );

  register(
    run
      .command('cancel')
      .argument('<run>', 'the id of a run, in full')
      .description('Cancel a run')
      .option('--wait', 'wait for its end'),
    async (context, [id], options: { wait?: boolean }) => {
      const params = await context.params({ run: id! });
      let now: Run;
      try {
        now = await context.client.call('cancelRun', { params });
      } catch (error) {
        // Waiting for the end of what has ended is done at once.
        if (!options.wait || !(error instanceof RunyardError) || error.code !== 'conflict') throw error;
        now = await context.client.call('getRun', { params });
        if (!isTerminal(now.status)) throw error;
      }
      if (options.wait && !isTerminal(now.status)) now = await waitForEnd(context, id!, () => {});
      print(context.json, now, () => runLine(now));
    },
  );

  register(
    jobOptions(
      run
        .command('rerun')
        .argument('<run>', 'the id of a run, in full')
        .argument('[arguments...]', 'other arguments for the script, after everything else: -- --lr 0.1')
        .description('The same snapshot again, with the same configuration or with some of it changed')
        .option(
          '--args <arguments...>',
          'other arguments, where none begins with "-"; else write them after "--"',
        )
        .option('--no-args', 'no arguments')
        .option('--compute <name>', 'another compute target; local is this machine')
        .option('--experiment <name>', 'another experiment')
        .option('--python <interpreter>', 'another interpreter')
        .option('--environment <environment>', 'another environment, as in "run submit"')
        .option('--image <name>', 'in a container of this image')
        .option('--name <name>', "the new run's display name")
        .option('--even-if-away', 'also when the host cannot be reached now: the run waits for it')
        .option('--wait', 'wait for the end; exit code 1 when the run failed')
        .option('--follow', 'show the log until the end; exit code 1 when the run failed'),
    ),
    async (context, [id, ...given], options: RerunOptions) => {
      const args = [...(Array.isArray(options.args) ? options.args : []), ...given];
      const configuration = {
        ...(args.length > 0 || options.args === false ? { arguments: args } : {}),
        ...(options.compute ? { target: options.compute } : {}),
        ...inImage(options),
        ...jobConfiguration(options),
      };
      const body = {
        ...(Object.keys(configuration).length > 0 ? { configuration } : {}),
        experiment: options.experiment,
        displayName: options.name,
        interpreter: options.python,
        ...environmentOf(options),
        environment: submitterEnvironment(),
        requestId: randomUUID(),
      };
      const compute =
        options.compute ??
        (await context.client.call('getRun', { params: await context.params({ run: id! }) })).compute;
      await reach(context, compute, options);
      const next = await context.client.call('rerun', { params: await context.params({ run: id! }), body });
      await afterSubmit(context, next, options);
    },
  );

  register(
    run.command('delete').argument('<runs...>', 'ids of runs, in full').description('Delete runs for good'),
    async (context, ids) => {
      for (const id of ids)
        await context.client.call('deleteRun', { params: await context.params({ run: id }) });
      print(context.json, { deleted: ids }, () => ids.map((id) => `deleted ${id}`));
    },
  );

  register(
    run
      .command('download')
      .argument('<run>', 'the id of a run, in full')
      .description('Code, logs and outputs as one zip')
      .option('--output <file>', 'by default <run>.zip here'),
    async (context, [id], options: { output?: string }) => {
      const file = path.resolve(options.output ?? `${id}.zip`);
      const params = await context.params({ run: id! });
      await untilInterrupted(async (signal) =>
        writeFileFrom(await context.client.stream('downloadRun', { params, signal }), file),
      );
      print(context.json, { file }, () => `wrote ${file}`);
    },
  );
}

/** The file that `run logs` is asked for. What an earlier attempt wrote is beside the files of the latest one. */
async function logFileOf(
  context: Context,
  params: Record<string, string>,
  { file, rank = 0, attempt }: LogOptions,
): Promise<string> {
  if (file !== undefined) {
    if (rank === 0 && attempt === undefined) return file;
    throw new RunyardError('bad_request', '--file names a file, --rank and --attempt find it.', {
      action: 'Leave out the one or the others.',
    });
  }
  if (attempt === undefined) return logOf(rank);
  const { attempts } = await context.client.call('getRun', { params });
  if (attempt < 1 || attempt > attempts) {
    throw new RunyardError('not_found', `There is no attempt ${attempt}: the run has had ${attempts}.`);
  }
  return attempt === attempts ? logOf(rank) : `attempts/${attempt}/${logOf(rank)}`;
}

/** Gives how many bytes it had. */
async function writeFileOf(
  context: Context,
  params: Record<string, string>,
  file: string,
  write: (bytes: Uint8Array) => void,
): Promise<number> {
  for (let offset = 0; ;) {
    const { data } = await context.client.bytes('readArtifact', { params, query: { path: file, offset } });
    if (data.byteLength === 0) return offset;
    write(data);
    offset += data.byteLength;
  }
}

async function submit(context: Context, [folder, ...given]: string[], options: SubmitOptions): Promise<void> {
  const tags: Record<string, string> = {};
  for (const pair of options.tag ?? []) {
    const at = pair.indexOf('=');
    if (at < 1)
      throw new RunyardError('bad_request', `"${pair}" is not a tag.`, { action: 'Write --tag key=value.' });
    tags[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const scriptArguments = [...(options.args ?? []), ...given];
  const inline = {
    ...(options.script ? { script: options.script, command: null } : {}),
    ...(scriptArguments.length > 0 ? { arguments: scriptArguments } : {}),
    ...(options.command ? { command: options.command, script: null } : {}),
    ...(options.compute ? { target: options.compute } : {}),
    ...inImage(options),
    ...jobConfiguration(options),
  };
  const absolute = path.resolve(folder!);
  const body: SubmitRequest = {
    folder: absolute,
    configurationName: options.config ?? (await onlyConfiguration(context, absolute, options)),
    configuration: inline,
    experiment: options.experiment,
    displayName: options.name,
    tags,
    interpreter: options.python,
    ...environmentOf(options, folder),
    environment: submitterEnvironment(),
    requestId: randomUUID(),
  };
  const { configurationName, interpreter, environment } = body;
  const launch = { configurationName, configuration: inline, interpreter, path: environment?.['PATH'] };
  await lookBefore(context, { folder: absolute, ...launch });
  const compute = options.compute ?? (await targetOf(context, absolute, configurationName));
  await reach(context, compute, options);
  await afterSubmit(
    context,
    await context.client.call('submitRun', { params: await context.params(), body }),
    options,
  );
}

/** An image alone is a matter of the configuration; that of a file's packages is not, see `environmentOf`. */
function inImage({ image, environment }: { image?: string; environment?: string }): object {
  return image === undefined || environment !== undefined
    ? {}
    : { docker: { useDocker: true, baseImage: image } };
}

/** A file (or the folder of an azureml_environment.json) by its absolute path; anything else is a name. */
function environmentOf(
  { environment: asked, image }: { environment?: string; image?: string },
  folder?: string,
): { useEnvironment?: string; useImage?: string | undefined } {
  if (asked === undefined) return {};
  // "digits" may be a folder here as well; files that environments are made of have a dot or are Dockerfiles.
  const mayBeFile = /[/\\.]/.test(asked) || /^Dockerfile/.test(asked);
  const isFile = existsSync(mayBeFile ? asked : path.join(asked, 'azureml_environment.json'));
  if (isFile) return { useEnvironment: path.resolve(asked), useImage: image };
  if (/[/\\]|\.(txt|in|pip|ya?ml|toml|json|dockerfile)$|^Dockerfile/i.test(asked)) {
    const inside = folder && existsSync(path.join(folder, asked)) ? path.join(folder, asked) : undefined;
    throw new RunyardError('not_found', `There is no file ${asked} here.`, {
      action: inside
        ? `Paths are relative to where you are: --environment ${inside}`
        : 'Name a file by its path from here, or an environment that "runyard environment list" shows.',
    });
  }
  return { useEnvironment: asked, useImage: image };
}

/** What keeps a host away is said before anything is written; `--even-if-away` goes on then. */
async function reach(context: Context, compute: string, options: { evenIfAway?: boolean }): Promise<void> {
  if (compute === localCompute) return;
  try {
    await connectFirst(context, compute);
  } catch (error) {
    if (!(error instanceof RunyardError) || error.code !== 'unavailable') throw error;
    if (!options.evenIfAway) {
      const action = [
        error.action,
        'To submit all the same, so that the run waits for the host: --even-if-away.',
      ];
      throw new RunyardError(error.code, error.message, {
        action: action.filter(Boolean).join(' '),
        cause: error,
      });
    }
    process.stderr.write(`${compute} cannot be reached now, the run waits for it: ${error.message}\n`);
  }
}

/** The target that a run configuration names. */
async function targetOf(context: Context, folder: string, configuration?: string): Promise<string> {
  if (configuration === undefined) return localCompute;
  const { configurations } = await context.client.call('listConfigurations', { query: { folder } });
  return configurations.find(({ name }) => name === configuration)?.configuration?.target || localCompute;
}

/** With nothing said, a folder's only run configuration is meant. Throws when there are several. */
async function onlyConfiguration(
  context: Context,
  folder: string,
  options: SubmitOptions,
): Promise<string | undefined> {
  if (options.script || options.command) return undefined;
  const { configurations, scripts } = await context.client.call('listConfigurations', { query: { folder } });
  if (configurations.length === 1) return configurations[0]!.name;
  const names = configurations.map((one) => one.name);
  throw new RunyardError('bad_request', 'It is not said what is to be run.', {
    action:
      names.length > 1
        ? `Choose a run configuration: --config ${names.join(' | ')}`
        : `Say --script FILE${scripts.length > 0 ? ` (there is: ${scripts.join(', ')})` : ''} or --command LINE.`,
  });
}

async function afterSubmit(
  context: Context,
  run: Run,
  options: { wait?: boolean; follow?: boolean },
): Promise<void> {
  if (!context.json) {
    const { warnings } = await context.client.call('getRun', {
      params: await context.params({ run: run.id }),
    });
    sayWarnings(warnings);
  }
  if (!options.wait && !options.follow) {
    print(context.json, run, () => runLine(run));
    return;
  }
  if (!context.json) process.stderr.write(`${runLine(run)}\n`);
  const tell = changeTeller();
  const onRun = (now: Run) => {
    const line = context.json ? undefined : tell(now);
    if (line) process.stderr.write(`${line}\n`);
  };
  const [write, writeBuild] = [writer(context.json), buildWriter(context.json)];
  const ended = options.follow
    ? await followLog(context, run.id, { write, writeBuild, onRun })
    : await waitForEnd(context, run.id, onRun);
  if (context.json) print(true, ended, () => '');
  else process.stderr.write(`${runLine(ended)}\n`);
  await sayWhatStayed(context, ended);
  if (ended.status !== 'Completed') {
    if (!context.json) sayWhy(ended, options.follow === true);
    failed();
  }
}

/** What the status line has not said: mostly what to do. */
function sayWhy({ id, error, statusReason }: Run, followed: boolean): void {
  if (!error) return;
  const reason = statusReason ?? '';
  const rest = error.message.startsWith(reason)
    ? error.message.slice(reason.length).replace(/^[.\s]+/, '')
    : error.message;
  if (rest) process.stderr.write(`${rest}\n`);
  if (error.code === 'environment' && error.tail && !followed)
    process.stderr.write(`The build's log: runyard run logs ${id}\n`);
}

function asNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('It is not a number.');
  return value;
}

function asCount(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It is not a whole number from 0 on.');
  return Number(text);
}

/** What an environment's build says goes beside the log: the one is the script's own. */
function buildWriter(json: boolean): (bytes: Uint8Array) => void {
  if (!json) return (bytes) => void process.stderr.write(bytes);
  const decoder = new TextDecoder();
  return (bytes) =>
    void process.stdout.write(`${JSON.stringify({ build: decoder.decode(bytes, { stream: true }) })}\n`);
}

/** Bytes as they are; with --json a string a line. */
function writer(json: boolean): (bytes: Uint8Array) => void {
  if (!json) return (bytes) => void process.stdout.write(bytes);
  const decoder = new TextDecoder();
  return (bytes) =>
    void process.stdout.write(`${JSON.stringify({ log: decoder.decode(bytes, { stream: true }) })}\n`);
}
