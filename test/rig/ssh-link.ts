import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { component } from '../../scripts/system-packages.mjs';
import type { Keeper } from './ssh-keeper.ts';

const linkScript = path.join(import.meta.dirname, 'ssh/link.py');

/** `veth` is as fast as memory; `tun` can be slow and lossy. */
export type LinkKind = 'veth' | 'tun';

export interface LinkWeather {
  /** Seconds that each packet takes one way. */
  delay?: number;
  /** The part of packets that is lost, 0..1. */
  loss?: number;
  /** Bytes a second, each way; 0 for as many as go. */
  rate?: number;
}

/** A side of a link: the process whose network it is in (none: this machine's), device and address. */
interface End {
  pid: number | undefined;
  device: string;
  address: string;
  mac: string;
}

/** A MAC address that nobody has: what is sent there is dropped without a word. */
const nobody = '02:00:00:00:00:00';

function ip(pid: number | undefined, ...args: string[]): string {
  const inside = pid === undefined ? [] : ['nsenter', '-t', String(pid), '-n'];
  const [program, ...rest] = [...inside, component('iproute2').path, ...args];
  try {
    return execFileSync(program!, rest, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const said = (error as { stderr?: string }).stderr?.trim() ?? '';
    throw new Error(`ip ${args.join(' ')}: ${said}`, { cause: error });
  }
}

/** The wire between two networks: this machine's or a jump host's on one side, a host's on the other. */
export class SshLink {
  readonly kind: LinkKind;
  private readonly name: string;
  private readonly keeper: Keeper;
  private readonly near: End;
  private readonly far: End;

  private constructor(kind: LinkKind, name: string, keeper: Keeper, near: End, far: End) {
    this.kind = kind;
    this.name = name;
    this.keeper = keeper;
    this.near = near;
    this.far = far;
  }

  /**
   * Makes it. `number` and `host` name the devices, `near` and `far` are the addresses in a /30 of their own.
   */
  static async make(
    keeper: Keeper,
    kind: LinkKind,
    options: {
      number: number;
      host: number;
      near: { pid: number | undefined; address: string };
      far: { pid: number; address: string };
      mtu: number;
    },
  ): Promise<SshLink> {
    const device = `ry${options.number}-${options.host}`;
    const hex = (value: number): string => (value & 255).toString(16).padStart(2, '0');
    const mac = (side: number): string =>
      `02:52:${hex(options.number >> 8)}:${hex(options.number)}:${hex(options.host)}:${hex(side)}`;
    const near: End = { ...options.near, device, mac: mac(1) };
    const far: End = { ...options.far, device: 'eth0', mac: mac(2) };
    const link = new SshLink(kind, `link-${options.host}`, keeper, near, far);
    if (kind === 'veth') {
      const inNear = near.pid === undefined ? [] : ['netns', String(near.pid)];
      const nearSide = ['link', 'add', device, 'address', near.mac, ...inNear, 'type', 'veth'];
      ip(undefined, ...nearSide, 'peer', 'name', 'eth0', 'address', far.mac, 'netns', String(far.pid));
    } else {
      if (near.pid !== undefined) throw new Error('a tun link goes to this machine only');
      await keeper.start(link.name, ['/usr/bin/python3', '-S', '-E', linkScript, device, `${device}x`]);
      ip(undefined, 'link', 'set', `${device}x`, 'netns', String(far.pid), 'name', 'eth0');
    }
    for (const end of [far, near]) {
      ip(end.pid, 'addr', 'add', `${end.address}/30`, 'dev', end.device);
      ip(end.pid, 'link', 'set', end.device, 'mtu', String(options.mtu), 'up');
    }
    if (kind === 'veth') link.point(near.mac, far.mac);
    return link;
  }

  /** Where each side sends what is for the other; fixed, so that no side ever learns that the other is away. */
  private point(nearMac: string, farMac: string): void {
    const to = (end: End, address: string, mac: string): string =>
      ip(end.pid, 'neigh', 'replace', address, 'lladdr', mac, 'dev', end.device, 'nud', 'permanent');
    to(this.near, this.far.address, farMac);
    to(this.far, this.near.address, nearMac);
  }

  private async order(line: string): Promise<void> {
    if (this.kind !== 'tun') throw new Error(`"${line}" is for hosts with link: 'tun'`);
    const answer = await this.keeper.ask(this.name, line);
    if (answer !== 'ok') throw new Error(`the link did not take "${line}": ${answer}`);
  }

  /** From here on every packet is dropped, both ways, and neither side is told. */
  async cut(): Promise<void> {
    if (this.kind === 'tun') await this.order('cut');
    else this.point(nobody, nobody);
  }

  async mend(): Promise<void> {
    if (this.kind === 'tun') await this.order('mend');
    else this.point(this.near.mac, this.far.mac);
  }

  /** What is not named stays as it is. */
  async weather(weather: LinkWeather): Promise<void> {
    for (const [name, value] of Object.entries(weather)) await this.order(`${name} ${value}`);
  }

  /** The devices go with the network of either side; this is for a host that goes before its rig. */
  async remove(): Promise<void> {
    if (this.kind === 'tun') return this.keeper.stop(this.name);
    try {
      ip(this.near.pid, 'link', 'del', this.near.device);
    } catch {
      // The other side's network has gone already.
    }
  }
}
