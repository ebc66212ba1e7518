import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import * as z from 'zod';

/**
 * What the system's `ssh` wants to know: its prompt, the hint of SSH_ASKPASS_PROMPT (`confirm`, `none`), and which
 * `ssh` asks (its pid): that of the host itself, or that of a jump host, which inherits the variables.
 */
export type AskpassHandler = (prompt: string, hint: string, pid: number) => Promise<string | undefined>;

/** Reads a question and prints the answer; runs with the Node of the server. */
const helper = `
const { RUNYARD_ASKPASS_SOCKET: socket, RUNYARD_ASKPASS_KEY: key, SSH_ASKPASS_PROMPT: hint = '' } = process.env;
const prompt = process.argv[2] ?? '';
let text = '';
const line = require('node:net').connect(socket, () => line.end(JSON.stringify({ key, prompt, hint, pid: process.ppid })));
line.setEncoding('utf8').on('data', (part) => (text += part));
line.on('end', () => {
  const { answer } = JSON.parse(text || '{}');
  if (answer === undefined) process.exit(1);
  process.stdout.write(answer + '\\n');
});
line.on('error', () => process.exit(1));
`;

const questionSchema = z.object({ key: z.string(), prompt: z.string(), hint: z.string(), pid: z.number() });

function questionOf(text: string): z.infer<typeof questionSchema> | undefined {
  try {
    return questionSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Those that are open: a server that ends takes them along. */
const open = new Set<Askpass>();
process.on('exit', () => {
  for (const askpass of open) askpass.close();
});

/** Answers the questions of one `ssh` process: a 0700 folder with a socket and the program that ssh calls. */
export class Askpass {
  private readonly dir: string;
  private readonly server: net.Server;
  private readonly key = randomBytes(18).toString('base64url');

  constructor(handler: AskpassHandler) {
    this.dir = mkdtempSync(path.join(os.tmpdir(), 'runyard-'));
    chmodSync(this.dir, 0o700);
    const file = path.join(this.dir, 'ask.cjs');
    writeFileSync(file, helper, { mode: 0o600 });
    const quoted = [process.execPath, file].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
    writeFileSync(path.join(this.dir, 'ask'), `#!/bin/sh\nexec ${quoted} "$@"\n`, { mode: 0o700 });
    this.server = net.createServer({ allowHalfOpen: true }, (line) => {
      let text = '';
      line.setEncoding('utf8').on('data', (part: string) => (text += part));
      line.on('error', () => undefined);
      line.on('end', () => {
        const asked = questionOf(text);
        if (asked?.key !== this.key) return line.destroy();
        void handler(asked.prompt, asked.hint, asked.pid).then(
          (answer) => line.end(JSON.stringify({ answer })),
          () => line.destroy(),
        );
      });
    });
    this.server.listen(this.socket);
    this.server.unref();
    open.add(this);
  }

  /** Variables for the `ssh` process. */
  get environment(): Record<string, string> {
    return {
      SSH_ASKPASS: path.join(this.dir, 'ask'),
      SSH_ASKPASS_REQUIRE: 'force',
      // Before OpenSSH 8.4 a display had to be named.
      DISPLAY: process.env['DISPLAY'] || ':0',
      RUNYARD_ASKPASS_SOCKET: this.socket,
      RUNYARD_ASKPASS_KEY: this.key,
      ...(process.versions['electron'] ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
    };
  }

  close(): void {
    open.delete(this);
    this.server.close();
    rmSync(this.dir, { recursive: true, force: true });
  }

  private get socket(): string {
    return process.platform === 'win32'
      ? `\\\\.\\pipe\\${path.basename(this.dir)}`
      : path.join(this.dir, 'socket');
  }
}
