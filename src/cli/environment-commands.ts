import path from 'node:path';
import { type Command, Option } from 'commander';
import { localCompute } from '../api/compute.ts';
import {
  packageHomes,
  type BuildLine,
  type CreateEnvironmentRequest,
  type CreatedEnvironment,
  type EnvironmentDetail,
  type EnvironmentFacts,
  type RunEnvironment,
} from '../api/environment.ts';
import { RunyardError } from '../api/errors.ts';
import type { Context } from './context.ts';
import { untilInterrupted } from './interrupt.ts';
import { jsonLines } from './json-lines.ts';
import {
  counted,
  formatBytes,
  formatDuration,
  formatTime,
  print,
  sayError,
  sayWarnings,
  table,
} from './output.ts';
import { connectFirst } from './prompting.ts';
import { failed, type Register } from './register.ts';
import { submitterEnvironment } from './submitter.ts';

const aName = 'a name, or name:version';

/** `runyard environment ...` */
export function addEnvironmentCommands(program: Command, register: Register): void {
  const environment = program
    .command('environment')
    .description('Environments: what runs find installed, by name and version');

  register(
    environment.command('list').description('Environments, each at its latest version'),
    async (context) => {
      const { environments } = await context.client.call('listEnvironments', {
        params: await context.params(),
      });
      print(context.json, environments, () =>
        table(
          ['ENVIRONMENT', 'VERSION', 'KIND', 'WHAT', 'RUNS', 'UNPINNED', 'CREATED'],
          environments.map((one) => [
            one.name,
            String(one.version),
            one.kind,
            one.summary,
            String(one.runs),
            String(one.unpinned.length),
            formatTime(one.createdAt),
          ]),
        ),
      );
    },
  );

  register(
    environment
      .command('show')
      .argument('<environment>', aName)
      .description('One environment, and what uses it'),
    async (context, [asked]) => {
      const found = await context.client.call('getEnvironment', {
        params: await context.params({ environment: asked! }),
      });
      print(context.json, found, () => describe(found));
    },
  );

  register(
    environment
      .command('create')
      .argument('<name>', 'how it is called; a name that is there gets a new version')
      .argument(
        '[file]',
        'requirements.txt, environment.yml, pyproject.toml, Dockerfile, or the folder of an azureml_environment.json',
      )
      .description('Register an environment; the same content makes no new version')
      .option('--image <name>', 'a base image: alone it is the environment, with a file packages go into it')
      .option(
        '--python <interpreter>',
        'an interpreter: alone it is the environment, with a file a venv is made with it',
      )
      .option('--conda <environment>', 'an existing conda environment, by name or folder')
      .addOption(new Option('--into <where>', 'where packages are installed').choices(packageHomes)),
    create,
  );

  register(
    building(
      environment.command('build').argument('<environment>', aName).description('Build it ahead of a run'),
    ),
    (context, [asked], options: { compute: string }) => build(context, asked!, options.compute, false),
  );
  register(
    building(
      environment
        .command('rebuild')
        .argument('<environment>', aName)
        .description('Build it anew: packages without an exact version become what they are today'),
    ),
    (context, [asked], options: { compute: string }) => build(context, asked!, options.compute, true),
  );

  register(
    environment
      .command('freeze')
      .argument('<environment>', aName)
      .description('A copy with every package at the version a run has found installed')
      .option('--as <name>', "the copy's name; by default <environment>-frozen")
      .option('--run <run>', 'of this run; by default the latest that knows its packages'),
    async (context, [asked], options: { as?: string; run?: string }) => {
      const frozen = await context.client.call('freezeEnvironment', {
        params: await context.params({ environment: asked! }),
        body: { name: options.as, run: options.run },
      });
      printCreated(context, frozen);
    },
  );

  register(
    environment
      .command('export')
      .argument('<environment>', aName)
      .argument('<folder>', 'made when it is not there')
      .description("Write Azure ML v1's azureml_environment.json, conda_dependencies.yml, BaseDockerfile"),
    async (context, [asked, folder]) => {
      const written = await context.client.call('exportEnvironment', {
        params: await context.params({ environment: asked! }),
        body: { folder: path.resolve(folder!) },
      });
      sayWarnings(written.warnings);
      print(context.json, written, () => written.files.map((file) => `wrote ${file}`));
    },
  );

  register(
    environment
      .command('delete')
      .argument('<environment>', 'a name with all its versions, or name:version')
      .description('Forget it; runs keep what they used, builds stay until they are cleaned up'),
    async (context, [asked]) => {
      await context.client.call('deleteEnvironment', {
        params: await context.params({ environment: asked! }),
      });
      print(context.json, { deleted: asked }, () => `deleted ${asked}`);
    },
  );

  register(
    environment
      .command('packages')
      .argument('<run>', 'the id of a run, in full')
      .description('The packages that a run has found installed, as lines of a requirements.txt'),
    async (context, [run]) => {
      const found = await context.client.call('getRunEnvironment', {
        params: await context.params({ run: run! }),
      });
      print(context.json, found, () => packageLines(found));
    },
  );

  register(
    environment
      .command('diff')
      .argument('<run>', 'the id of a run, in full')
      .argument('<other>', 'the id of another one')
      .description('How the environments of two runs differ'),
    async (context, [run, other]) => {
      const found = await context.client.call('compareRunEnvironments', {
        params: await context.params({ run: run! }),
        query: { with: other! },
      });
      const rows = [...found.facts, ...found.packages];
      print(context.json, found, () => [
        ...(rows.length > 0
          ? table(
              ['WHAT', run!, other!],
              rows.map((row) => [row.name, row.left ?? '-', row.right ?? '-']),
            )
          : []),
        found.problem ?? `${counted(found.same, 'package')} the same`,
      ]);
    },
  );

  register(
    environment
      .command('built')
      .description('What is built on a compute target, and how large it is')
      .option('--compute <name>', 'the compute target', localCompute),
    async (context, _args, { compute }: { compute: string }) => {
      if (compute !== localCompute) await connectFirst(context, compute);
      const { environments } = await context.client.call('listHostEnvironments', { params: { compute } });
      print(context.json, environments, () =>
        table(
          ['KEY', 'ENVIRONMENT', 'KIND', 'STATE', 'SIZE', 'PACKAGES', 'BUILT', 'USED', 'RUNS NOW'],
          environments.map((one) => [
            one.key.slice(0, 16),
            one.name === null ? (one.label ?? '-') : `${one.name}:${one.version}`,
            one.kind,
            one.state,
            one.bytes === null ? '-' : formatBytes(one.bytes),
            one.packages === null ? '-' : String(one.packages),
            formatTime(one.builtAt),
            formatTime(one.usedAt),
            String(one.inUse),
          ]),
        ),
      );
    },
  );

  register(
    environment
      .command('remove-build')
      .argument('<key>', 'as "runyard environment built" names it, or its beginning')
      .description('Remove what is built on a compute target; the next run that needs it builds it again')
      .option('--compute <name>', 'the compute target', localCompute),
    async (context, [key], { compute }: { compute: string }) => {
      if (compute !== localCompute) await connectFirst(context, compute);
      const { environments } = await context.client.call('listHostEnvironments', { params: { compute } });
      const meant = environments.filter((one) => one.key.startsWith(key!));
      if (meant.length !== 1) {
        throw new RunyardError(
          'not_found',
          meant.length === 0
            ? `Nothing is built on ${compute} whose key begins with ${key}.`
            : `Several builds begin with ${key}.`,
          { action: 'List them with "runyard environment built".' },
        );
      }
      await context.client.call('removeHostEnvironment', { params: { compute, key: meant[0]!.key } });
      print(context.json, { removed: meant[0]!.key }, () => `removed ${meant[0]!.key.slice(0, 16)}`);
    },
  );
}

