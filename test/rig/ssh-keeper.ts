import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { Socket } from 'node:net';

const script = path.join(import.meta.dirname, 'ssh/keeper.py');

type Answer = { id: number; error?: string } & Record<string, unknown>;

/** `ssh/keeper.py`, which has every process of the rig as its child and ends them with this process. */
export class Keeper {
  private readonly child: ChildProcess;
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private readonly ended: Promise<unknown>;
  private errors = '';
  private last = 0;

  constructor(base: string) {
    this.child = spawn('/usr/bin/python3', ['-S', '-E', script, base], {
      detached: true,
      stdio: 'pipe',
      // What a test looks for by its environment is no process of the rig.
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' },
    });
    this.ended = once(this.child, 'close').catch(() => undefined);
    this.child.stderr!.on('data', (data: Buffer) => (this.errors += data.toString()));
    this.child.stdin!.on('error', () => undefined);
    createInterface({ input: this.child.stdout! }).on('line', (line) => {
      const answer = JSON.parse(line) as Answer;
      this.waiting.get(answer.id)?.(answer);
      this.settle(answer.id);
    });
    this.child.once('close', (code) => {
      for (const [id, answer] of [...this.waiting]) {
        answer({ id, error: `the keeper of the test hosts ended with ${code}: ${this.errors}` });
        this.settle(id);
      }
    });
    this.child.unref();
    this.holdOpen(false);
  }

  /** A test that forgot to close its hosts ends all the same: only a request keeps the process alive. */
  private holdOpen(open: boolean): void {
    for (const stream of [this.child.stdin, this.child.stdout, this.child.stderr]) {
      if (stream instanceof Socket) (open ? stream.ref : stream.unref).call(stream);
    }
  }

  private settle(id: number): void {
    this.waiting.delete(id);
    if (this.waiting.size === 0) this.holdOpen(false);
  }

  private async request(what: Record<string, unknown>): Promise<Answer> {
    const id = ++this.last;
    const answer = await new Promise<Answer>((resolve) => {
      this.waiting.set(id, resolve);
      this.holdOpen(true);
      if (this.child.exitCode !== null || this.child.signalCode !== null) {
        this.settle(id);
        resolve({ id, error: `the keeper of the test hosts has ended: ${this.errors}` });
      } else {
        this.child.stdin!.write(JSON.stringify({ ...what, id }) + '\n');
      }
    });
    if (answer.error) throw new Error(answer.error);
    return answer;
  }

  /** A /24 for this rig alone; `number` makes names of links unique on this machine. */
  async network(): Promise<{ number: number; prefix: string }> {
    const { number, prefix } = await this.request({ do: 'network' });
    return { number: number as number, prefix: prefix as string };
  }

  /** Starts a program; resolves with the first line it writes. */
  async start(name: string, argv: string[]): Promise<string> {
    return (await this.request({ do: 'start', name, argv }))['line'] as string;
  }

  /** Writes a line to a program; resolves with the line that answers. */
  async ask(name: string, line: string): Promise<string> {
    return (await this.request({ do: 'ask', name, line }))['line'] as string;
  }

  /** Ends a program and all it left; resolves when they are gone. */
  async stop(name: string): Promise<void> {
    await this.request({ do: 'stop', name });
  }

  /** Ends everything; resolves when it is gone. */
  async close(): Promise<void> {
    this.holdOpen(true);
    this.child.ref();
    this.child.stdin!.end();
    await this.ended;
    if (this.errors) throw new Error(`the keeper of the test hosts said: ${this.errors}`);
  }
}
