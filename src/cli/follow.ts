import type { Run } from '../api/entities.ts';
import { RunyardError } from '../api/errors.ts';
import { isTerminal } from '../api/run-status.ts';
import type { Context } from './context.ts';

const logPath = 'user_logs/std_log.txt';
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

/**
 * Writes a run's log as it comes, from its beginning, until the run has ended; the ended run is the result. What the
 * build of its environment says goes to `writeBuild`. They take bytes, so that nothing of the log is changed on its way.
 */
export async function followLog(
  context: Context,
  id: string,
  write: (bytes: Uint8Array) => void,
  writeBuild: (bytes: Uint8Array) => void,
): Promise<Run> {
  const params = await context.params({ run: id });
  const logs = [
    { path: buildPath, offset: 0, write: writeBuild },
    { path: logPath, offset: 0, write },
  ];
  let reading: Promise<void> | undefined;
  let again = false;
  const read = async () => {
    do {
      again = false;
      for (const log of logs) {
        for (;;) {
          const { path, offset } = log;
          const { data } = await context.client.bytes('readArtifact', { params, query: { path, offset } });
          if (data.byteLength === 0) break;
          log.write(data);
          log.offset += data.byteLength;
        }
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
    const run = await waitForEnd(context, id, () => {});
    // Nobody else reads from now on: what is read twice at a time is written twice.
    subscription.close();
    await reading;
    await read();
    return run;
  } finally {
    subscription.close();
  }
}
