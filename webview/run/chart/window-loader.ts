import type { MetricWindow } from '../../../src/api/entities.ts';
import { ask } from '../bridge.ts';

/** Charts that are seen ask here for their data; requests of one moment go as one. */
const atOnce = 40;
const pauseMs = 400;
const points = 600;

type Receiver = (window: MetricWindow) => void;

const wanted = new Map<string, Receiver>();
let busy = false;

/** Asks for a metric's window; a later call for the same name replaces an earlier one that still waits. */
export function wantWindow(name: string, receive: Receiver): void {
  wanted.set(name, receive);
  void pump();
}

/** The chart is no longer seen. */
export function forgetWindow(name: string): void {
  wanted.delete(name);
}

async function pump(): Promise<void> {
  if (busy) return;
  busy = true;
  // Charts that come into sight together are one request.
  await new Promise((resolve) => setTimeout(resolve, 16));
  while (wanted.size > 0) {
    const batch = new Map([...wanted].slice(0, atOnce));
    for (const name of batch.keys()) wanted.delete(name);
    try {
      const windows = await ask('windows', { names: [...batch.keys()], points });
      for (const window of windows) batch.get(window.name)?.(window);
    } catch {
      // The page says that the line is broken; the next hint of new points asks again.
    }
    if (wanted.size < atOnce) await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
  busy = false;
}
