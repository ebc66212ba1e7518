import assert from 'node:assert/strict';
import { appendFileSync } from 'node:fs';
import { inspect } from 'node:util';

// The runner inside the extension host: tests register themselves, `run()` runs them one after the other and
// writes what became of each into the file that the outside reads.

type Body = () => void | Promise<void>;

interface Test {
  name: string;
  body: Body;
  limitMs: number;
}

const tests: Test[] = [];
const cleanups: Body[] = [];

/** Registers a test; `limitMs` only ends a hopeless one. */
export function test(name: string, body: Body, limitMs = 300_000): void {
  tests.push({ name, body, limitMs });
}

/** Registers what is to be done after all tests, the last first. */
export function after(body: Body): void {
  cleanups.push(body);
}

/** Waits until a condition holds: until it gives something other than undefined, null or false. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  limitMs = 120_000,
): Promise<NonNullable<T>> {
  const end = Date.now() + limitMs;
  for (;;) {
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) return value as NonNullable<T>;
    if (Date.now() > end) assert.fail(`not within ${limitMs / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function write(line: Record<string, unknown>): void {
  appendFileSync(process.env['RUNYARD_HOST_RESULTS']!, JSON.stringify(line) + '\n');
}

async function limited(body: Body, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not end within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    await Promise.race([body(), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function attempt(name: string, body: Body, limitMs: number): Promise<boolean> {
  const started = performance.now();
  const ms = (): number => Math.round(performance.now() - started);
  try {
    await limited(body, limitMs);
    if (name) write({ name, result: 'passed', ms: ms() });
    return true;
  } catch (error) {
    write({ name: name || 'clean-up', result: 'failed', ms: ms(), error: inspect(error) });
    return false;
  }
}

/** Runs all that `load` registers. Throws where a test failed, for a runner that only sees that. */
export async function runAll(load: () => unknown): Promise<void> {
  let failed = 0;
  const count = (passed: boolean): void => void (failed += passed ? 0 : 1);
  try {
    await load();
    for (const { name, body, limitMs } of tests) count(await attempt(name, body, limitMs));
    for (const body of cleanups.reverse()) count(await attempt('', body, 60_000));
  } catch (error) {
    failed++;
    write({ name: 'loading the tests', result: 'failed', error: inspect(error) });
  }
  write({ end: true, tests: tests.length });
  if (failed > 0) throw new Error(`${failed} of ${tests.length} tests failed`);
}
