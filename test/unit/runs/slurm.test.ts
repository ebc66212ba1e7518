import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { slurmOptionsSchema, type SlurmChanges } from '../../../src/api/compute.ts';
import { runConfigurationSchema, type RunConfiguration } from '../../../src/api/run-configuration.ts';
import { slurmSpecSchema, specSchema } from '../../../src/protocol/messages.ts';
import { overlaid } from '../../../src/runs/configuration/defined.ts';
import { resolveConfiguration, type ChosenEnvironment } from '../../../src/runs/configuration/resolve.ts';
import { slurmOf, type SchedulerSettings } from '../../../src/runs/configuration/slurm.ts';
import { specOf, type Launch } from '../../../src/runs/launch.ts';

const cluster = (slurm: SlurmChanges = {}): SchedulerSettings => ({
  scheduler: 'slurm',
  slurm: slurmOptionsSchema.parse(slurm),
});
const direct: SchedulerSettings = { scheduler: 'direct', slurm: slurmOptionsSchema.parse({}) };
const one = { nodes: 1, distributed: null };

function slurm(configuration: object, settings: SchedulerSettings | null, layout = one) {
  const warnings: string[] = [];
  const parsed = runConfigurationSchema.parse(configuration) as RunConfiguration;
  return { spec: slurmOf(parsed, 'hpc', settings, layout, warnings), warnings };
}

const nothing = {
  partition: null,
  account: null,
  qos: null,
  constraint: null,
  dependency: null,
  time: null,
  cpus_per_task: null,
  memory: null,
  gres: null,
  options: [],
  setup: [],
  mpi_launcher: 'auto',
};

test('a target without Slurm has none; a section "slurm" for it is said', () => {
  for (const settings of [null, direct]) {
    assert.deepEqual(slurm({}, settings), { spec: null, warnings: [] });
    assert.deepEqual(slurm({ slurm: { partition: null } }, settings), { spec: null, warnings: [] });
    assert.deepEqual(slurm({ slurm: { partition: 'gpu' } }, settings), {
      spec: null,
      warnings: ['The section "slurm" is not used: the compute target hpc is no Slurm cluster.'],
    });
  }
});

test('several nodes take a cluster', () => {
  const two = { nodes: 2, distributed: null };
  for (const settings of [null, direct]) {
    assert.throws(
      () => slurm({ nodeCount: 2 }, settings, two),
      (error: Error & { code?: string; action?: string }) => {
        assert.equal(error.code, 'bad_request');
        assert.equal(error.message, 'The run asks for 2 nodes; the compute target hpc is one machine.');
        assert.match(error.action!, /Slurm cluster.*nodeCount: 1/);
        return true;
      },
    );
  }
  assert.deepEqual(slurm({ nodeCount: 2 }, cluster(), two).spec, nothing);
});

test("the run's options go over the target's, member by member", () => {
  const target = cluster({
    partition: 'main',
    account: 'team',
    time: '2:00:00',
    cpusPerTask: 4,
    options: ['--exclusive'],
    setup: ['module load cuda'],
    mpiLauncher: 'srun',
  });
  assert.deepEqual(slurm({}, target).spec, {
    ...nothing,
    partition: 'main',
    account: 'team',
    time: '2:00:00',
    cpus_per_task: 4,
    options: ['--exclusive'],
    setup: ['module load cuda'],
    mpi_launcher: 'srun',
  });
  const { spec, warnings } = slurm(
    {
      slurm: {
        partition: 'gpu',
        account: null,
        cpusPerTask: 8,
        memory: '16G',
        gres: 'gpu:a100:2',
        dependency: 'afterok:12:13',
        options: ['--nice=10', '-x node3'],
        setup: ['export A=1'],
      },
    },
    target,
  );
  assert.deepEqual(warnings, []);
  assert.deepEqual(spec, {
    ...nothing,
    partition: 'gpu',
    time: '2:00:00',
    cpus_per_task: 8,
    memory: '16G',
    gres: 'gpu:a100:2',
    dependency: 'afterok:12:13',
    options: ['--exclusive', '--nice=10', '-x node3'],
    setup: ['module load cuda', 'export A=1'],
    mpi_launcher: 'srun',
  });
  assert.deepEqual(slurmSpecSchema.parse(spec), spec);
});

test('words and lines that could become something else are refused', () => {
  const refusedBySchema: object[] = [
    { partition: 'a\nb' },
    { partition: '' },
    { partition: ' gpu' },
    { account: 'a\u0000' },
    { options: ['exclusive'] },
    { options: ['--a\n--b'] },
    { options: [''] },
    { options: ['--'] },
    { setup: ['a\nb'] },
    { cpusPerTask: 0 },
    { mpiLauncher: 'mpiexec' },
    { partitions: 'main' },
  ];
  for (const bad of refusedBySchema) {
    assert.equal(runConfigurationSchema.safeParse({ slurm: bad }).success, false, JSON.stringify(bad));
  }
  assert.throws(() => slurm({ slurm: { partition: 'gpu ' } }, cluster()), /slurm\.partition is no value/);
  assert.throws(() => slurm({ slurm: { constraint: 'a\ud800' } }, cluster()), /half a character/);
  assert.throws(() => slurm({ slurm: { setup: ['echo \ud800'] } }, cluster()), /half a character/);
  // It stands behind "--partition=".
  assert.equal(slurm({ slurm: { partition: '--array=1-3' } }, cluster()).spec?.partition, '--array=1-3');
  // What a target has been given is looked at too.
  assert.throws(() => slurm({}, cluster({ options: ['-a 1-3'] })), /"-a 1-3".*a run is one job/);
});

