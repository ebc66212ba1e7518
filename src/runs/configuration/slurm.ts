import type { ComputeSettings, SlurmChanges, SlurmOptions } from '../../api/compute.ts';
import { RunyardError } from '../../api/errors.ts';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import type { SlurmSpec } from '../../protocol/messages.ts';
import type { Layout } from './distributed.ts';

/** What counts of a target for the question how a run gets its machines. */
export type SchedulerSettings = Pick<ComputeSettings, 'scheduler' | 'slurm'>;

/** What sbatch is asked for; null where the target is no Slurm cluster. Throws `bad_request`. */
export function slurmOf(
  configuration: RunConfiguration,
  compute: string,
  settings: SchedulerSettings | null,
  { nodes }: Layout,
  warnings: string[],
): SlurmSpec | null {
  if (settings?.scheduler !== 'slurm') {
    if (nodes > 1) {
      throw new RunyardError(
        'bad_request',
        `The run asks for ${nodes} nodes; the compute target ${compute} is one machine.`,
        {
          action:
            'Choose a target that is a Slurm cluster, or set nodeCount: 1; several processes (pyTorch.processCount, mpi.processCountPerNode) can be started on one machine.',
        },
      );
    }
    if (Object.values(configuration.slurm ?? {}).some((value) => value !== null && value !== undefined)) {
      warnings.push(`The section "slurm" is not used: the compute target ${compute} is no Slurm cluster.`);
    }
    return null;
  }
  const found = over(settings.slurm, configuration.slurm ?? {});
  checkOptions(found);
  const { cpusPerTask, mpiLauncher, ...same } = found;
  return { ...same, cpus_per_task: cpusPerTask, mpi_launcher: mpiLauncher };
}

/** The target's options with the run's: a null takes the target's away, lines come after the target's. */
function over(target: SlurmOptions, run: SlurmChanges): SlurmOptions {
  const said = Object.fromEntries(Object.entries(run).filter(([, value]) => value !== undefined));
  return {
    ...target,
    ...said,
    options: [...target.options, ...(run.options ?? [])],
    setup: [...target.setup, ...(run.setup ?? [])],
  };
}

/** What cannot be asked of sbatch. Throws `bad_request`. */
export function checkOptions(options: SlurmChanges): void {
  for (const [name, value] of Object.entries(options)) if (value !== undefined) checkWord(name, value);
  for (const line of options.options ?? []) checkLine(line);
}

function checkWord(name: string, value: SlurmOptions[keyof SlurmOptions]): void {
  if (typeof value === 'string' && value !== value.trim()) {
    throw new RunyardError('bad_request', `slurm.${name} is no value for sbatch: "${value}".`, {
      action: 'Leave out the white space at its ends.',
    });
  }
  if (/\p{Surrogate}/u.test(Array.isArray(value) ? value.join('') : String(value))) {
    throw new RunyardError('bad_request', `slurm.${name} holds half a character.`);
  }
}

/** Options that a run has by itself, and what to do instead; `python/runyard_agent/spec_slurm.py` has the same. */
const ours = new Map<string, string>();
function own(reason: string, ...names: string[]): void {
  for (const name of names) ours.set(name, reason);
}
own('a run is one job', '--array', '-a');
own("the job's own output has its place", '--output', '-o', '--error', '-e', '--open-mode');
own('the command has no input', '--input', '-i');
own('the job is named after its run', '--job-name', '-J');
own('the run is found by it', '--comment');
own('say nodeCount', '--nodes', '-N');
own('say the number of processes', '--ntasks', '-n', '--ntasks-per-node');
own('the command runs in its snapshot', '--chdir', '-D');
own("the job's script is given", '--wrap');
own('nobody waits for sbatch', '--wait', '-W');
own('the answer is read as it is', '--parsable');
own('the job is to run', '--test-only');
own('a target is one cluster', '--clusters', '-M');
own("the variables are the run's", '--export', '--export-file');
own('a job is yours', '--uid', '--gid');
own('the supervisor keeps the time', '--signal');
own('', '--help', '--version', '--usage', '-V', '-h');

/** One line behind #SBATCH; it may hold several options. */
function checkLine(line: string): void {
  for (const word of wordsOf(line)) {
    const reason = word.startsWith('-') ? reasonAgainst(word) : undefined;
    if (reason === undefined) continue;
    throw new RunyardError(
      'bad_request',
      `The line "${line}" of slurm.options cannot be used${reason && `: ${reason}`}.`,
      { action: 'Leave it out, in the run configuration or in the settings of the compute target.' },
    );
  }
}

function reasonAgainst(word: string): string | undefined {
  // -N2 is -N 2, and -sN2 is -s -N 2.
  if (!word.startsWith('--')) {
    const [, flags, last] = /^-([HOQsuv]*)(.?)/.exec(word)!;
    return ours.get(`-${last || flags!.slice(-1)}`);
  }
  const name = word.split('=', 1)[0]!;
  const exact = ours.get(name);
  if (exact !== undefined || name === '--') return exact;
  // sbatch takes the beginning of a name for the name; where that could be several it says so itself.
  const whole = [...ours.keys()].find((one) => one.startsWith(name));
  return whole && ours.get(whole);
}

/** As sbatch takes a line apart: what is in quotes is one word, what is behind "#" is nothing. */
function wordsOf(line: string): string[] {
  return line.match(/(?:[^\s"'#]|"[^"]*"?|'[^']*'?)+|#.*/g)?.filter((word) => !word.startsWith('#')) ?? [];
}
