import {
  protocolVersion,
  type Distributed,
  type SlurmSpec,
  type Spec,
  type SpecEnvironment,
} from '../protocol/messages.ts';

/** What is to be run, resolved once at the submit and kept: a rerun does the very same. */
export interface Launch {
  /** For people: the script, or the command's beginning. */
  script: string;
  /** Arguments as they are, without a shell; null when `shell` is set. */
  command: string[] | null;
  shell: string | null;
  interpreter: string;
  /** The first word of `command` stands for the environment's Python. Absent in runs of earlier versions, as is the next. */
  python?: boolean;
  environment?: SpecEnvironment | null;
  variables: Record<string, string>;
  slots: number;
  /** Of each node. */
  gpus: number;
  /** Absent in runs of earlier versions, as are the next two. */
  nodes?: number;
  /** Null: one process. */
  distributed?: Distributed | null;
  /** Null: the host's own queue. */
  slurm?: SlurmSpec | null;
  maxSeconds: number | null;
}

/** Between terminate and kill. */
const graceSeconds = 10;
const monitorSeconds = 2;

/** The agent's view of an attempt (docs/agent-protocol.md). */
export function specOf(
  launch: Launch,
  identity: { run: string; attempt: number; experiment: string; workspace: string; manifest: string },
): Spec {
  return {
    protocol: protocolVersion,
    ...identity,
    command: launch.command,
    shell: launch.shell,
    python: launch.python ?? false,
    environment: launch.environment ?? null,
    variables: launch.variables,
    inherit_environment: true,
    resources: { slots: launch.slots, gpus: launch.gpus, nodes: launch.nodes ?? 1 },
    distributed: launch.distributed ?? null,
    slurm: launch.slurm ?? null,
    max_seconds: launch.maxSeconds,
    grace_seconds: graceSeconds,
    monitor_seconds: monitorSeconds,
  };
}
