/** What a person types for a host. */
export interface Address {
  host: string;
  user: string | null;
  port: number | null;
}

/** `host`, `user@host`, `user@host:port`, `[::1]:port`, a whole `ssh -p 2222 mia@host`; undefined: no address. */
export function parseAddress(typed: string): Address | undefined {
  const text = typed
    .trim()
    .replace(/^ssh:\/\//, '')
    .replace(/\/$/, '');
  const command = /^ssh\s+(.*)$/.exec(text)?.[1];
  if (command !== undefined) return parseCommand(command);
  const found =
    /^(?:([^@\s]+)@)?(\[[^\]\s]+\]|[^\s@:/[\]]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]+)(?::(\d{1,5}))?$/.exec(text);
  if (!found) return undefined;
  const [, user = null, name = '', digits] = found;
  const port = digits === undefined ? null : Number(digits);
  const host = name.replace(/^\[|\]$/g, '');
  if (host.startsWith('-') || user?.startsWith('-') || port === 0 || (port ?? 0) > 65_535) return undefined;
  return { host, user, port };
}

/** The two options that people paste. */
function parseCommand(command: string): Address | undefined {
  let port: number | null = null;
  let user: string | null = null;
  const rest = command
    .replace(/(?:^|\s)-p\s*(\d{1,5})(?=\s|$)/, (_, digits: string) => ((port = Number(digits)), ' '))
    .replace(/(?:^|\s)-l\s*([^\s@]+)(?=\s|$)/, (_, name: string) => ((user = name), ' '))
    .trim();
  const address = /\s/.test(rest) ? undefined : parseAddress(rest);
  return address && { host: address.host, user: address.user ?? user, port: address.port ?? port };
}
