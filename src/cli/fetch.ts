import type { Context } from './context.ts';
import { localCompute } from '../api/compute.ts';
import type { Artifact, Run } from '../api/entities.ts';
import { isTerminal } from '../api/run-status.ts';
import { untilInterrupted } from './interrupt.ts';
import { counted, formatBytes, print } from './output.ts';
import { connectFirst } from './prompting.ts';

/** Brings files that are on the host only into the workspace, and says how far it is. */
export async function fetchFiles(context: Context, id: string, paths: string[]): Promise<void> {
  const params = await context.params({ run: id });
  const { compute } = await context.client.call('getRun', { params });
  const { artifacts: before } = await context.client.call('listArtifacts', { params });
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
    const were = new Set(before.filter(({ stored }) => !stored).map((one) => one.path));
    const came = artifacts.filter((one) => one.stored && were.has(one.path));
    print(context.json, artifacts, () => [
      came.length > 0
        ? `fetched ${amount(came)}`
        : 'nothing to fetch: what was asked for is in the workspace',
      ...(left.length > 0
        ? [`${amount(left)} of the run ${left.length === 1 ? 'is' : 'are'} on ${compute} only`]
        : []),
    ]);
  } finally {
    subscription.close();
  }
}

/** Says at the end of a run what of it stayed on its host, and how to get it. */
export async function sayWhatStayed(context: Context, { id, compute, status }: Run): Promise<void> {
  if (compute === localCompute || !isTerminal(status) || context.json) return;
  const params = await context.params({ run: id });
  const { artifacts } = await context.client.call('listArtifacts', { params });
  const left = artifacts.filter(({ stored }) => !stored);
  if (left.length === 0) return;
  process.stderr.write(
    `${amount(left)} stayed on ${compute}; to bring ${left.length === 1 ? 'it' : 'them'} here: runyard run fetch ${id}\n`,
  );
}

function amount(files: readonly Artifact[]): string {
  return `${counted(files.length, 'file')} (${formatBytes(files.reduce((sum, { size }) => sum + size, 0))})`;
}
