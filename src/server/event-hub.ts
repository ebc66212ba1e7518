import type { ServerResponse } from 'node:http';
import type { ServerEvent } from '../api/events.ts';
import type { OpenWorkspace } from '../store/workspaces.ts';

const keepAliveMs = 15_000;
/** A listener that is this far behind is cut off; it comes back where it was. */
const mostBufferedBytes = 8 * 1024 * 1024;

/** Server-sent events of the workspaces, with resume. */
export class EventHub {
  private readonly listeners = new Map<string, Set<ServerResponse>>();
  private readonly timer: NodeJS.Timeout;
  private readonly changed: () => void;

  /** `changed` is called whenever somebody came or went. */
  constructor(changed: () => void) {
    this.changed = changed;
    this.timer = setInterval(() => this.everyone((res) => res.write(': still here\n\n')), keepAliveMs);
    this.timer.unref();
  }

  get connections(): number {
    let count = 0;
    for (const set of this.listeners.values()) count += set.size;
    return count;
  }

  /**
   * Answers a request with the events from `lastEventId` on and then as they happen. Reading what is stored
   * and joining the listeners is one step, so nothing falls between.
   */
  join(workspace: OpenWorkspace, res: ServerResponse, lastEventId: string | undefined): void {
    res.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      connection: 'keep-alive',
    });
    const { reader, file } = workspace;
    const last = lastEventId === undefined ? undefined : Number(lastEventId);
    const bounds = reader.get<{ oldest: number | null; newest: number | null }>(
      'SELECT min(id) AS oldest, max(id) AS newest FROM events',
    )!;
    const newest = bounds.newest ?? 0;
    const resumable = last !== undefined && last <= newest && last >= (bounds.oldest ?? 1) - 1;
    const reset = last !== undefined && !resumable;
    // A client that comes for the first time begins at the newest event.
    res.write(frame({ type: 'hello', reset }, resumable ? last : newest));
    if (resumable) {
      const missed = reader.all<{ id: number; event: string }>(
        'SELECT id, event FROM events WHERE id > ? ORDER BY id',
        last,
      );
      for (const { id, event } of missed) res.write(`id: ${id}\ndata: ${event}\n\n`);
    }
    let set = this.listeners.get(file);
    if (!set) this.listeners.set(file, (set = new Set()));
    set.add(res);
    res.on('close', () => {
      set.delete(res);
      this.changed();
    });
    this.changed();
  }

  /** To everybody who listens to the workspace with this database file. */
  publish(file: string, event: object, id: number | null): void {
    const text = frame(event, id);
    for (const res of this.listeners.get(file) ?? []) {
      if (res.writableEnded) continue;
      if (res.writableLength > mostBufferedBytes) res.destroy();
      else res.write(text);
    }
  }

  /** Ends the streams of a workspace that is no more. */
  dismiss(file: string): void {
    for (const res of this.listeners.get(file) ?? []) res.end();
  }

  /** To everybody. */
  announce(event: ServerEvent): void {
    const text = frame(event, null);
    this.everyone((res) => res.write(text));
  }

  close(reason: string): void {
    clearInterval(this.timer);
    this.announce({ type: 'bye', reason });
    this.everyone((res) => res.end());
  }

  private everyone(action: (res: ServerResponse) => void): void {
    for (const set of this.listeners.values()) for (const res of set) if (!res.writableEnded) action(res);
  }
}

function frame(event: object, id: number | null): string {
  return `${id === null ? '' : `id: ${id}\n`}data: ${JSON.stringify(event)}\n\n`;
}
