import type { Readable, Writable } from 'node:stream';

/** A command that runs on a host, however it was reached. */
export interface RemoteCommand {
  stdin: Writable;
  stdout: Readable;
  stderr: Readable;
  /** Ends the connection it came over. */
  close(): void;
  /** The command itself has ended, not only the connection. */
  ended(): boolean;
  /** Why the connection broke, once it is known. */
  failure(): Error | undefined;
}

/** A connection to a host, signed in. */
export interface RemoteShell {
  /** `local`: a shell of this machine. */
  transport: 'builtin' | 'system' | 'local';
  /** For people: `mia@gpu.example.org`. */
  address: string;
  exec(command: string): Promise<RemoteCommand>;
  /** What was started is there: nothing is asked any more. */
  signedIn(): void;
  close(): void;
}