function building(command: Command): Command {
  return command.option('--compute <name>', 'where', localCompute);
}

async function create(
  context: Context,
  [name, file]: string[],
  options: { image?: string; python?: string; conda?: string; into?: (typeof packageHomes)[number] },
): Promise<void> {
  const { image, python, conda, into } = options;
  if (file === undefined && image === undefined && python === undefined && conda === undefined) {
    throw new RunyardError('bad_request', 'It is not said what the environment is made of.', {
      action: 'Name a file, or say --image, --python or --conda.',
    });
  }
  if (file !== undefined && conda !== undefined) {
    throw new RunyardError('bad_request', 'An existing conda environment is used as it is, without a file.');
  }
  const body: CreateEnvironmentRequest =
    file === undefined
      ? {
          name: name!,
          definition: { image: image ?? null, interpreter: python ?? null, condaEnvironment: conda ?? null },
        }
      : { name: name!, file: path.resolve(file), image, into, interpreter: python };
  printCreated(
    context,
    await context.client.call('createEnvironment', { params: await context.params(), body }),
  );
}

function printCreated(context: Context, one: CreatedEnvironment): void {
  sayWarnings(one.warnings);
  if (one.unpinned.length > 0)
    sayWarnings([
      `without an exact version: ${one.unpinned.join(', ')}; "runyard environment freeze" pins them`,
    ]);
  print(context.json, one, () =>
    one.created
      ? `${one.name}:${one.version}  ${one.summary}`
      : `${one.name}:${one.version} has this content already: ${one.summary}`,
  );
}

