import type { ConnectionStep } from '../api/compute.ts';
import { RunyardError } from '../api/errors.ts';
import { plainText } from './plain-text.ts';

/** What a step has found out; it is `ok` where nothing else is said. */
export type Finding = Partial<Pick<ConnectionStep, 'state' | 'action'>> & {
  detail: string;
  fix?: ConnectionStep['fix'];
};

/** What was done to reach a host, one after the other, for *Test Connection*. */
export class Steps {
  readonly all: ConnectionStep[] = [];
  private began = performance.now();

  /** A step that ended; it began where the one before ended. */
  done(id: string, title: string, finding: Finding): void {
    const now = performance.now();
    const { detail, state = 'ok', action = null, fix = null } = finding;
    this.all.push({
      id,
      title,
      state,
      detail: plainText(detail),
      action,
      fix,
      ms: Math.round(now - this.began),
    });
    this.began = now;
  }

  /** Does one step; a failure is kept with what to do, and thrown on. */
  async run<T>(id: string, title: string, work: () => Promise<T>, say: (result: T) => Finding): Promise<T> {
    let result: T;
    try {
      result = await work();
    } catch (error) {
      this.failed(id, title, error);
      throw error;
    }
    this.done(id, title, say(result));
    return result;
  }

  failed(id: string, title: string, error: unknown): void {
    const action = (error instanceof RunyardError ? error.action : undefined) ?? null;
    this.done(id, title, { state: 'failed', detail: (error as Error).message, action });
  }
}
