// A Slurm cluster for a test in another language:  node test/rig/slurm/start-cluster.ts ['{"killWait": 4}']
// It says in one line of JSON how a process of this machine uses it (`bin` belongs first on its PATH), and ends with
// stdin. A line on stdin is a fault, answered by one of JSON: {"do": "killNode", "with": ["node1", {"power": true}]}
import { createInterface } from 'node:readline';
import { SlurmCluster, slurmRigProblem, type ClusterShape } from './cluster.ts';

const faults = [
  ...['killNode', 'startNode', 'cutNode', 'mendNode', 'stopController', 'startController'],
  ...['run', 'jobs', 'job', 'countCalls', 'messages', 'log', 'on'],
];

const say = (answer: unknown): void => console.log(JSON.stringify(answer));

async function perform(cluster: SlurmCluster, line: string): Promise<unknown> {
  try {
    const request = JSON.parse(line) as { do: string; with?: unknown[] };
    if (!faults.includes(request.do)) throw new Error(`there is no ${request.do}`);
    const methods = cluster as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    return { result: (await methods[request.do]!(...(request.with ?? []))) ?? null };
  } catch (error) {
    return { error: (error as Error).message };
  }
}

const problem = slurmRigProblem();
if (problem) {
  say({ problem });
  process.exit(1);
}
// It ends when stdin does, not by what a terminal sends to everybody.
for (const signal of ['SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined);
const cluster = await SlurmCluster.start(JSON.parse(process.argv[2] ?? '{}') as ClusterShape);
try {
  say({ ...cluster.local, nodes: cluster.nodes });
  for await (const line of createInterface({ input: process.stdin })) say(await perform(cluster, line));
} finally {
  await cluster.close();
}
