import assert from 'node:assert/strict';
import test from 'node:test';
import type { RunConfiguration } from '../../../src/api/run-configuration.ts';
import type { Distributed } from '../../../src/protocol/messages.ts';
import { layoutOf } from '../../../src/runs/configuration/distributed.ts';
import { parseConfiguration } from '../../../src/runs/configuration/parse.ts';

function layout(configuration: Partial<RunConfiguration>) {
  const warnings: string[] = [];
  const { nodes, distributed } = layoutOf(configuration as RunConfiguration, warnings);
  return { nodes, distributed, warnings };
}

const of = (kind: Distributed['kind'], processes: number, more: Partial<Distributed> = {}): Distributed => ({
  kind,
  processes,
  parameter_servers: 0,
  backend: null,
  log_ranks: 'first',
  ...more,
});

/** The part of a file that Azure writes whatever is asked for. */
const azure = {
  framework: 'Python',
  communicator: 'None',
  nodeCount: 1,
  tensorflow: { workerCount: 1, parameterServerCount: 1 },
  mpi: { processCountPerNode: 1 },
  pyTorch: { communicationBackend: 'nccl', processCount: 1 },
} satisfies Partial<RunConfiguration>;

const table: [string, Partial<RunConfiguration>, number, Distributed | null][] = [
  ['nothing', {}, 1, null],
  ['what Azure writes', azure, 1, null],
  ['the same for PyTorch', { ...azure, framework: 'PyTorch' }, 1, null],
  ['the same for TensorFlow', { ...azure, framework: 'TensorFlow' }, 1, null],
  ['sections of nothing', { mpi: null, pyTorch: {}, tensorflow: { workerCount: null } }, 1, null],
  ['several nodes', { nodeCount: 3 }, 3, of('tasks', 3)],
  ['several nodes, with what Azure writes', { ...azure, nodeCount: 3 }, 3, of('tasks', 3)],
  ['Open MPI', { communicator: 'OpenMpi', nodeCount: 2, mpi: { processCountPerNode: 4 } }, 2, of('mpi', 8)],
  ['Intel MPI without a number', { communicator: 'IntelMpi', nodeCount: 2 }, 2, of('mpi', 2)],
  ['Mpi on one node', { communicator: 'Mpi', mpi: { processCountPerNode: 3 } }, 1, of('mpi', 3)],
  ['Mpi with one process is asked for', { ...azure, communicator: 'Mpi' }, 1, of('mpi', 1)],
  ['Mpi before the framework', { communicator: 'Mpi', framework: 'PyTorch', nodeCount: 2 }, 2, of('mpi', 2)],
  [
    'nodes where older files have them',
    { ...azure, communicator: 'OpenMpi', mpi: { processCountPerNode: 2, nodeCount: 4 } },
    4,
    of('mpi', 8),
  ],
  [
    'PyTorch: the number is that of all nodes',
    { framework: 'PyTorch', nodeCount: 2, pyTorch: { communicationBackend: 'nccl', processCount: 8 } },
    2,
    of('pytorch', 8, { backend: 'nccl' }),
  ],
  ['PyTorch: one a node', { framework: 'PyTorch', nodeCount: 2 }, 2, of('pytorch', 2)],
  [
    "PyTorch: Azure's 1 is no number that somebody has said",
    { ...azure, framework: 'PyTorch', nodeCount: 2 },
    2,
    of('pytorch', 2, { backend: 'nccl' }),
  ],
  ['PyTorch on one node', { framework: 'PyTorch', pyTorch: { processCount: 2 } }, 1, of('pytorch', 2)],
  [
    'PyTorch: nodes in its section',
    { framework: 'PyTorch', pyTorch: { processCount: 6, nodeCount: 3 } },
    3,
    of('pytorch', 6),
  ],
  ['Gloo', { ...azure, communicator: 'Gloo', nodeCount: 2 }, 2, of('pytorch', 2, { backend: 'gloo' })],
  ['Nccl', { ...azure, communicator: 'Nccl', nodeCount: 2 }, 2, of('pytorch', 2, { backend: 'nccl' })],
  ['Gloo with one process', { communicator: 'Gloo' }, 1, of('pytorch', 1, { backend: 'gloo' })],
  [
    'TensorFlow: workers and parameter servers',
    { framework: 'TensorFlow', nodeCount: 3, tensorflow: { workerCount: 2, parameterServerCount: 1 } },
    3,
    of('tensorflow', 3, { parameter_servers: 1 }),
  ],
  [
    'TensorFlow: workers only',
    { framework: 'TensorFlow', tensorflow: { workerCount: 2 } },
    1,
    of('tensorflow', 2),
  ],
  [
    'TensorFlow: a worker a node',
    { ...azure, framework: 'TensorFlow', nodeCount: 3 },
    3,
    of('tensorflow', 3),
  ],
  [
    "parameter server: Azure's numbers are meant",
    { ...azure, communicator: 'ParameterServer' },
    1,
    of('tensorflow', 2, { parameter_servers: 1 }),
  ],
  [
    'parameter server: one where nothing is said',
    { communicator: 'ParameterServer', nodeCount: 3, tensorflow: { workerCount: 2 } },
    3,
    of('tensorflow', 3, { parameter_servers: 1 }),
  ],
  [
    'one worker',
    { framework: 'TensorFlow', tensorflow: { workerCount: 1, parameterServerCount: 0 } },
    1,
    null,
  ],
  ['all ranks', { nodeCount: 2, logRanks: 'all' }, 2, of('tasks', 2, { log_ranks: 'all' })],
];

