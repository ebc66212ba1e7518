/** What a cluster is like; all of it may be left out. */
export interface ClusterShape {
  /** By default node1, node2 and node3. */
  nodes?: string[];
  /**
   * Name and the rest of the line in slurm.conf. By default `main` (all nodes, the default one), `short` (the first
   * node, one minute at most), and `low` and `high`, of which `high` takes the nodes from jobs of `low`: they are requeued.
   */
  partitions?: Record<string, string>;
  /** 4; the nodes share this machine's real ones. */
  cpusPerNode?: number;
  /** MB, 4000. */
  memoryPerNode?: number;
  /** MB that a job gets for each of its CPUs where it asks for none, 100. */
  memoryPerCpu?: number;
  /** A job that takes more memory than it asked for is ended: OUT_OF_MEMORY. Else nobody looks. */
  memoryLimits?: boolean;
  /** GPUs of each node that are none, such as `gpu:2` or `gpu:a100:2`. */
  gres?: string;
  /** Seconds between SIGTERM and SIGKILL, 8. */
  killWait?: number;
  /** Seconds after which a node that says nothing is down, 8; it takes up to half a minute more until slurmctld looks. */
  slurmdTimeout?: number;
  /** Seconds until a requeued job may start again; two more than `killWait`. Slurm's own is 120. */
  requeueDelay?: number;
  /** More lines of slurm.conf; they replace lines of the same key. */
  lines?: string[];
}

/** Where the configuration says that things are. */
export interface ClusterFolders {
  /** Of the controller, the munge socket and logs. */
  folder: string;
  control: string;
}

const network = '10.77.0';
/** The login node's address, the controller's and that of the nth node, in the cluster's own network. */
export const addresses = {
  login: `${network}.254`,
  control: `${network}.253`,
  node: (index: number): string => `${network}.${index + 1}`,
};

export function nodesOf(shape: ClusterShape): string[] {
  return shape.nodes ?? ['node1', 'node2', 'node3'];
}

/** `slurm.conf`. */
export function slurmConf(shape: ClusterShape, { folder, control }: ClusterFolders): string {
  const nodes = nodesOf(shape);
  const cpus = shape.cpusPerNode ?? 4;
  const killWait = shape.killWait ?? 8;
  const own = shape.lines ?? [];
  const lines = [
    'ClusterName=rig',
    `SlurmctldHost=${control}`,
    'SlurmUser=root',
    'AuthType=auth/munge',
    `AuthInfo=socket=${folder}/munge.socket,cred_expire=${shape.requeueDelay ?? killWait + 2}`,
    `StateSaveLocation=${folder}/state`,
    `SlurmdSpoolDir=${folder}/spool/%n`,
    `SlurmctldPidFile=${folder}/slurmctld.pid`,
    `SlurmdPidFile=${folder}/slurmd-%n.pid`,
    `SlurmctldLogFile=${folder}/slurmctld.log`,
    `SlurmdLogFile=${folder}/slurmd-%n.log`,
    'ProctrackType=proctrack/linuxproc',
    `TaskPlugin=${shape.memoryLimits ? 'task/cgroup' : 'task/none'}`,
    'MpiDefault=none',
    'ReturnToService=2',
    'SchedulerType=sched/backfill',
    // As quick as it can be: a test waits for what it starts.
    'SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=100000,batch_sched_delay=0',
    'SelectType=select/cons_tres',
    'SelectTypeParameters=CR_Core_Memory',
    // The nodes have what is written here, whatever this machine has.
    'SlurmdParameters=config_overrides',
    `DefMemPerCPU=${shape.memoryPerCpu ?? 100}`,
    'PreemptType=preempt/partition_prio',
    'PreemptMode=REQUEUE',
    'JobRequeue=1',
    'MinJobAge=300',
    'InactiveLimit=0',
    `KillWait=${killWait}`,
    `SlurmdTimeout=${shape.slurmdTimeout ?? 8}`,
    ...(shape.gres ? ['GresTypes=gpu'] : []),
  ];
  const gres = shape.gres ? ` Gres=${shape.gres}` : '';
  const size = `CPUs=${cpus} Sockets=1 CoresPerSocket=${cpus} ThreadsPerCore=1`;
  const partitions = shape.partitions ?? usualPartitions(nodes);
  return [
    ...lines.filter((line) => !own.some((other) => keyOf(other) === keyOf(line))),
    ...own,
    ...nodes.map((node) => `NodeName=${node} ${size} RealMemory=${shape.memoryPerNode ?? 4000}${gres}`),
    ...Object.entries(partitions).map(([name, rest]) => `PartitionName=${name} ${rest}`),
    '',
  ].join('\n');
}

function keyOf(line: string): string {
  return line.split('=')[0]!.toLowerCase();
}

function usualPartitions(nodes: string[]): Record<string, string> {
  const ordinary = 'PriorityTier=5 PreemptMode=OFF';
  return {
    main: `Nodes=${nodes.join(',')} Default=YES ${ordinary}`,
    short: `Nodes=${nodes[0]} MaxTime=1 ${ordinary}`,
    low: `Nodes=${nodes.join(',')} PriorityTier=1 PreemptMode=REQUEUE`,
    high: `Nodes=${nodes.join(',')} PriorityTier=10 PreemptMode=OFF`,
  };
}

/** `gres.conf`: the devices are copies of /dev/null: Slurm looks at their kind and numbers them. */
export function gresConf(gres: string, folder: string): string {
  const [name, ...rest] = gres.split(':');
  const type = rest.length > 1 ? ` Type=${rest[0]}` : '';
  return `Name=${name}${type} File=${folder}/device[0-${gresCount(gres) - 1}]\n`;
}

export function gresCount(gres: string): number {
  return Number(gres.split(':').at(-1));
}
