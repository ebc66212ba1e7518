"""The processes of a run that has several: how they are numbered, what they are told of each other, where they write.

A plan (`distributed.json`) is a dictionary: `kind, processes, nodes, parameter_servers, backend, log_ranks, command,
variables, code, log, folder, mark, grace, address, port, hosts, launcher`.
"""

import json
import os
import random
import socket

#: Kinds whose processes the node program starts by itself.
OWN = ("tasks", "pytorch", "tensorflow")

#: What a launcher calls the number of a process, in the order in which they are asked; Slurm's own is always there.
RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")

#: Below the ports that the system itself gives away (32768 and up), above those of services.
_PORTS = (15000, 32000)


class Rank(object):
    """One process among the others: its number, its node's number, its number there, and how many are there."""

    def __init__(self, plan, rank):
        self.rank = rank
        self.node, first, self.local_size = node_of(plan["processes"], plan["nodes"], rank)
        self.local = rank - first

    @property
    def word(self):
        """For people."""
        return "Rank %d" % self.rank


def share(processes, nodes, node):
    """`(first rank, number of ranks)` of a node: blocks, the first nodes have one more where it does not come out
    even."""
    size, more = divmod(processes, nodes)
    return node * size + min(node, more), size + (1 if node < more else 0)


def node_of(processes, nodes, rank):
    """`(node, its first rank, its number of ranks)` of a rank."""
    size, more = divmod(processes, nodes)
    node = rank // (size + 1) if rank < more * (size + 1) else more + (rank - more * (size + 1)) // max(1, size)
    first, count = share(processes, nodes, node)
    return node, first, count


def of_node(plan, node):
    """The Ranks of a node."""
    first, count = share(plan["processes"], plan["nodes"], node)
    return [Rank(plan, rank) for rank in range(first, first + count)]


def log_of(log, rank):
    """Where a rank writes; `log` is rank 0's, the run's own."""
    return log if rank == 0 else "%s/std_log_process_%02d.txt" % (os.path.dirname(log), rank)


def variables_of(plan, rank, cluster=None):
    """What a Rank is told. `cluster` are the addresses ("host:port") of all ranks, for TensorFlow."""
    address, port = plan["address"], str(plan["port"])
    found = {
        "RUNYARD_RANK": rank.rank, "RUNYARD_WORLD_SIZE": plan["processes"],
        "RUNYARD_LOCAL_RANK": rank.local, "RUNYARD_LOCAL_SIZE": rank.local_size,
        "RUNYARD_NODE_RANK": rank.node, "RUNYARD_NODE_COUNT": plan["nodes"],
        "RUNYARD_LOG_RANKS": plan["log_ranks"],
        "RANK": rank.rank, "WORLD_SIZE": plan["processes"],
        "LOCAL_RANK": rank.local, "LOCAL_WORLD_SIZE": rank.local_size, "NODE_RANK": rank.node,
        "MASTER_ADDR": address, "MASTER_PORT": port,
        # Scripts written for Azure's MPI find the first node by these.
        "AZ_BATCH_MASTER_NODE": "%s:%s" % (address, port), "AZ_BATCHAI_MPI_MASTER_NODE": address,
    }
    if plan.get("backend"):
        found["RUNYARD_BACKEND"] = plan["backend"]
    if cluster is not None:
        found["TF_CONFIG"] = tf_config(cluster, plan["parameter_servers"], rank.rank)
    return {name: str(value) for name, value in found.items()}


def mpi_variables(plan, rank):
    """What Open MPI calls its ranks, for scripts that ask for it under another MPI."""
    found = (("RANK", rank.rank), ("SIZE", plan["processes"]), ("LOCAL_RANK", rank.local),
             ("LOCAL_SIZE", rank.local_size))
    return {"OMPI_COMM_WORLD_" + name: str(value) for name, value in found}


def slurm_variables(plan, rank, around):
    """In a job of Slurm: as if srun had started each rank by itself, which is what libraries take for granted. Empty
    elsewhere; `around` are the variables of the node program."""
    if "SLURM_JOB_ID" not in around:
        return {}
    each = [share(plan["processes"], plan["nodes"], node)[1] for node in range(plan["nodes"])]
    found = {"SLURM_PROCID": rank.rank, "SLURM_LOCALID": rank.local, "SLURM_NODEID": rank.node,
             "SLURM_NTASKS": plan["processes"], "SLURM_NPROCS": plan["processes"],
             "SLURM_STEP_NUM_TASKS": plan["processes"], "SLURM_STEP_NUM_NODES": plan["nodes"],
             "SLURM_TASKS_PER_NODE": tasks_per_node(each), "SLURM_STEP_TASKS_PER_NODE": tasks_per_node(each)}
    return {name: str(value) for name, value in found.items()}


def tasks_per_node(counts):
    """As Slurm writes it: `2(x3),1`."""
    parts = []
    for count in counts:
        if parts and parts[-1][0] == count:
            parts[-1][1] += 1
        else:
            parts.append([count, 1])
    return ",".join("%d(x%d)" % (count, times) if times > 1 else str(count) for count, times in parts)


def tf_config(cluster, parameter_servers, rank):
    """TF_CONFIG: the last of the ranks are the parameter servers."""
    workers = len(cluster) - parameter_servers
    members = {"worker": cluster[:workers]}
    if parameter_servers:
        members["ps"] = cluster[workers:]
    task = {"type": "worker", "index": rank} if rank < workers else {"type": "ps", "index": rank - workers}
    return json.dumps({"cluster": members, "task": task})


def is_server(plan, rank):
    """Whether a rank is a parameter server, which waits for work until it is ended."""
    return plan["kind"] == "tensorflow" and rank >= plan["processes"] - plan["parameter_servers"]


def free_ports(count):
    """So many TCP ports that nobody listens on here: none of those that outgoing connections get by themselves, since
    it takes a script a while to listen."""
    found, held = [], []
    try:
        while len(found) < count:
            here = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(here)
            for attempt in range(100):
                try:
                    here.bind(("", random.SystemRandom().randint(*_PORTS) if attempt < 99 else 0))
                    break
                except OSError:
                    continue
            found.append(here.getsockname()[1])
        return found
    finally:
        for here in held:
            here.close()


def own_address(name=None):
    """How other machines reach this one: `name` (or its host name) where that is not only its own name for itself,
    else the address by which it reaches others; 127.0.0.1 where there is none."""
    for each in (name, socket.gethostname()):
        try:
            if each and not _is_loopback(socket.gethostbyname(each)):
                return each
        except (OSError, UnicodeError):
            pass
    try:
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            found = probe.getsockname()[0]
        finally:
            probe.close()
        return found if not _is_loopback(found) and found != "0.0.0.0" else "127.0.0.1"
    except OSError:
        return "127.0.0.1"


def _is_loopback(address):
    return address.startswith("127.")