async function build(context: Context, asked: string, compute: string, rebuild: boolean): Promise<void> {
  if (compute !== localCompute) await connectFirst(context, compute);
  const params = await context.params({ environment: asked });
  const body = { compute, rebuild, environment: submitterEnvironment() };
  await untilInterrupted(async (signal) => {
    const stream = await context.client.stream('buildEnvironment', { params, body, signal });
    // Without a reason to wait it was built before: its log would look like a build.
    let held: string[] | undefined = [];
    const writeHeld = () => {
      for (const log of held ?? []) process.stdout.write(log);
      held = undefined;
    };
    for await (const one of jsonLines<BuildLine>(stream)) {
      if ('reason' in one || 'error' in one) writeHeld();
      if (context.json) print(true, one, () => '');
      else if ('log' in one) {
        if (held) held.push(one.log);
        else process.stdout.write(one.log);
      } else if ('reason' in one) process.stderr.write(`${one.reason}\n`);
      else if ('result' in one) process.stderr.write(`${built(one.result, held !== undefined)}\n`);
      if ('error' in one) {
        failed();
        if (!context.json) sayError(one.error.message, one.error.action);
      }
    }
  });
}

function built(facts: EnvironmentFacts, already: boolean): string {
  const packages = facts.packages ? `, ${counted(facts.packages.length, 'package')}` : '';
  const waited = facts.waited_ms ? ` in ${formatDuration(facts.waited_ms)}` : '';
  return `${already ? 'built already' : `ready${waited}`}: ${facts.image ?? facts.interpreter ?? facts.kind ?? ''}${packages}, built ${formatTime(facts.built ?? null)}`;
}

function describe(one: EnvironmentDetail): string[] {
  const { definition } = one;
  const pairs: [string, string][] = [
    ['environment', `${one.name}:${one.version}`],
    ['kind', one.kind],
    ['what', one.summary],
    ['hash', one.hash],
    ['versions', one.versions.join(', ')],
    ['created', formatTime(one.createdAt)],
  ];
  if (definition.interpreter) pairs.push(['python', definition.interpreter]);
  for (const name of Object.keys(definition.variables)) pairs.push(['variable', name]);
  if (one.unpinned.length > 0) pairs.push(['unpinned', one.unpinned.join(', ')]);
  pairs.push(['used by', one.usedBy.length > 0 ? one.usedBy.join(', ') : 'no run']);
  const width = Math.max(...pairs.map(([name]) => name.length));
  const conda = definition.condaSpecification;
  const text = [
    definition.dockerfile,
    definition.requirements,
    conda && [...conda.conda, ...conda.pip.map((line) => `pip: ${line}`)].join('\n'),
  ].filter(Boolean);
  return [
    ...pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    ...text.flatMap((one) => ['', one!.trimEnd()]),
  ];
}

function packageLines(found: RunEnvironment): string[] {
  const { facts } = found;
  const head = [
    `# ${found.label}${facts?.python ? `, Python ${facts.python}` : ''}${facts?.image_id ? `, image ${facts.image_id.slice(0, 19)}` : ''}`,
  ];
  if (facts?.built)
    head.push(`# built ${formatTime(facts.built)}${facts.cached ? ' by an earlier run' : ''}`);
  if (!facts?.packages) return [...head, '# the packages are not known'];
  return [...head, ...facts.packages.map((one) => `${one.name}==${one.version}`)];
}
