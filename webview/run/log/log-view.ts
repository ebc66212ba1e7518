import { t } from '../../shared/l10n.ts';
import { formatBytes } from '../../shared/format.ts';
import { ask } from '../bridge.ts';
import { LogWindow, type LogPiece } from './log-window.ts';

/** Read at once; the tail that is shown first. */
const readBytes = 256 * 1024;
/** While following, more than this is dropped from the top. */
const followBytes = 1024 * 1024;
/** Nobody scrolls back further than this in one page; *Open Log* and *Download* have the rest. */
const backBytes = 8 * 1024 * 1024;
const pauseMs = 150;

/** The end of a log file, following it as it grows; earlier lines on demand. Its DOM is bounded. */
export class LogView extends HTMLElement {
  private path = '';
  private size = 0;
  private window = new LogWindow();
  private started = false;
  private busy = false;
  private follows = true;
  private readonly earlier = document.createElement('button');
  private readonly text = document.createElement('div');
  private readonly pending = document.createElement('span');
  private readonly later = document.createElement('button');
  private readonly scroller = document.createElement('div');

  /** Which file, and how many bytes it has by now. */
  set source({ path, size }: { path: string; size: number }) {
    if (path !== this.path) {
      this.path = path;
      this.reset();
    } else if (size < this.window.end && size < this.size) this.reset();
    this.size = size;
    this.showButtons();
    if (this.isConnected) void this.pump();
  }

  /** Whether new lines scroll into sight. */
  get following(): boolean {
    return this.follows;
  }

  set following(on: boolean) {
    if (this.follows === on) return;
    this.follows = on;
    this.dispatchEvent(new CustomEvent('following', { detail: on }));
    if (on) void this.pump();
    this.showButtons();
  }

  connectedCallback(): void {
    if (!this.scroller.isConnected) this.build();
    void this.pump();
  }

  private build(): void {
    this.earlier.className = 'log-more';
    this.earlier.onclick = () => void this.loadEarlier();
    this.later.className = 'log-more later';
    this.later.onclick = () => (this.following = true);
    this.scroller.className = 'log-scroll';
    this.scroller.tabIndex = 0;
    this.scroller.setAttribute('role', 'log');
    this.scroller.setAttribute('aria-label', t('Log'));
    this.scroller.setAttribute('aria-live', 'off');
    this.text.className = 'log-text';
    this.pending.className = 'log-pending';
    const body = document.createElement('div');
    body.className = 'log-body';
    body.append(this.text, this.pending);
    this.scroller.append(this.earlier, body);
    this.append(this.scroller, this.later);
    this.scroller.addEventListener('scroll', () => this.scrolled());
    new ResizeObserver(() => this.scrollToEnd()).observe(this.scroller);
    this.showButtons();
  }

  private scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const atEnd = scrollHeight - scrollTop - clientHeight < 24;
    if (atEnd && this.window.end >= this.size) this.following = true;
    else if (!atEnd && !this.busy) this.following = false;
  }

  private reset(): void {
    this.window = new LogWindow();
    this.started = false;
    this.text.replaceChildren();
    this.pending.textContent = '';
  }

  /** Reads on until the end of the file; one reader at a time. */
  private async pump(): Promise<void> {
    if (this.busy || !this.path) return;
    this.busy = true;
    try {
      while (this.follows && this.isConnected && this.window.end < this.size) {
        // Far behind (a very fast writer): go on at the end; what was passed over is "earlier".
        if (!this.started || this.size - this.window.end > 4 * readBytes) await this.jump();
        else await this.readOn();
        this.scrollToEnd();
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    } catch (error) {
      this.pending.textContent = (error as Error).message;
    } finally {
      this.busy = false;
      this.showButtons();
    }
  }

  private async jump(): Promise<void> {
    const offset = Math.max(0, this.size - readBytes);
    const { path } = this;
    const { data, size } = await ask('read', { path, offset, length: readBytes });
    if (path !== this.path) return;
    this.reset();
    this.started = true;
    this.size = size;
    this.window = LogWindow.startingAt(offset, bytes(data));
    for (const piece of this.window.pieces) this.text.append(element(piece));
    this.showPending();
  }

  private async readOn(): Promise<void> {
    const { path } = this;
    const before = this.window;
    const { data, size } = await ask('read', { path, offset: before.end, length: readBytes });
    if (path !== this.path || before !== this.window) return;
    if (size < before.end) return this.reset();
    this.size = size;
    const piece = this.window.append(bytes(data));
    if (piece) this.text.append(element(piece));
    while (this.window.size > followBytes && this.window.pieces.length > 1) {
      this.window.dropFirst();
      this.text.firstElementChild?.remove();
    }
    this.showPending();
    if (data.length === 0) this.size = this.window.end;
  }

  private async loadEarlier(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.following = false;
    try {
      const { path } = this;
      const offset = Math.max(0, this.window.start - readBytes);
      const length = this.window.start - offset;
      const { data } = await ask('read', { path, offset, length });
      if (path !== this.path || data.length < length) return;
      const height = this.scroller.scrollHeight;
      this.text.prepend(element(this.window.prepend(offset, bytes(data))));
      this.scroller.scrollTop += this.scroller.scrollHeight - height;
    } finally {
      this.busy = false;
      this.showButtons();
    }
  }

  private showPending(): void {
    this.pending.textContent = this.window.pendingText;
    this.showButtons();
  }

  private scrollToEnd(): void {
    if (this.follows) this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  private showButtons(): void {
    const { start } = this.window;
    this.earlier.hidden = !this.started || start === 0 || this.window.size > backBytes;
    this.earlier.textContent = t('Earlier lines ({0} more)', formatBytes(start));
    const behind = this.size - this.window.end;
    this.later.hidden = this.follows;
    this.later.textContent =
      behind > 0 ? t('Follow the log ({0} new)', formatBytes(behind)) : t('Follow the log');
  }
}

function element(piece: LogPiece): HTMLElement {
  const div = document.createElement('div');
  div.className = 'log-piece';
  div.textContent = piece.text;
  return div;
}

/** Bytes that came by message: an array, or what became of it on the way. */
function bytes(data: Uint8Array): Uint8Array {
  return data instanceof Uint8Array ? data : new Uint8Array(data);
}

customElements.define('ry-log', LogView);
