import type { Cursor, Notification } from '../protocol/messages.ts';
import type { Host } from './host.ts';

export interface WatchedAttempt {
  run: string;
  attempt: number;
  /** What is stored now; asked for at every (re)connection. */
  cursors(): Promise<Record<string, Cursor>> | Record<string, Cursor>;
  /**
   * Handles one notification; the next one waits for it. A failure ends the connection's watch, which is
   * then taken up again at what is stored.
   */
  handle(notification: Notification, payload: Uint8Array): Promise<void>;
  /** Handling failed (a full disk, say); it is tried again. */
  failed(error: Error): void;
  reachable(reachable: boolean): void;
  /** The agent does not know the attempt: it will never be heard of again. */
  lost(reason: string): void;
}

export interface Watch {
  stop(): void;
}

const retryAfterFailureMs = 1000;

/** Follows one attempt over broken connections, until stopped. */
export function watchAttempt(host: Host, watched: WatchedAttempt): Watch {
  let stopped = false;
  let stopCurrent = () => {};

  const once = async (): Promise<'again' | 'over'> => {
    const channel = await host.reconnect(() => !stopped);
    if (!channel || stopped) return 'over';
    watched.reachable(true);
    return new Promise((resolve, reject) => {
      let chain = Promise.resolve();
      let over = false;
      let id: number | undefined;
      const end = (how: 'again' | 'over') => {
        over = true;
        if (id !== undefined) channel.unwatch(id);
        // What is under way is finished first, so that the cursors of the next try are final.
        void chain.then(() => resolve(how));
      };
      stopCurrent = () => end('over');
      const handler = (notification: Notification, payload: Uint8Array) => {
        const size = payload.byteLength;
        chain = chain.then(async () => {
          if (over) return;
          try {
            await watched.handle(notification, payload);
            if (size > 0) channel.credit(notification.watch, size);
          } catch (error) {
            watched.failed(error as Error);
            setTimeout(() => end('again'), retryAfterFailureMs);
            over = true;
          }
        });
      };
      void channel.closed.then(() => {
        if (stopped) return;
        // Also while a failure is waited off: who wants to know when it is back must know that it went.
        watched.reachable(false);
        if (!over) end('again');
      });
      void (async () => {
        const cursors = await watched.cursors();
        if (over) return;
        id = await channel.watch({ run: watched.run, attempt: watched.attempt }, cursors, handler);
        if (over) channel.unwatch(id);
      })().catch((error: { code?: string; message?: string }) => {
        if (over) return;
        if (error.code === 'not_found') {
          watched.lost(error.message ?? '');
          end('over');
        } else if (error.code === 'unavailable') {
          end('again');
        } else {
          over = true;
          reject(error as Error);
        }
      });
    });
  };

  void (async () => {
    for (;;) {
      const how = await once().catch(
        () => new Promise<'again'>((resolve) => setTimeout(() => resolve('again'), retryAfterFailureMs)),
      );
      if (how === 'over' || stopped) return;
    }
  })();
  return {
    stop() {
      stopped = true;
      stopCurrent();
    },
  };
}
