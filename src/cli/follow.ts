import type { Run } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import { isTerminal } from '../api/run-status.ts';
import type { Context } from './context.ts';

/** Where a process of a run writes; the first one is 0. */
export function logOf(rank: number): string {
  const suffix = rank === 0 ? '' : `_process_${String(rank).padStart(2, '0')}`;
  return `user_logs/std_log${suffix}.txt`;
}

const buildPath = 'user_logs/build_log.txt';
const slowPollMs = 2000;

/** Waits until a run has ended; says each change of its status. */
export async function waitForEnd(context: Context, id: string, onRun: (run: Run) => void): Promise<Run> {
  const params = await context.params({ run: id });
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => void look(), slowPollMs);
    const look = async () => {
      try {
        see(await context.client.call('getRun', { params }));
      } catch (error) {
        if (!(error instanceof RunyardError) || error.code !== 'unavailable')
          finish(() => reject(error as Error));
      }
    };
    const finish = (settle: () => void) => {
      clearInterval(timer);
      subscription.close();
      settle();
    };
    const see = (run: Run) => {
      if (run.id !== id) return;
      onRun(run);
      if (isTerminal(run.status)) finish(() => resolve(run));
    };
    const subscription = context.client.events(params['workspace']!, {
      onEvent: (event) => {
        if (event.type === 'run') see(event.run);
        else if (event.type === 'hello') void look();
        else if (event.type === 'run.deleted' && event.runId === id) {
          finish(() => reject(new RunyardError('not_found', `The run ${id} was deleted.`)));
        }
      },
    });
  });
}

export interface LogFollower {
  /** These take bytes, so that nothing of the log is changed on its way. */
  write: (bytes: Uint8Array) => void;
  /** Takes what the build of the run's environment says. */
  writeBuild: (bytes: Uint8Array) => void;
  /** Told of every change of the run. */
  onRun?: (run: Run) => void;
  /** The process whose log it is; the first one's by default. */
  rank?: number;
}

interface FollowedLog {
  path: string;
  /** Whose log it is, as far as is known; 0 before anything is. */
  attempt: number;
  offset: number;
  write: (bytes: Uint8Array) => void;
}

/** Writes what there is of a file from the log's offset on; gives the next one. */
async function copy(
  context: Context,
  params: Record<string, string>,
  log: FollowedLog,
  path: string,
): Promise<number> {
  for (let { offset } = log; ;) {
    const { data } = await context.client.bytes('readArtifact', { params, query: { path, offset } });
    if (data.byteLength === 0) return offset;
    log.write(data);
    offset += data.byteLength;
    log.offset = offset;
  }
}

/** What a requeued run has written before goes under another name once its next attempt writes: that begins anew. */
async function goOn(
  context: Context,
  params: Record<string, string>,
  log: FollowedLog,
  attempts: number,
): Promise<void> {
  const { artifacts } = await context.client.call('listArtifacts', { params });
  for (let attempt = log.attempt; attempt < attempts; attempt++) {
    const before = `attempts/${attempt}/${log.path}`;
    if (!artifacts.some(({ path }) => path === before)) continue;
    await copy(context, params, log, before);
    log.offset = 0;
    log.attempt = attempt + 1;
  }
}

/**
 * Writes a run's log as it comes, from its beginning, until the run has ended; the ended run is the result. A run that
 * was requeued has a new log with each attempt: it is followed from its beginning.
 */
export async function followLog(context: Context, id: string, follower: LogFollower): Promise<Run> {
  const params = await context.params({ run: id });
  const logs: FollowedLog[] = [
    { path: buildPath, attempt: 0, offset: 0, write: follower.writeBuild },
    { path: logOf(follower.rank ?? 0), attempt: 0, offset: 0, write: follower.write },
  ];
  let attempts = 0;
  let reading: Promise<void> | undefined;
  let again = false;
  const read = async () => {
    do {
      again = false;
      for (const log of logs) {
        if (log.attempt < attempts) await goOn(context, params, log, attempts);
        log.offset = await copy(context, params, log, log.path);
      }
    } while (again);
  };
  const look = () => {
    again = true;
    reading ??= read()
      .catch(() => undefined)
      .finally(() => (reading = undefined));
    return reading;
  };
  const subscription = context.client.events(params['workspace']!, {
    onEvent: (event) => {
      if (event.type === 'log' && event.runId === id && logs.some(({ path }) => path === event.path))
        void look();
      else if (event.type === 'hello') void look();
    },
  });
  try {
    const run = await waitForEnd(context, id, (now) => {
      attempts = Math.max(attempts, now.attempts);
      for (const log of logs) log.attempt ||= attempts;
      follower.onRun?.(now);
    });
    // Nobody else reads from now on: what is read twice at a time is written twice.
    subscription.close();
    await reading;
    await read();
    return run;
  } finally {
    subscription.close();
  }
}
