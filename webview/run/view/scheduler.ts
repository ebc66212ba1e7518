import { html, nothing, type TemplateResult } from 'lit';
import type { RunDetail, RunScheduler } from '../../../src/api/entities.ts';
import { formatClock, formatTime } from '../../shared/format.ts';
import { t } from '../../shared/l10n.ts';
import { isLive } from '../state.ts';
import { pairs } from './parts.ts';

/** What Slurm says of the run's job. */
export function scheduler(run: RunDetail): TemplateResult | typeof nothing {
  const { scheduler: said } = run;
  if (!said) return nothing;
  const { job, partition, nodes, timeLimitAt, restarts } = said;
  const isWaiting = isLive(run) && said.state === 'PENDING';
  const entries: [string, unknown][] = [
    // What Slurm said last of a run that has ended may be of a moment before.
    [t('Job'), isLive(run) ? `${job}, ${stateText(said)}` : String(job)],
    [t('Nodes'), nodes ? html`<code>${nodes}</code>` : ''],
    [t('Partition'), partition ? html`<code>${partition}</code>` : ''],
    ...(isWaiting ? waiting(said) : []),
    [
      t('Time limit'),
      isLive(run) && timeLimitAt !== null
        ? html`<time title=${formatTime(timeLimitAt)}>${soon(timeLimitAt)}</time>`
        : '',
    ],
    [t('Requeued'), restarts === 0 ? '' : restarts === 1 ? t('once') : t('{0} times', restarts)],
  ];
  return pairs(
    t('Slurm'),
    entries.filter(([, value]) => value !== ''),
  );
}

function stateText({ state, reason }: RunScheduler): string {
  return reason === null ? state : `${state} (${reason})`;
}

function waiting({ position, partition, priority, expectedStart }: RunScheduler): [string, unknown][] {
  const place =
    position === null
      ? ''
      : partition
        ? t('{0} in {1}', position.toLocaleString(), partition)
        : position.toLocaleString();
  return [
    [t('Place'), place],
    [t('Priority'), priority === null ? '' : priority.toLocaleString()],
    [
      t('Expected to start'),
      expectedStart === null
        ? ''
        : html`<time title=${formatTime(expectedStart)}>${soon(expectedStart)}</time>`,
    ],
  ];
}

/** Time of day where it is within one, else with the date. */
function soon(time: number): string {
  return Math.abs(time - Date.now()) < 12 * 3_600_000 ? formatClock(time) : formatTime(time);
}
