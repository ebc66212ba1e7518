import * as vscode from 'vscode';
import type { Subscription } from '../client/client.ts';
import type { ServerEvent } from '../api/events.ts';
import type { Connection } from './connection.ts';
import type { Log } from './log.ts';

export interface LiveEvent {
  workspace: string;
  event: ServerEvent;
}

export type LineState = 'connecting' | 'connected' | 'reconnecting';

/** Behind the event stream: whoever watches looks again this often, whatever the stream says. */
const slowPollMs = 60_000;
/** A stream outlives its last watcher by this, so that changing tabs does not close and open it. */
const lingerMs = 5_000;
const retryMs = 15_000;

interface Stream {
  watchers: number;
  state: LineState;
  subscription: Subscription | undefined;
  poll: NodeJS.Timeout;
  /** To close after the last watcher, or to try again. */
  timer: NodeJS.Timeout | undefined;
  closed: boolean;
}

/** The event streams of workspaces: open while somebody watches, closed when nobody does. */
export class Live implements vscode.Disposable {
  private readonly connection: Connection;
  private readonly log: Log;
  private readonly streams = new Map<string, Stream>();
  private readonly happened = new vscode.EventEmitter<LiveEvent>();
  private readonly stale = new vscode.EventEmitter<string>();
  private readonly line = new vscode.EventEmitter<{ workspace: string; state: LineState }>();
  private readonly homeListener: vscode.Disposable;

  /** What happened, in a workspace that somebody watches. */
  readonly onEvent = this.happened.event;
  /** The workspace's state must be fetched again: events may have been missed. */
  readonly onLookAgain = this.stale.event;
  /** Whether the line to the server stands. */
  readonly onState = this.line.event;

  constructor(connection: Connection, log: Log) {
    this.connection = connection;
    this.log = log;
    this.homeListener = connection.onDidChangeHome(() => {
      for (const [name, stream] of [...this.streams]) {
        this.shut(name, stream);
        if (stream.watchers === 0) continue;
        this.open(name).watchers = stream.watchers;
      }
    });
  }

  /** Keeps the events of a workspace coming until disposed. */
  watch(workspace: string): vscode.Disposable {
    const stream = this.streams.get(workspace) ?? this.open(workspace);
    stream.watchers += 1;
    if (stream.watchers === 1 && stream.subscription) clearTimeout(stream.timer);
    return once(() => {
      const now = this.streams.get(workspace);
      if (!now || --now.watchers > 0) return;
      clearTimeout(now.timer);
      now.timer = setTimeout(() => this.shut(workspace, now), lingerMs);
    });
  }

  /** Whether the line of a watched workspace stands. */
  state(workspace: string): LineState {
    return this.streams.get(workspace)?.state ?? 'connecting';
  }

  dispose(): void {
    this.homeListener.dispose();
    for (const [name, stream] of [...this.streams]) this.shut(name, stream);
    this.happened.dispose();
    this.stale.dispose();
    this.line.dispose();
  }

  private open(workspace: string): Stream {
    const stream: Stream = {
      watchers: 0,
      state: 'connecting',
      subscription: undefined,
      poll: setInterval(() => this.stale.fire(workspace), slowPollMs),
      timer: undefined,
      closed: false,
    };
    this.streams.set(workspace, stream);
    void this.follow(workspace, stream);
    return stream;
  }

  private async follow(workspace: string, stream: Stream): Promise<void> {
    try {
      const client = await this.connection.client();
      if (stream.closed) return;
      stream.subscription = client.events(workspace, {
        onEvent: (event) => {
          if (stream.closed) return;
          this.happened.fire({ workspace, event });
          if (event.type === 'hello') this.stale.fire(workspace);
        },
        onState: (state) => {
          if (stream.closed || stream.state === state) return;
          stream.state = state;
          this.line.fire({ workspace, state });
        },
      });
    } catch (error) {
      // Whoever watches sees this error in its own calls; here it is only tried again.
      this.log.warn(`No events of ${workspace}: ${String(error)}`);
      if (!stream.closed) stream.timer = setTimeout(() => void this.follow(workspace, stream), retryMs);
    }
  }

  private shut(workspace: string, stream: Stream): void {
    stream.closed = true;
    clearInterval(stream.poll);
    clearTimeout(stream.timer);
    stream.subscription?.close();
    if (this.streams.get(workspace) === stream) this.streams.delete(workspace);
  }
}

function once(action: () => void): vscode.Disposable {
  let done = false;
  return new vscode.Disposable(() => {
    if (done) return;
    done = true;
    action();
  });
}
