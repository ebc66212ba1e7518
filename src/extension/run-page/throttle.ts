/** Calls an action soon after it is asked for, and never twice within `ms`. */
export class Throttle {
  private readonly ms: number;
  private readonly action: () => void;
  private timer: NodeJS.Timeout | undefined;
  private last = 0;

  constructor(ms: number, action: () => void) {
    this.ms = ms;
    this.action = action;
  }

  call(): void {
    this.timer ??= setTimeout(
      () => {
        this.timer = undefined;
        this.last = Date.now();
        this.action();
      },
      Math.max(0, Math.min(this.ms, this.last + this.ms - Date.now())),
    );
  }

  dispose(): void {
    clearTimeout(this.timer);
  }
}
