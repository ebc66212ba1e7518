"""What a partition can never give is said at once: Slurm takes such a job, and lets it wait for ever."""

from . import slurm
from .slurm_job import tasks_per_node
from .errors import AgentError


def show_partitions():
    """argv of the question what the partitions allow."""
    return ["scontrol", "show", "partition", "-o"]


def read_partitions(text):
    """`{name: members}` of what scontrol says, a line each."""
    found = {}
    for line in text.splitlines():
        members = slurm.read_members(line)
        if members.get("PartitionName"):
            found[members["PartitionName"]] = members
    return found


def add_nodes(partitions, listed):
    """Notes what the largest node of each partition has; `listed` is as slurm_info.read_partitions gives it."""
    for one in listed:
        if one["name"] in partitions and one["cpus_per_node"]:
            partitions[one["name"]]["LargestNodeCPUs"] = one["cpus_per_node"]


def check(spec, partitions):
    """Refuses what none of the partitions that a run may have allows. AgentError slurm."""
    named = spec["slurm"].get("partition")
    names = named.split(",") if named else [name for name, members in partitions.items()
                                            if members.get("Default") == "YES"]
    # One that is not there is refused by sbatch, in Slurm's own words.
    candidates = [(name, partitions[name]) for name in names if name in partitions]
    if not candidates or len(candidates) < len(names):
        return
    reasons = [_reason(name, members, spec) for name, members in candidates]
    if all(reasons):
        raise AgentError("slurm", " ".join(reasons), "Ask for less, or choose another partition.")


def _reason(name, members, spec):
    nodes = spec["resources"]["nodes"]
    for member, sentence in (("TotalNodes", "The partition %s has %s; the run asks for %d."),
                             ("MaxNodes", "The partition %s gives a job %s at most; the run asks for %d.")):
        most = members.get(member, "")
        if most.isdigit() and nodes > int(most):
            return sentence % (name, "%s node%s" % (most, "" if int(most) == 1 else "s"), nodes)
    cpus = tasks_per_node(spec) * (spec["slurm"].get("cpus_per_task") or 1)
    if cpus > members.get("LargestNodeCPUs", cpus):
        return "The nodes of the partition %s have %d CPUs at most; the run asks for %d on each." % (
            name, members["LargestNodeCPUs"], cpus)
    asked = slurm.seconds_of(spec["slurm"].get("time") or "")
    limit = slurm.seconds_of(members.get("MaxTime", ""))
    if asked is not None and limit is not None and asked > limit:
        return "The partition %s gives a job %s at most; the run asks for %s." % (
            name, members["MaxTime"], spec["slurm"]["time"])
    return None
