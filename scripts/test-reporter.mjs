// A reporter for `node --test`: one JSON line for each test that ended, for scripts/test.mjs to count.
import { inspect } from 'node:util';

/** A test's path of names would need its parents; file and name are enough to find it. */
export default async function* report(source) {
  for await (const { type, data } of source) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const skipped = data.skip !== undefined || data.todo !== undefined;
    const suite = data.details?.type === 'suite';
    // A suite fails where one of its tests did, which is counted already; by itself only in its own hooks.
    const ownFailure = data.details?.error?.failureType !== 'subtestsFailed';
    if (suite && (type === 'test:pass' || !ownFailure)) continue;
    const error = data.details?.error;
    yield (
      JSON.stringify({
        name: data.name,
        file: data.file,
        result: skipped ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed',
        reason: typeof data.skip === 'string' ? data.skip : undefined,
        ms: Math.round(data.details?.duration_ms ?? 0),
        error: error && type === 'test:fail' ? inspect(error.cause ?? error, { colors: false }) : undefined,
      }) + '\n'
    );
  }
}