for (const [name, configuration, nodes, distributed] of table) {
  test(`processes: ${name}`, () => {
    assert.deepEqual(layout(configuration), { nodes, distributed, warnings: [] });
  });
}

const refused: [string, Partial<RunConfiguration>, RegExp][] = [
  [
    'fewer processes than nodes',
    { framework: 'PyTorch', nodeCount: 4, pyTorch: { processCount: 2 } },
    /processCount is 2, for 4 nodes/,
  ],
  [
    'fewer workers than nodes',
    { framework: 'TensorFlow', nodeCount: 4, tensorflow: { workerCount: 2 } },
    /2 workers and 0 parameter servers, for 4 nodes/,
  ],
  [
    'parameter servers alone',
    { framework: 'TensorFlow', tensorflow: { workerCount: 0, parameterServerCount: 2 } },
    /workerCount is 0/,
  ],
  [
    'two numbers of nodes',
    { communicator: 'Mpi', nodeCount: 2, mpi: { nodeCount: 3 } },
    /nodeCount is 2, but mpi.nodeCount is 3/,
  ],
  ['more nodes than there are', { nodeCount: 1_000_000 }, /nodeCount is 1000000/],
  [
    'more processes than can be',
    { communicator: 'Mpi', nodeCount: 1000, mpi: { processCountPerNode: 100_000 } },
    /100000000 processes/,
  ],
];

for (const [name, configuration, pattern] of refused) {
  test(`processes: refused: ${name}`, () => {
    assert.throws(
      () => layout(configuration),
      (error: Error & { code?: string; action?: string }) => {
        assert.equal(error.code, 'bad_request');
        assert.match(error.message, pattern);
        assert.ok(error.action);
        return true;
      },
    );
  });
}

test('a number that changes nothing is said', () => {
  assert.deepEqual(layout({ pyTorch: { processCount: 4 }, mpi: { processCountPerNode: 2 } }), {
    nodes: 1,
    distributed: null,
    warnings: [
      'mpi.processCountPerNode: 2 has no effect: it takes "communicator: OpenMpi".',
      'pyTorch.processCount: 4 has no effect: it takes "framework: PyTorch".',
    ],
  });
});

/** As Azure's own tools have written them, comments and all: what stands in people's folders. */
const written = `# The script to run.
script: train.py
# The arguments to the script file.
arguments: []
# The name of the compute target to use for this run.
target: cpucluster
# Framework to execute inside. Allowed values are "Python" ,  "PySpark", "CNTK",  "TensorFlow", and "PyTorch".
framework: FRAMEWORK
# Communicator for the given framework. Allowed values are "None" ,  "ParameterServer", "OpenMpi", and "IntelMpi".
communicator: COMMUNICATOR
# Automatically prepare the run environment as part of the run itself.
autoPrepareEnvironment: true
# Maximum allowed duration for the run.
maxRunDurationSeconds:
# Number of nodes to use for running job.
nodeCount: NODES
environment:
  environmentVariables:
    EXAMPLE_ENV_VAR: EXAMPLE_VALUE
  python:
    userManagedDependencies: true
    interpreterPath: python
    condaDependenciesFile:
    baseCondaEnvironment:
  docker:
    enabled: false
    baseImage: mcr.microsoft.com/azureml/base:intelmpi2018.3-ubuntu16.04
    sharedVolumes: true
    gpuSupport: false
    shmSize: 1g
    arguments: []
    baseImageRegistry:
      address:
      username:
      password:
  spark:
    repositories: []
    packages: []
    precachePackages: true
history:
  outputCollection: true
  snapshotProject: true
  directoriesToWatch:
  - logs
spark:
  configuration:
    spark.app.name: Azure ML Experiment
    spark.yarn.maxAppAttempts: 1
hdi:
  yarnDeployMode: cluster
tensorflow:
# The number of worker tasks.
  workerCount: WORKERS
# The number of parameter server tasks.
  parameterServerCount: 1
mpi:
# When using MPI, number of processes per node.
  processCountPerNode: PERNODE
pyTorch:
# options: gloo, nccl
  communicationBackend: nccl
  processCount: PROCESSES
dataReferences: {}
data: {}
sourceDirectoryDataStore:
amlcompute:
  vmSize:
  vmPriority:
  retainCluster: false
  name:
  clusterMaxNodeCount: 1
`;

