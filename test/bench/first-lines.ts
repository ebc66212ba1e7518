import type { Subscription } from '../../src/client/event-stream.ts';
import type { TestHome } from '../support/home.ts';

/** Waits for the first line of a run's log in a client. */
export class FirstLines {
  private readonly home: TestHome;
  private readonly subscription: Subscription;
  private readonly joined: Promise<void>;
  private readonly seen = new Set<string>();
  private onLog: (runId: string) => void = () => {};

  constructor(home: TestHome) {
    this.home = home;
    let joined = () => {};
    this.joined = new Promise((resolve) => (joined = resolve));
    this.subscription = home.client.events('default', {
      onEvent: (event) => {
        if (event.type === 'hello') joined();
        else if (event.type === 'log' && event.path === 'user_logs/std_log.txt') {
          this.seen.add(event.runId);
          this.onLog(event.runId);
        }
      },
    });
  }

  /** Milliseconds from a submit to its first line; then waits for the run's end. */
  async after(submit: () => Promise<{ id: string }>): Promise<number> {
    await this.joined;
    const start = performance.now();
    const { id } = await submit();
    if (!this.seen.has(id)) {
      await new Promise<void>((resolve) => {
        this.onLog = (runId) => {
          if (runId === id) resolve();
        };
      });
    }
    const took = performance.now() - start;
    const { status, error } = await this.home.ended(id);
    if (status !== 'Completed') throw new Error(JSON.stringify(error));
    return took;
  }

  close(): void {
    this.subscription.close();
  }
}
