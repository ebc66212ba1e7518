"""What a cluster is and how busy it is: partitions with their nodes, CPUs and GPUs, and this user's jobs."""

import os
import re
import time

from . import slurm
from .slurm_tool import slurm_tool

#: Seconds for which an answer counts, and for which each program has time.
FRESH, _PATIENCE = 20.0, 30.0

#: A line for each kind of node of each partition: partition (the default one with a star), its state, time limit, nodes
#: and CPUs (allocated/idle/other/total), CPUs of a node, its memory (MB), its GPUs and those in use.
_FIELDS = ("Partition:.100|,Available:.20|,Time:.30|,NodeAIOT:.60|,CPUsState:.60|,CPUs:.20|,Memory:.30|,Gres:.200|,"
           "GresUsed:.200")


class SlurmInfo(object):
    """The latest answer, for everybody who asks."""

    def __init__(self):
        self._latest = None
        self._until = 0.0
        self._asking = False

    def get(self):
        """A generator (turns) that returns slurm.info's result."""
        while self._asking:
            yield 0.02
        if self._latest is None or time.monotonic() >= self._until:
            self._asking = True
            try:
                self._latest = yield from _ask()
                self._until = time.monotonic() + FRESH
            finally:
                self._asking = False
        return self._latest


def _ask():
    found = {"version": None, "cluster": None, "partitions": [], "running": 0, "pending": 0, "problem": None,
             "action": None}
    if not slurm.present():
        found.update(problem="There is no sbatch on the PATH of the host.",
                     action="Set set-up lines that bring it (module load slurm), or choose another host.")
        return found
    nodes = yield from _call(show_nodes())
    if nodes.result is None:
        found.update(problem="Slurm does not answer: " + (slurm.refusal(nodes.errors) or "sinfo failed."),
                     action="Try again later, or ask who runs the cluster.")
        return found
    found["partitions"] = read_partitions(nodes.result)
    config = yield from _call(slurm.show_config())
    if config.result is not None:
        members = slurm.read_config(config.result)
        found["cluster"] = members.get("ClusterName")
        found["version"] = members.get("SLURM_VERSION")
    own = yield from _call(["squeue", "--noheader", "--user=%d" % os.getuid(), "--format=%T"])
    if own.result is not None:
        states = own.result.split()
        found["running"] = sum(1 for state in states if state not in slurm.WAITING)
        found["pending"] = len(states) - found["running"]
    return found


def show_nodes():
    """argv of the question which nodes the partitions have, and how busy they are."""
    return ["sinfo", "--noheader", "--Format=" + _FIELDS]


def read_partitions(text):
    """The `partitions` member of what sinfo says, in its order."""
    found = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) != 9 or not parts[0]:
            continue
        name, available, limit, nodes, cpus, per_node, memory, gres, used = parts
        partition = found.setdefault(name.rstrip("*"), {
            "name": name.rstrip("*"), "default": name.endswith("*"), "state": available.upper(),
            "time_limit": slurm.seconds_of(limit), "nodes": _shares("0/0/0/0"), "cpus": _shares("0/0/0/0"),
            "cpus_per_node": None, "memory": None, "gpus": []})
        for member, said in (("nodes", nodes), ("cpus", cpus)):
            for kind, count in _shares(said).items():
                partition[member][kind] += count
        partition["cpus_per_node"] = _most(partition["cpus_per_node"], per_node, 1)
        partition["memory"] = _most(partition["memory"], memory, 1 << 20)
        _add_gpus(partition["gpus"], gres, used, _shares(nodes)["total"])
    return list(found.values())


def _shares(text):
    """allocated/idle/other/total in our words."""
    numbers = [int(each) if each.isdigit() else 0 for each in text.split("/")]
    used, idle, other, total = (numbers + [0, 0, 0, 0])[:4]
    return {"total": total, "idle": idle, "used": used, "unavailable": other}


def _most(known, text, factor):
    match = re.match(r"\d+", text)
    value = int(match.group(0)) * factor if match else None
    return known if value is None else max(known or 0, value)


def _add_gpus(gpus, gres, used, nodes):
    """`gpu:a100:4(S:0-1)` of each of so many nodes; what is in use stands there for one of them only."""
    in_use = dict(_gpus_of(used))
    for kind, count in _gpus_of(gres):
        known = next((one for one in gpus if one["type"] == kind), None)
        if known is None:
            known = {"type": kind, "total": 0, "used": 0}
            gpus.append(known)
        known["total"] += count * nodes
        mine = in_use.get(kind)
        # One node speaks for itself; of several the one that is shown says nothing of the others.
        known["used"] = known["used"] + mine if mine is not None and nodes == 1 and known["used"] is not None else None


def _gpus_of(text):
    found = []
    for word in re.sub(r"\([^)]*\)", "", text).split(","):
        parts = word.strip().split(":")
        if parts[0] != "gpu":
            continue
        count = parts[-1]
        kind = parts[1] if len(parts) > 2 else None
        found.append((kind, int(count) if count.isdigit() else 1))
    return found


def _call(argv):
    tool = slurm_tool(argv, _PATIENCE, limit=1 << 24)
    while not tool.poll():
        yield 0.02
    return tool
