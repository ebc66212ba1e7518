import { RunyardError } from '../../api/errors.ts';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import type { Distributed } from '../../protocol/messages.ts';

/** How many machines a run takes, and how many processes on them; `distributed` null: one process. */
export interface Layout {
  nodes: number;
  distributed: Distributed | null;
}

const mostNodes = 100_000;
const mostProcesses = 1_000_000;

type Parts = Pick<Distributed, 'kind' | 'processes' | 'parameter_servers' | 'backend'>;

/**
 * The processes that a configuration asks for, in Azure's keys. What Azure writes into every file (one process, one
 * worker and one parameter server, "nccl") asks for nothing. Throws `bad_request`.
 */
export function layoutOf(configuration: RunConfiguration, warnings: string[]): Layout {
  const kind = kindOf(configuration);
  const nodes = nodesOf(configuration, kind);
  const parts = partsOf(configuration, kind, nodes);
  warnAboutIdle(configuration, parts?.kind ?? null, warnings);
  if (!parts) return { nodes, distributed: null };
  if (parts.processes > mostProcesses) {
    throw wrong(`The run asks for ${parts.processes} processes.`, `At most ${mostProcesses} can be started.`);
  }
  const logRanks = configuration.logRanks ?? 'first';
  return { nodes, distributed: { ...parts, log_ranks: logRanks } };
}

/** What the processes are to each other where there are several. */
function kindOf({ communicator, framework }: RunConfiguration): Distributed['kind'] {
  if (communicator === 'OpenMpi' || communicator === 'IntelMpi' || communicator === 'Mpi') return 'mpi';
  if (communicator === 'Gloo' || communicator === 'Nccl') return 'pytorch';
  if (communicator === 'ParameterServer') return 'tensorflow';
  if (framework === 'PyTorch') return 'pytorch';
  return framework === 'TensorFlow' ? 'tensorflow' : 'tasks';
}

/** `nodeCount`, which older files have in the section of their kind. */
function nodesOf(configuration: RunConfiguration, kind: Distributed['kind']): number {
  const section = kind === 'mpi' ? 'mpi' : kind === 'pytorch' ? 'pyTorch' : undefined;
  const nodes = configuration.nodeCount ?? 1;
  const older = (section && configuration[section]?.nodeCount) || 1;
  if (nodes > 1 && older > 1 && nodes !== older) {
    throw wrong(
      `nodeCount is ${nodes}, but ${section}.nodeCount is ${older}.`,
      `Leave ${section}.nodeCount out.`,
    );
  }
  const most = Math.max(nodes, older);
  if (most > mostNodes) throw wrong(`nodeCount is ${most}.`, `At most ${mostNodes} nodes can be asked for.`);
  return most;
}

function partsOf(
  configuration: RunConfiguration,
  kind: Distributed['kind'],
  nodes: number,
): Parts | undefined {
  const backend = configuration.pyTorch?.communicationBackend?.toLowerCase() || null;
  const plain = { kind, parameter_servers: 0, backend: null };
  switch (kind) {
    case 'mpi':
      return { ...plain, processes: (configuration.mpi?.processCountPerNode || 1) * nodes };
    case 'pytorch': {
      // 1 is what Azure writes when nobody said anything.
      const said = configuration.pyTorch?.processCount ?? 1;
      const processes = said > 1 ? said : nodes;
      if (processes < nodes) {
        throw wrong(
          `pyTorch.processCount is ${processes}, for ${nodes} nodes.`,
          'It counts the processes of all nodes together: give it at least one for each node.',
        );
      }
      // Azure's SDK writes the backend here as well, by default Nccl.
      const { communicator } = configuration;
      const isGloo = communicator === 'Gloo';
      if (processes === 1 && !isGloo && communicator !== 'Nccl') return undefined;
      return { ...plain, processes, backend: isGloo ? 'gloo' : communicator === 'Nccl' ? 'nccl' : backend };
    }
    case 'tensorflow':
      return tensorflowParts(configuration, nodes);
    case 'tasks':
      return nodes > 1 ? { ...plain, processes: nodes } : undefined;
  }
}

function tensorflowParts(configuration: RunConfiguration, nodes: number): Parts | undefined {
  const { workerCount, parameterServerCount } = configuration.tensorflow ?? {};
  const byServers = configuration.communicator === 'ParameterServer';
  // One of each is what Azure writes when nobody said anything.
  const isSaid = byServers || (workerCount ?? 1) !== 1 || (parameterServerCount ?? 1) !== 1;
  const workers = isSaid ? (workerCount ?? 1) : nodes;
  const servers = isSaid ? (parameterServerCount ?? (byServers ? 1 : 0)) : 0;
  const processes = workers + servers;
  if (workers < 1) {
    throw wrong('tensorflow.workerCount is 0.', 'At least one worker is needed.');
  }
  if (processes < nodes) {
    throw wrong(
      `tensorflow asks for ${workers} ${workers === 1 ? 'worker' : 'workers'} and ${servers} parameter ${servers === 1 ? 'server' : 'servers'}, for ${nodes} nodes.`,
      'Both count the processes of all nodes together: give them at least one for each node.',
    );
  }
  if (processes === 1) return undefined;
  return { kind: 'tensorflow', processes, parameter_servers: servers, backend: null };
}

/** A number that somebody has written and that changes nothing. */
function warnAboutIdle(
  { mpi, pyTorch, tensorflow }: RunConfiguration,
  kind: Distributed['kind'] | null,
  warnings: string[],
): void {
  const idle = (key: string, value: number | null | undefined, takes: string) => {
    if ((value ?? 1) > 1) warnings.push(`${key}: ${value} has no effect: it takes ${takes}.`);
  };
  if (kind !== 'mpi') {
    idle('mpi.processCountPerNode', mpi?.processCountPerNode, '"communicator: OpenMpi"');
    idle('mpi.nodeCount', mpi?.nodeCount, '"communicator: OpenMpi"');
  }
  if (kind !== 'pytorch') {
    idle('pyTorch.processCount', pyTorch?.processCount, '"framework: PyTorch"');
    idle('pyTorch.nodeCount', pyTorch?.nodeCount, '"framework: PyTorch"');
  }
  if (kind !== 'tensorflow') {
    idle('tensorflow.workerCount', tensorflow?.workerCount, '"framework: TensorFlow"');
    idle('tensorflow.parameterServerCount', tensorflow?.parameterServerCount, '"framework: TensorFlow"');
  }
}

function wrong(message: string, action: string): RunyardError {
  return new RunyardError('bad_request', message, { action });
}
