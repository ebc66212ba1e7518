import { readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finished, SshHost, SshHostOptions } from '../ssh-host.ts';
import type { SshHosts } from '../ssh-hosts.ts';
import { addresses, gresConf, gresCount, nodesOf, slurmConf, type ClusterShape } from './configuration.ts';
import { bridge, Machine, output } from './machine.ts';
import { cgroupConf, makeMemoryGroup } from './memory-limits.ts';
import { HostPlace, RoomPlace, type Place } from './place.ts';
import { slurmRigProblem } from './problem.ts';

export type { ClusterShape } from './configuration.ts';
export { skipWithoutMemoryLimits, skipWithoutSlurm, slurmRigProblem } from './problem.ts';

export interface ClusterOptions extends ClusterShape {
  /** The login node becomes one of these hosts. Without them it is this machine: see `local`. */
  hosts?: SshHosts;
  /** Of the login node, `login` by default. */
  name?: string;
  /** More about the host that becomes the login node. */
  host?: SshHostOptions;
}

/** A line of `squeue`. */
export interface ClusterJob {
  id: string;
  state: string;
  reason: string;
  nodes: string;
  user: string;
  name: string;
}

const longestMs = 60_000;
const control = 'control';
const clients = [
  'sbatch',
  'srun',
  'salloc',
  'squeue',
  'scancel',
  'scontrol',
  'sinfo',
  'sacct',
  'sdiag',
  'sstat',
];
/** What is asked of slurmctld by `squeue`, `scontrol show job` and `sinfo`, each once a command. */
const questions = [
  'REQUEST_JOB_INFO',
  'REQUEST_JOB_INFO_SINGLE',
  'REQUEST_JOB_USER_INFO',
  'REQUEST_NODE_INFO',
  'REQUEST_NODE_INFO_SINGLE',
];

/**
 * A real Slurm cluster of one test's own: a login node, a controller and nodes, each with a network, a host name and
 * processes of its own. Home folders are shared, as on a cluster. It goes with the test's process.
 *
 *     const hosts = await SshHosts.open();
 *     const cluster = await SlurmCluster.start({ hosts });
 *     hosts.sshConfig();                        // has the alias login, where sbatch works
 *     await cluster.killNode('node1');
 *     await hosts.close();
 */
export class SlurmCluster {
  readonly nodes: string[];
  private readonly place: Place;
  private readonly host: SshHost | undefined;
  private readonly control: Machine;
  private readonly machines = new Map<string, Machine>();

  private constructor(options: ClusterOptions, place: Place, host: SshHost | undefined) {
    this.place = place;
    this.host = host;
    this.nodes = nodesOf(options);
    this.control = new Machine(place, control, addresses.control, 'control');
    for (const [index, name] of this.nodes.entries())
      this.machines.set(name, new Machine(place, name, addresses.node(index), `node-${index + 1}`));
  }

  /** Resolves when every node takes jobs. */
  static async start(options: ClusterOptions = {}): Promise<SlurmCluster> {
    const problem = slurmRigProblem();
    if (problem) throw new Error(problem);
    const name = options.name ?? 'login';
    const host = await options.hosts?.start({ ...options.host, name });
    const place = host ? new HostPlace(host) : await RoomPlace.open(name);
    const cluster = new SlurmCluster(options, place, host);
    try {
      await cluster.furnish(options, name);
      await cluster.startMunge();
      await cluster.startController();
      await Promise.all(cluster.nodes.map((node) => cluster.startNode(node)));
    } catch (error) {
      const log = await place.exec(['sh', '-c', `tail -n 20 ${place.folder}/*.log`]).catch(() => undefined);
      await cluster.close();
      throw new Error(`the cluster does not start; its logs:\n${log?.stdout ?? ''}`, { cause: error });
    }
    return cluster;
  }

  /** The host that a person signs in to; `cut` and `mend` are of its link to the person. */
  get login(): SshHost {
    if (!this.host) throw new Error('this cluster was started without ssh hosts');
    return this.host;
  }