test('files that people hold', () => {
  const read = (
    framework: string,
    communicator: string,
    nodes = 1,
    perNode = 1,
    workers = 1,
    processes = '1',
  ) => {
    const text = written
      .replace('FRAMEWORK', framework)
      .replace('COMMUNICATOR', communicator)
      .replace('NODES', String(nodes))
      .replace('PERNODE', String(perNode))
      .replace('WORKERS', String(workers))
      .replace('PROCESSES', processes);
    const { configuration, warnings } = parseConfiguration(text, 'train.runconfig');
    assert.deepEqual(warnings, []);
    return layout(configuration);
  };
  const plain = { nodes: 1, distributed: null, warnings: [] };
  for (const framework of ['Python', 'PyTorch', 'TensorFlow'])
    assert.deepEqual(read(framework, 'None'), plain);
  assert.deepEqual(read('PyTorch', 'None', 1, 1, 1, ''), plain);
  assert.deepEqual(read('Python', 'OpenMpi', 2, 4).distributed, of('mpi', 8));
  assert.deepEqual(read('Python', 'IntelMpi', 2).distributed, of('mpi', 2));
  assert.deepEqual(
    read('TensorFlow', 'ParameterServer', 3, 1, 2).distributed,
    of('tensorflow', 3, { parameter_servers: 1 }),
  );
  assert.deepEqual(read('PyTorch', 'None', 2, 1, 1, '4').distributed, of('pytorch', 4, { backend: 'nccl' }));
});

/** What newer versions of Azure's SDK write instead, or add; its PyTorchConfiguration is the communicator as well. */
const newer = `
script: train.py
target: cpucluster
framework: PyTorch
communicator: Nccl
maxRunDurationSeconds:
nodeCount: 2
priority:
environment:
  docker:
    platform:
      os: Linux
      architecture: amd64
    baseDockerfile:
mpi:
  processCountPerNode: 1
  nodeCount: 1
pytorch:
  communicationBackend: Nccl
  processCount: 8
paralleltask:
  maxRetriesPerWorker: 0
  workerCountPerNode: 1
  terminalExitCodes:
data: {}
datacaches: []
kubernetescompute:
  instanceType:
credentialPassthrough: false
command: ''
applicationEndpoints: {}
`;

test('files of the newer SDK', () => {
  const read = (text: string) => parseConfiguration(text, 'train.runconfig');
  const { configuration, warnings } = read(newer);
  assert.deepEqual(warnings, []);
  const expected = { nodes: 2, distributed: of('pytorch', 8, { backend: 'nccl' }), warnings: [] };
  assert.deepEqual(layout(configuration), expected);
  assert.deepEqual(layout(read(newer.replaceAll('Nccl', 'nccl')).configuration), expected);
  assert.equal(read(`{"framework": "Cntk", "communicator": "OpenMPI"}`).configuration.framework, 'CNTK');
  // What says something is not passed over, and lines are those of the file.
  assert.deepEqual(read(newer.replace('priority:', 'priority: 3')).warnings, [
    'train.runconfig:8: the key "priority" is not known and has no effect.',
  ]);
  assert.throws(
    () => read(newer.replace('processCount: 8', 'processCount: many')),
    /train\.runconfig:20: the key "pyTorch\.processCount" is wrong/,
  );
  assert.throws(() => read(newer.replace(': Nccl', ': Smoke')), /train\.runconfig:5: .*"Nccl"/);
});

test('a wrong number names file and line; a key that is not known is a warning', () => {
  assert.throws(
    () => parseConfiguration('nodeCount: 2\nmpi:\n  processCountPerNode: many\n', 'a.runconfig'),
    /a\.runconfig:3: the key "mpi\.processCountPerNode" is wrong/,
  );
  assert.throws(
    () => parseConfiguration('nodeCount: 0\n', 'a.runconfig'),
    /a\.runconfig:1: the key "nodeCount"/,
  );
  const { warnings, configuration } = parseConfiguration('pyTorch:\n  processes: 4\n', 'a.runconfig');
  assert.deepEqual(warnings, ['a.runconfig:2: the key "pyTorch.processes" is not known and has no effect.']);
  assert.deepEqual(layout(configuration).distributed, null);
});
