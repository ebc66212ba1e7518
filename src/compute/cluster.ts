import type { Cluster } from '../api/compute.ts';
import type { SlurmInfoReply } from '../protocol/messages.ts';
import { plainText } from './plain-text.ts';

const plain = (text: string | null) => (text === null ? null : plainText(text));

/** What an agent says of its cluster, in the API's words. */
export function clusterOf(said: SlurmInfoReply): Cluster {
  return {
    version: plain(said.version),
    name: plain(said.cluster),
    partitions: said.partitions.map((one) => ({
      name: plainText(one.name),
      default: one.default,
      state: plainText(one.state),
      timeLimitSeconds: one.time_limit,
      nodes: one.nodes,
      cpus: one.cpus,
      cpusPerNode: one.cpus_per_node,
      memoryBytes: one.memory,
      gpus: one.gpus.map((gpu) => ({ ...gpu, type: plain(gpu.type) })),
    })),
    running: said.running,
    pending: said.pending,
    problem: plain(said.problem),
    action: plain(said.action),
  };
}
