import http from 'node:http';
import type { ServerEvent } from '../api/events.ts';

export interface EventHandlers {
  onEvent(event: ServerEvent): void;
  onState?(state: 'connected' | 'reconnecting'): void;
}

export interface Subscription {
  close(): void;
}

const firstRetryMs = 100;
const longestRetryMs = 5000;

/**
 * Follows a workspace's events for as long as it is open. A broken line is taken up again after the last
 * numbered event seen, so none is missed; `prepare` is awaited first (it finds or starts the server).
 */
export function followEvents(
  socketPath: string,
  path: string,
  prepare: () => Promise<unknown>,
  handlers: EventHandlers,
): Subscription {
  let closed = false;
  let lastId = '';
  let retryMs = firstRetryMs;
  let current: http.ClientRequest | undefined;
  let timer: NodeJS.Timeout | undefined;

  const again = () => {
    if (closed || timer) return;
    handlers.onState?.('reconnecting');
    timer = setTimeout(() => {
      timer = undefined;
      void connect();
    }, retryMs);
    retryMs = Math.min(retryMs * 2, longestRetryMs);
  };

  const connect = async () => {
    try {
      await prepare();
    } catch {
      return again();
    }
    if (closed) return;
    const headers = { accept: 'text/event-stream', ...(lastId ? { 'last-event-id': lastId } : {}) };
    const req = http.request({ socketPath, path, headers, agent: false }, (res) => {
      if (res.statusCode !== 200) {
        res.resume();
        return again();
      }
      retryMs = firstRetryMs;
      handlers.onState?.('connected');
      const parser = eventParser((id, data) => {
        if (id) lastId = id;
        if (!closed) handlers.onEvent(JSON.parse(data) as ServerEvent);
      });
      res.setEncoding('utf8');
      res.on('data', parser);
      res.on('close', again);
      res.on('error', again);
    });
    req.on('error', again);
    req.end();
    current = req;
  };
  void connect();
  return {
    close() {
      closed = true;
      clearTimeout(timer);
      current?.destroy();
    },
  };
}

/** Takes text as it comes and calls back for each whole event (`id:` and `data:` lines, a blank line). */
export function eventParser(emit: (id: string, data: string) => void): (text: string) => void {
  let pending = '';
  return (text) => {
    pending += text;
    for (;;) {
      const end = pending.indexOf('\n\n');
      if (end < 0) return;
      const block = pending.slice(0, end);
      pending = pending.slice(end + 2);
      let id = '';
      let data = '';
      for (const line of block.split('\n')) {
        if (line.startsWith('id: ')) id = line.slice(4);
        else if (line.startsWith('data: ')) data += line.slice(6);
      }
      if (data) emit(id, data);
    }
  };
}