  /**
   * How a process of this machine uses a cluster that was started without hosts: with `bin` first on its PATH, or
   * started behind `prefix`. Files of this machine are those of the nodes.
   */
  get local(): { bin: string; prefix: string[]; folder: string } {
    if (!(this.place instanceof RoomPlace)) throw new Error('this cluster is used on its login node');
    const { bin, prefix, folder } = this.place;
    return { bin, prefix, folder };
  }

  /** Runs a Slurm command (or any other) on the login node as root; what it wrote, without the last line's end. */
  async run(...argv: string[]): Promise<string> {
    return (await output(this.place, argv)).trimEnd();
  }

  /** The same, where it may fail. */
  try(...argv: string[]): Promise<Finished> {
    return this.place.exec(argv);
  }

  /** Runs a program on a node as root, past Slurm. */
  on(node: string, ...argv: string[]): Promise<string> {
    return output(this.machine(node), argv);
  }

  /** All jobs that Slurm still knows. */
  async jobs(): Promise<ClusterJob[]> {
    const text = await this.run('squeue', '-h', '-t', 'all', '-o', '%i|%T|%r|%N|%u|%j');
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const [id, state, reason, nodes, user, ...name] = line.split('|') as [
          string,
          string,
          string,
          string,
          string,
        ];
        return { id, state, reason, nodes, user, name: name.join('|') };
      });
  }

  /** `scontrol show job` by its words: JobState, Reason, Restarts, ExitCode, NodeList, ... */
  async job(id: string): Promise<Record<string, string>> {
    const text = await this.run('scontrol', 'show', 'job', '-o', id);
    return Object.fromEntries(
      [...text.matchAll(/(\S+?)=(.*?)(?=\s+[^\s=]+=|\s*$)/g)].map((m) => [m[1]!, m[2]!]),
    );
  }

  /** How often each kind of message has come to slurmctld since it was started. */
  async messages(): Promise<Record<string, number>> {
    const text = await this.run('sdiag');
    const found = text.matchAll(/^\s+([A-Z][A-Z_]+)\s+\(\s*\d+\) count:(\d+)/gm);
    return Object.fromEntries([...found].map(([, name, count]) => [name!, Number(count)]));
  }

  /**
   * How many `squeue`, `scontrol show job` and `sinfo` have come to slurmctld since it was started; those of `jobs`
   * and `job` count as well. (One `sinfo` asks for nodes once.)
   */
  async countCalls(): Promise<number> {
    const messages = await this.messages();
    return questions.reduce((sum, name) => sum + (messages[name] ?? 0), 0);
  }

  /**
   * Kills a node's slurmd: its jobs go on, and Slurm gives them up after a while. With `power` the node is off: all its
   * processes are gone.
   */
  async killNode(node: string, { power = false }: { power?: boolean } = {}): Promise<void> {
    const machine = this.machine(node);
    if (power) await machine.pullPlug();
    else await machine.end(`${this.place.folder}/slurmd-${node}.pid`, 'KILL');
  }

  /** After `killNode`; resolves when the node takes jobs. */
  async startNode(node: string): Promise<void> {
    const machine = this.machine(node);
    if (!machine.on) await machine.start();
    await output(machine, ['slurmd']);
    await this.until(`${node} takes jobs`, async () => {
      const { stdout } = await this.try('sinfo', '-h', '-N', '-n', node, '-o', '%T');
      return /^(idle|mixed|allocated|completing)$/m.test(stdout);
    });
  }

  /** Packets between a node and all others are dropped. */
  async cutNode(node: string): Promise<void> {
    await this.machine(node).cut();
  }

  async mendNode(node: string): Promise<void> {
    await this.machine(node).mend();
  }

  /** Ends slurmctld; what it knows is kept. */
  async stopController({ kill = false }: { kill?: boolean } = {}): Promise<void> {
    await this.control.end(`${this.place.folder}/slurmctld.pid`, kill ? 'KILL' : 'TERM');
  }

  /** Resolves when it answers. */
  async startController(): Promise<void> {
    await output(this.control, ['slurmctld']);
    await this.until('slurmctld answers', async () => {
      const { stdout } = await this.try('scontrol', 'ping');
      return stdout.includes(' is UP');
    });
  }

  /** What a daemon has written: `slurmctld`, or `slurmd-` and the node. */
  async log(daemon: string): Promise<string> {
    return this.run('cat', `${this.place.folder}/${daemon}.log`);
  }

  /** Ends everything of it, its login node too; nothing is left. */
  async close(): Promise<void> {
    await this.place.close();
  }

  private machine(node: string): Machine {
    const machine = this.machines.get(node);
    if (!machine) throw new Error(`there is no node ${node}; there are ${this.nodes.join(', ')}`);
    return machine;
  }

  private async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + longestMs;
    while (!(await condition())) {
      if (Date.now() > deadline) throw new Error(`it never came that ${what}`);
      await sleep(50);
    }
  }

  /** Configuration, names and network, where the place's programs look for them. */
  private async furnish(options: ClusterOptions, login: string): Promise<void> {
    const { place } = this;
    const { folder } = place;
    const machines = [this.control, ...this.machines.values()];
    const known = machines.map(({ address, name }) => `${address} ${name}\n`).join('');
    place.write('hosts', `127.0.0.1 localhost\n${addresses.login} ${login}\n${known}`);
    await output(place, ['mkdir', `${folder}/etc`, `${folder}/state`, `${folder}/spool`]);
    place.write('etc/slurm.conf', slurmConf(options, { folder, control }));
    // A folder of the step's name on each node, and not on all of them together.
    place.write('etc/mpi.conf', 'PMIxCliTmpDirBase=/dev/shm\n');
    if (options.memoryLimits) {
      place.write('etc/cgroup.conf', cgroupConf);
      // For the cluster it is the only one that there is.
      await output(place, ['mount', '--bind', makeMemoryGroup(), '/sys/fs/cgroup/memory']);
    }
    if (options.gres) {
      place.write('etc/gres.conf', gresConf(options.gres, folder));
      for (let device = 0; device < gresCount(options.gres); device++)
        await output(place, ['mknod', `${folder}/device${device}`, 'c', '1', '3']);
    }
    await output(place, ['sh', '-ec', furnishing, folder, bridge, `${addresses.login}/24`]);
    if (place instanceof RoomPlace) {
      const there = readdirSync('/usr/bin');
      place.openDoors(clients.filter((name) => there.includes(name)));
    }
    await Promise.all(machines.map((machine) => machine.start()));
  }

  /** One for all machines, as they share its key and its socket. */
  private async startMunge(): Promise<void> {
    const { folder } = this.place;
    const key = `umask 077 && mkdir ${folder}/munge && head -c 128 /dev/urandom > ${folder}/munge/key`;
    await output(this.place, ['sh', '-c', key]);
    const files = ['key-file=key', 'pid-file=pid', 'log-file=log', 'seed-file=seed'].map((option) => {
      const [name, file] = option.split('=');
      return `--${name}=${path.join(folder, 'munge', file!)}`;
    });
    // Its own address is not to be looked up: where nobody answers that takes seconds.
    const more = [`--socket=${folder}/munge.socket`, '--origin=127.0.0.1'];
    await output(this.control, ['munged', ...files, ...more]);
  }
}

// What this changes is in the place's own mounts and network. Debian's Slurm looks for a libpmix.so that is in a
// package for developers only.
const furnishing = `
mount --bind "$0/hosts" /etc/hosts
mkdir -p /etc/slurm
mount --bind "$0/etc" /etc/slurm
for lib in /usr/lib/*/pmix2/lib; do
  [ -e "$lib/libpmix.so.2" ] && [ ! -e "$lib/libpmix.so" ] || continue
  cp -a "$lib" "$0/pmix"
  ln -s libpmix.so.2 "$0/pmix/libpmix.so"
  mount --bind "$0/pmix" "$lib"
done
ip link add "$1" type bridge
ip addr add "$2" dev "$1"
ip link set "$1" up
`;
