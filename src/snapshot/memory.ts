import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

let collector: (() => void) | undefined;

/**
 * Gives back what a thread no longer needs. Memory that threads share is held until each of them has collected,
 * and one that mostly waits would not do so for hours.
 */
export function giveBackMemory(): void {
  if (!collector) {
    // V8 hands its collector out on request only.
    setFlagsFromString('--expose-gc');
    collector = runInNewContext('gc') as () => void;
  }
  collector();
}
