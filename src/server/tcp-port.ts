import { randomBytes, timingSafeEqual } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { RunyardError } from '../api/errors.ts';
import { answerError, sendJson } from './router.ts';

/**
 * The loopback port, for what cannot speak over the socket (MLflow clients). Every request needs the token;
 * `Host` must be loopback and a browser's `Origin` is refused, so that no web page can use it.
 */
export class TcpPort {
  private readonly server: http.Server;
  private readonly token = randomBytes(32).toString('base64url');

  private constructor(version: string, log: (line: string) => void) {
    this.server = http.createServer((req, res) => {
      try {
        this.admit(req);
        if (req.method === 'GET' && req.url === '/health') return sendJson(res, 200, { status: 'OK' });
        if (req.method === 'GET' && req.url === '/version') return sendJson(res, 200, { version });
        throw new RunyardError('not_found', `There is nothing at ${req.method} ${req.url} yet.`);
      } catch (error) {
        answerError(res, error, `tcp ${req.method} ${req.url}`, log);
      }
    });
  }

  /** Listens on a free port; the token goes to a 0600 file in `serverDir`. */
  static async open(serverDir: string, version: string, log: (line: string) => void): Promise<TcpPort> {
    const port = new TcpPort(version, log);
    await new Promise<void>((resolve, reject) => {
      port.server.once('error', reject);
      port.server.listen(0, '127.0.0.1', resolve);
    });
    writeFileSync(path.join(serverDir, 'token'), port.token, { mode: 0o600 });
    return port;
  }

  get number(): number {
    const address = this.server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private admit(req: http.IncomingMessage): void {
    const host = (req.headers.host ?? '').replace(/:\d+$/, '');
    if (host !== '127.0.0.1' && host !== 'localhost') {
      throw new RunyardError('not_permitted', `The host "${host}" is not this machine's loopback.`);
    }
    if (req.headers.origin !== undefined) {
      throw new RunyardError('not_permitted', 'Requests from web pages are refused.');
    }
    const given = Buffer.from(/^Bearer (.+)$/.exec(req.headers.authorization ?? '')?.[1] ?? '');
    const wanted = Buffer.from(this.token);
    if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) {
      throw new RunyardError('not_permitted', 'The token is missing or wrong.', {
        action: `It is in the file "token" beside the server's socket.`,
      });
    }
  }
}
