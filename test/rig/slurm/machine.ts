import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Finished } from '../ssh-host.ts';
import type { Place } from './place.ts';

const script = readFileSync(path.join(import.meta.dirname, 'machine.py'), 'utf8');

/** The cluster's switch, in the place's network. */
export const bridge = 'cluster';

/** Runs a program where it must succeed; what it wrote. */
export async function output(place: Pick<Place, 'exec'>, argv: string[]): Promise<string> {
  const { code, stdout, stderr } = await place.exec(argv);
  if (code !== 0) throw new Error(`${argv.join(' ')} ended with ${code}: ${stdout}${stderr}`);
  return stdout;
}

/**
 * One machine of a cluster: processes, host name, network, boot id and (where the place allows it) /tmp are its own; the
 * other files are those of the place.
 */
export class Machine {
  readonly name: string;
  readonly address: string;
  private readonly place: Place;
  private readonly port: string;
  private pid = '';
  private starts = 0;

  /** `port` names its network device in the place. */
  constructor(place: Place, name: string, address: string, port: string) {
    this.place = place;
    this.name = name;
    this.address = address;
    this.port = port;
  }

  get on(): boolean {
    return this.pid !== '';
  }

  async start(): Promise<void> {
    const { place, port, name } = this;
    const specification = JSON.stringify({ name, tmp: !place.sharesTmp });
    const flags = ['--mount', '--net', '--pid', '--uts', '--ipc', '--fork', '--kill-child=KILL'];
    const inside = ['/usr/bin/python3', '-S', '-E', '-c', script, specification];
    const unshare = ['unshare', ...flags, '--propagation', 'slave', ...inside];
    this.pid = await place.start(`${name}-${++this.starts}`, unshare);
    // The kernel takes its time to remove a device whose other side's network has ended.
    await place.exec(['ip', 'link', 'del', port]);
    const peer = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', this.pid];
    await output(place, ['ip', 'link', 'add', port, ...peer]);
    await output(place, ['ip', 'link', 'set', port, 'master', bridge, 'up']);
    await output(this, ['ip', 'addr', 'add', `${this.address}/24`, 'dev', 'eth0']);
    await output(this, ['ip', 'link', 'set', 'eth0', 'up']);
  }

  /** Runs a program on it as root. */
  exec(argv: string[], input?: string | Uint8Array): Promise<Finished> {
    if (!this.on) throw new Error(`${this.name} is off`);
    const enter = ['nsenter', '-t', this.pid, '-m', '-n', '-p', '-u', '-i', '--'];
    return this.place.exec([...enter, ...argv], input);
  }

  /** Its plug is pulled: every process of it is gone when this resolves. */
  async pullPlug(): Promise<void> {
    if (!this.on) return;
    await this.place.exec(['sh', '-c', killAndWait, 'kill', 'KILL', this.pid]);
    this.pid = '';
  }

  /** Ends the daemon that wrote this file; resolves when it is gone. */
  async end(pidFile: string, signal: 'TERM' | 'KILL'): Promise<void> {
    await this.exec(['sh', '-c', `${killAndWait}; rm -f "$3"`, 'kill', signal, `@${pidFile}`, pidFile]);
  }

  /** Packets from and to it are dropped, and nobody is told. */
  async cut(): Promise<void> {
    await output(this.place, ['ip', 'link', 'set', this.port, 'nomaster']);
  }

  async mend(): Promise<void> {
    await output(this.place, ['ip', 'link', 'set', this.port, 'master', bridge]);
  }
}

// $1 is the signal, $2 a number or, after @, the file that has it.
const killAndWait =
  'case "$2" in @*) pid=$(cat "${2#@}") || exit 0;; *) pid=$2;; esac; kill -s "$1" "$pid" || exit 0; while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done';
