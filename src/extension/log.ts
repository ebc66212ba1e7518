import os from 'node:os';
import * as vscode from 'vscode';

const secret = /((?:token|password|passwd|secret|api[_-]?key|authorization)["']?\s*[:=]\s*["']?)[^\s"',;]+/gi;

/** Takes out what a log should not tell when it is pasted into an issue: secrets and the home folder. */
export function scrub(text: string, home = os.homedir()): string {
  const withoutSecrets = text.replace(secret, '$1***').replace(/(:\/\/[^/\s:@]+:)[^@\s/]+@/g, '$1***@');
  return home.length > 1 ? withoutSecrets.replaceAll(home, '~') : withoutSecrets;
}

/** The output channel "Runyard". It is made with the first line. */
export class Log implements vscode.Disposable {
  private channel: vscode.LogOutputChannel | undefined;

  info(text: string): void {
    this.open().info(scrub(text));
  }

  warn(text: string): void {
    this.open().warn(scrub(text));
  }

  /** An error with its causes and stack, for the person who looks into it. */
  error(what: string, error: unknown): void {
    const parts: string[] = [];
    for (let e: unknown = error; e !== undefined && parts.length < 5; e = (e as Error | undefined)?.cause) {
      parts.push(e instanceof Error ? (e.stack ?? e.message) : String(e));
    }
    this.open().error(scrub(`${what}: ${parts.join('\ncaused by: ')}`));
  }

  show(): void {
    this.open().show();
  }

  dispose(): void {
    this.channel?.dispose();
  }

  private open(): vscode.LogOutputChannel {
    this.channel ??= vscode.window.createOutputChannel('Runyard', { log: true });
    return this.channel;
  }
}
