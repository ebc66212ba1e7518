import type { Context } from './context.ts';
import { untilInterrupted } from './interrupt.ts';
import { counted, formatBytes, print } from './output.ts';
import { connectFirst } from './prompting.ts';

/** Brings files that are on the host only into the workspace, and says how far it is. */
export async function fetchFiles(context: Context, id: string, paths: string[]): Promise<void> {
  const params = await context.params({ run: id });
  const { compute } = await context.client.call('getRun', { params });
  await connectFirst(context, compute);
  const shown = process.stderr.isTTY && !context.json;
  const subscription = context.client.events(params['workspace']!, {
    onEvent: (event) => {
      if (event.type !== 'fetch' || event.runId !== id || !shown) return;
      const done = `${formatBytes(event.bytes)} of ${formatBytes(event.totalBytes)}`;
      process.stderr.write(`\r\u001b[K${event.path}  ${done}${event.done ? '\n' : ''}`);
    },
  });
  try {
    const { artifacts } = await untilInterrupted((signal) =>
      context.client.call('fetchArtifacts', { params, body: paths.length > 0 ? { paths } : {}, signal }),
    );
    const left = artifacts.filter(({ stored }) => !stored);
    print(context.json, artifacts, () =>
      left.length === 0
        ? 'everything is in the workspace'
        : `${counted(left.length, 'file')} of the run ${left.length === 1 ? 'is' : 'are'} on ${compute} only`,
    );
  } finally {
    subscription.close();
  }
}
