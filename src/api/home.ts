import { createHash } from 'node:crypto';
import { lstatSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A Unix socket's address holds 104 bytes on macOS and 108 on Linux. */
const longestSocketPath = 100;

/** Where everything of one person on one machine lives; one server for each home. */
export interface Home {
  dir: string;
  /** 0700: lock, socket, token, server log. */
  serverDir: string;
  /** Unix socket, or a named pipe on Windows. */
  socket: string;
  serverLog: string;
  /** Copies of the server's files by build hash; an extension update deletes its own folder. */
  distDir: string;
  workspacesDir: string;
  /** The root folder of the local host's agent. */
  localHostDir: string;
  /** The compute targets a person has added. */
  computesFile: string;
}

/** The home to use: as asked for, else `RUNYARD_HOME`, else `~/.runyard`. */
export function resolveHome(asked?: string): Home {
  const dir = path.resolve(asked || process.env['RUNYARD_HOME'] || path.join(os.homedir(), '.runyard'));
  const serverDir = path.join(dir, 'server');
  return {
    dir,
    serverDir,
    socket: socketPath(dir, serverDir),
    serverLog: path.join(serverDir, 'server.log'),
    distDir: path.join(dir, 'dist'),
    workspacesDir: path.join(dir, 'workspaces'),
    localHostDir: path.join(dir, 'host'),
    computesFile: path.join(dir, 'computes.json'),
  };
}

function socketPath(dir: string, serverDir: string): string {
  const id = createHash('sha256').update(dir).digest('hex').slice(0, 12);
  if (process.platform === 'win32') return `\\\\.\\pipe\\runyard-${id}`;
  const inHome = path.join(serverDir, 'control.sock');
  if (Buffer.byteLength(inHome) <= longestSocketPath) return inHome;
  return path.join('/tmp', `runyard-${process.getuid?.() ?? 0}-${id}`, 'control.sock');
}

/**
 * Whether a socket's folder can be trusted: the person's own, no link, open to nobody else (or not there yet).
 * A folder under /tmp could have been made by somebody else, who would then be sent environments.
 */
export function socketFolderIsSafe(socket: string): boolean {
  if (process.platform === 'win32') return true;
  const folder = lstatSync(path.dirname(socket), { throwIfNoEntry: false });
  return (
    !folder || (folder.isDirectory() && folder.uid === process.getuid?.() && (folder.mode & 0o077) === 0)
  );
}