/** What the agent says of each line: nothing, or why not. */
function agentSays(lines: string[]): (string | null)[] {
  const code = `
import json, sys
from runyard_agent import spec_slurm
from runyard_agent.errors import AgentError
def said(line):
    try:
        spec_slurm.check({"options": [line]})
    except AgentError as error:
        return error.message
sys.stdout.write(json.dumps({"names": sorted(spec_slurm._OURS), "said": [said(l) for l in json.loads(sys.argv[1])]}))
`;
  const cwd = path.join(import.meta.dirname, '../../../python');
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
  const output = execFileSync('python3', ['-c', code, JSON.stringify(lines)], { cwd, env, encoding: 'utf8' });
  const { names, said } = JSON.parse(output) as { names: string[]; said: (string | null)[] };
  if (lines.length > 0) return said;
  return names;
}

const weSay = (line: string): string | null => {
  try {
    slurm({}, { scheduler: 'slurm', slurm: { ...slurmOptionsSchema.parse({}), options: [line] } });
    return null;
  } catch (error) {
    return (error as Error).message;
  }
};

test('lines of sbatch that a run cannot do without are refused here as by the agent, for the same reason', () => {
  const names = agentSays([]) as string[];
  assert.ok(names.length > 30);
  const lines = names.flatMap((name) =>
    name.startsWith('--') ? [name, `${name}=x`, `${name} x`] : [name, `${name}1`, `${name} 1`],
  );
  const fine = ['--exclusive', '-x node3', '--exclude=node[1-3]', '--nice -5', '--mail-user=a@b.c', '-t 10'];
  const agent = agentSays([...lines, ...fine]);
  for (const [index, line] of [...lines, ...fine].entries()) {
    const ours = weSay(line);
    assert.equal(ours === null, agent[index] === null, `${line}: ${ours} / ${agent[index]}`);
    const reason = /cannot be used(.*)\.$/;
    if (ours) assert.equal(reason.exec(ours)![1], reason.exec(agent[index]!)![1], line);
  }
  for (const line of fine) assert.equal(weSay(line), null, line);
});

test('neither a second option of a line nor the beginning of a name gets past', () => {
  for (const line of [
    '--exclusive --array=1-3',
    '--exclusive -o x',
    '--arr=1-3',
    '--outp=x',
    '-p main -N2',
    '--nodes=2',
    '--ntasks-per=4',
    '-sa1-3',
    '-HsN 2',
  ]) {
    assert.match(weSay(line) ?? '', /cannot be used/, line);
  }
  for (const line of [
    '--mail-user=a@b.c # --array=1-3',
    '--constraint="a -o b"',
    "--reservation='x --array=1'",
    '--nodelist=node1',
    '--time-min=10',
    '--export-nothing-like-it',
  ]) {
    assert.equal(weSay(line), null, line);
  }
});

test("options of a command line go over a file's, member by member", () => {
  assert.deepEqual(
    overlaid(
      { script: 'a.py', slurm: { partition: 'main', time: '10', options: ['--exclusive'] } },
      { nodeCount: 2, slurm: { partition: 'gpu', qos: undefined }, script: undefined },
    ),
    {
      script: 'a.py',
      nodeCount: 2,
      slurm: { partition: 'gpu', time: '10', options: ['--exclusive'] },
    },
  );
  assert.deepEqual(overlaid(undefined, { slurm: { partition: 'gpu' } }), { slurm: { partition: 'gpu' } });
  assert.deepEqual(overlaid({ slurm: { partition: 'gpu' } }, { slurm: null }), { slurm: null });
});

test('from a configuration to the spec of an attempt; runs of earlier versions have neither', async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'ry-slurm-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(path.join(folder, 'train.py'), '');
  const chosen: ChosenEnvironment = {
    ref: {
      name: null,
      version: null,
      hash: '',
      kind: 'none',
      label: '',
    } as unknown as ChosenEnvironment['ref'],
    spec: null,
    interpreter: null,
    variables: {},
    warnings: [],
  };
  const configuration = runConfigurationSchema.parse({
    script: 'train.py',
    target: 'hpc',
    framework: 'PyTorch',
    nodeCount: 2,
    pyTorch: { processCount: 4 },
    resources: { gpus: 2 },
    maxRunDurationSeconds: 90,
    slurm: { partition: 'gpu' },
  }) as RunConfiguration;
  const settings = { ...cluster({ account: 'team' }), interpreter: '/opt/python' };
  const { launch, warnings } = await resolveConfiguration(
    folder,
    configuration,
    { environment: {} },
    () => settings,
    () => chosen,
  );
  assert.deepEqual(warnings, []);
  const identity = { run: 'r', attempt: 1, experiment: 'e', workspace: 'w', manifest: 'm' };
  const spec = specOf(JSON.parse(JSON.stringify(launch)) as Launch, identity);
  assert.deepEqual(spec.resources, { slots: 1, gpus: 2, nodes: 2 });
  assert.equal(spec.max_seconds, 90);
  assert.deepEqual(spec.command, ['/opt/python', '-u', 'train.py']);
  assert.deepEqual(spec.slurm, { ...nothing, partition: 'gpu', account: 'team' });
  assert.equal(spec.distributed?.processes, 4);
  assert.deepEqual(specSchema.parse(spec), spec);

  const { nodes, distributed, slurm: _, ...earlier } = launch;
  assert.ok(nodes && distributed);
  const before = specOf(earlier, identity);
  assert.deepEqual([before.resources.nodes, before.distributed, before.slurm], [1, null, null]);
});
