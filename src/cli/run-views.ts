import type { Run, RunDetail, RunScheduler } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import { isTerminal } from '../api/run-status.ts';
import type { Context } from './context.ts';
import { counted, formatBytes, formatDuration, formatTime, print, table } from './output.ts';

/** Metrics of a run, or the points of one. */
export async function showMetrics(
  context: Context,
  [id]: string[],
  options: { name?: string; from?: number; to?: number; points: number },
): Promise<void> {
  const params = await context.params({ run: id! });
  if (options.name === undefined) {
    const { series } = await context.client.call('listSeries', { params });
    print(context.json, series, () =>
      table(
        ['METRIC', 'LAST', 'STEP', 'MIN', 'MAX', 'POINTS'],
        series.map((one) => [
          one.name,
          String(one.last),
          String(one.lastStep),
          String(one.min),
          String(one.max),
          String(one.count),
        ]),
      ),
    );
    return;
  }
  const { windows } = await context.client.call('getWindows', {
    params,
    body: {
      names: [options.name],
      points: options.points,
      ...(options.from === undefined ? {} : { from: options.from }),
      ...(options.to === undefined ? {} : { to: options.to }),
    },
  });
  const window = windows[0];
  if (!window) {
    throw new RunyardError('not_found', `The run ${id} has no metric "${options.name}".`, {
      action: `List its metrics with "runyard run metrics ${id}".`,
    });
  }
  print(context.json, window, () => window.steps.map((step, i) => `${step}\t${window.values[i]}`));
}

/** Everything of a run that fits on a page. */
export function describe(run: RunDetail): string[] {
  const pairs: [string, string][] = [
    ['run', run.id],
    ['name', run.displayName],
    ['experiment', run.experiment],
    ['status', `${run.status}${run.statusReason ? ` - ${run.statusReason}` : ''}`],
    ['compute', run.compute],
    ...(run.scheduler ? schedulerPairs(run.scheduler, !isTerminal(run.status)) : []),
    ...(run.attempts > 1 ? [['attempts', String(run.attempts)] as [string, string]] : []),
    ['environment', run.environment.label],
    ['command', run.command.join(' ')],
    ['folder', run.sourceDirectory],
    ['created', formatTime(run.createdAt)],
    ['started', formatTime(run.startedAt)],
    ['ended', formatTime(run.endedAt)],
    ['duration', formatDuration(run.durationMs)],
    ['exit code', String(run.exitCode ?? '-')],
    [
      'snapshot',
      run.snapshot
        ? `${run.snapshot.id} (${counted(run.snapshot.files, 'file')}, ${formatBytes(run.snapshot.bytes)})`
        : '-',
    ],
    [
      'git',
      run.git?.commit ? `${run.git.commit} ${run.git.branch ?? ''}${run.git.dirty ? ' (dirty)' : ''}` : '-',
    ],
  ];
  for (const [name, value] of Object.entries(run.parameters)) pairs.push([`parameter ${name}`, value]);
  for (const [name, value] of Object.entries(run.tags)) pairs.push([`tag ${name}`, value]);
  for (const one of run.series)
    pairs.push([
      `metric ${one.name}`,
      `${one.last} (step ${one.lastStep}, ${one.count} ${one.count === 1 ? 'point' : 'points'})`,
    ]);
  for (const warning of run.warnings) pairs.push(['warning', warning]);
  if (run.badJournalLines > 0) pairs.push(['bad lines', `${run.badJournalLines} (${run.badJournalReason})`]);
  if (run.error) pairs.push(['error', run.error.message]);
  const width = Math.max(...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
}

/**
 * What is said of a run that somebody waits for, as it comes: why it waits, and where it runs on a cluster. Gives a
 * line, or nothing where it has been said; the end is not its matter.
 */
export function changeTeller(): (run: Run) => string | undefined {
  // What comes and goes is said once an attempt.
  const said = new Set<string>();
  return (run) => {
    const text = changeOf(run);
    const key = `${run.attempts} ${text}`;
    if (!text || said.has(key)) return undefined;
    said.add(key);
    return `${run.id}  ${text}`;
  };
}

function changeOf({ status, statusReason, scheduler, attempts, hostReachable }: Run): string | undefined {
  if (!hostReachable && !isTerminal(status)) return `${status}  Its host cannot be reached; it goes on there`;
  const job = scheduler ? ` (job ${scheduler.job})` : '';
  // "Submitted" says no more than the line before it.
  if (status === 'Queued' && statusReason !== 'Submitted') {
    return `Queued  ${statusReason}${statusReason.includes(`job ${scheduler?.job}`) ? '' : job}`;
  }
  if (status !== 'Running' || scheduler?.state !== 'RUNNING' || !scheduler.nodes) return undefined;
  const again = attempts > 1 ? `, attempt ${attempts}` : '';
  return `Running  On ${scheduler.nodes}${job}${again}`;
}

/** What Slurm says of the run's job. */
function schedulerPairs(scheduler: RunScheduler, isLive: boolean): [string, string][] {
  const { job, state, reason, partition, nodes, position, priority, expectedStart, timeLimitAt, restarts } =
    scheduler;
  // The third: said of the moment. Of a run that has ended it may be of one before.
  const pairs: [string, string | null, boolean?][] = [
    ['slurm job', String(job)],
    ['slurm state', reason === null ? state : `${state} (${reason})`, true],
    ['partition', partition],
    ['nodes', nodes],
    ['place', position === null ? null : `${position}${partition === null ? '' : ` in ${partition}`}`, true],
    ['priority', priority === null ? null : String(priority), true],
    ['expected', expectedStart === null ? null : formatTime(expectedStart), true],
    ['time limit', timeLimitAt === null ? null : formatTime(timeLimitAt), true],
    ['restarts', restarts === 0 ? null : String(restarts)],
  ];
  return pairs.flatMap(([name, value, ofNow]) =>
    value === null || (ofNow && !isLive) ? [] : [[name, value] as [string, string]],
  );
}
