/**
 * The life of a run. Names are Azure ML v1's. Only the supervisor moves a run on its host; the server
 * follows what the supervisor's events say, by this table.
 */
export const runStatuses = [
  'NotStarted',
  'Queued',
  'Preparing',
  'Starting',
  'Running',
  'CancelRequested',
  'NotResponding',
  'Finalizing',
  'Completed',
  'Failed',
  'Canceled',
] as const;

export type RunStatus = (typeof runStatuses)[number];

export const terminalStatuses = ['Completed', 'Failed', 'Canceled'] as const satisfies RunStatus[];

const live = ['Failed', 'CancelRequested', 'Canceled', 'NotResponding'] as const satisfies RunStatus[];

/**
 * From each status, the statuses that may follow. NotResponding goes back to where it was, or on to
 * whatever happened meanwhile; what has begun goes back to Queued when a scheduler requeues.
 */
export const transitions: Record<RunStatus, readonly RunStatus[]> = {
  NotStarted: ['Queued', 'Finalizing', 'Failed', 'CancelRequested', 'Canceled'],
  Queued: ['Preparing', 'Starting', 'Finalizing', ...live],
  Preparing: ['Starting', 'Queued', 'Finalizing', ...live],
  Starting: ['Running', 'Queued', 'Finalizing', ...live],
  Running: ['Finalizing', 'Queued', 'Completed', ...live],
  CancelRequested: ['Finalizing', 'Completed', 'Failed', 'Canceled', 'NotResponding'],
  NotResponding: [
    'Queued',
    'Preparing',
    'Starting',
    'Running',
    'CancelRequested',
    'Finalizing',
    'Completed',
    'Failed',
    'Canceled',
  ],
  Finalizing: ['Queued', 'Completed', 'Failed', 'Canceled', 'NotResponding'],
  Completed: [],
  Failed: [],
  Canceled: [],
};

export function isTerminal(status: RunStatus): boolean {
  return transitions[status].length === 0;
}

export function mayFollow(from: RunStatus, to: RunStatus): boolean {
  return transitions[from].includes(to);
}
