"""`rank`: what MPI starts in the place of the command. It finds out which rank it is, and keeps the command."""

import os
import sys
import time

from . import distributed_plan, processes, ranks
from .atomic import write_json
from .errors import AgentError
from .node_guard import Guard

#: Variables that say more of this process than those of the run do.
_LAUNCHERS = ("OMPI_", "PMI", "PRTE_", "SLURM", "HYD", "I_MPI", "MPI", "CUDA_VISIBLE", "ROCR_VISIBLE", "HIP_VISIBLE")

#: Seconds beyond the grace after which a rank that waits for its own end ends by itself.
_HOLD = 60.0


def number_of(variables):
    """The number that the launcher has given to this process, None where it says none."""
    for name in ranks.RANK_VARIABLES:
        if variables.get(name, "").isdigit():
            return int(variables[name])
    return None


def variables_for(plan, rank, inherited):
    """The variables of the command."""
    found = dict(inherited)
    if plan["variables"] is not None and plan["nodes"] > 1:
        # Another node has its own; launchers carry over only what is theirs.
        found.update((name, value) for name, value in plan["variables"].items()
                     if name not in inherited or not name.startswith(_LAUNCHERS))
    for name, value in ranks.mpi_variables(plan, rank).items():
        found.setdefault(name, value)
    found.update(ranks.slurm_variables(plan, rank, found))
    found.update(ranks.variables_of(plan, rank))
    return found


def main(path, program):
    """Runs one rank, with `program` as the first word of its command; gives its exit code."""
    try:
        plan = distributed_plan.read(path)
        number = number_of(os.environ)
        if number is None or number >= plan["processes"]:
            raise AgentError("prepare", "mpirun has not said which of the %d ranks this is (%s)." % (
                plan["processes"], ", ".join(ranks.RANK_VARIABLES)), "Tell the maintainers which MPI this is.")
    except AgentError as error:
        print("Runyard: " + error.in_full(), file=sys.stderr)
        return 1
    plan["command"][0] = program
    return _run(plan, ranks.Rank(plan, number))


def _run(plan, rank):
    guard = Guard(plan)
    folder = plan["folder"]
    try:
        member = guard.start(rank, plan["command"], variables_for(plan, rank, os.environ))
    except AgentError as error:
        distributed_plan.tell_end(folder, {"rank": None, "node": rank.node, "host": os.uname()[1],
                                           "error": {"code": error.code, "message": error.in_full()}})
        if plan["nodes"] == 1:
            _hold(guard, plan)
        return 127
    _write(folder, member)
    told = False
    while member.ended is None and not told:
        guard.wakeup.wait(1.0)
        guard.look()
        told = guard.told_to_end
    if member.ended is None:
        guard.end(plan["grace"])
    elif not member.good and not told:
        distributed_plan.tell_end(folder, member.why())
    _write(folder, member)
    if (told and not guard.wakeup.told_to_end) or (plan["nodes"] == 1 and (told or not member.good)):
        _hold(guard, plan)
    return member.shell_code if member.ended is not None else 1


def _hold(guard, plan):
    """Waits for its own end. A launcher that sees one rank's end as bad gives the others hardly any time; the node
    program gives them the grace, and ends this process after them. Where a rank fails by itself on several nodes, the
    launcher has to hear of it at once, and does as it does."""
    deadline = time.monotonic() + plan["grace"] + _HOLD
    while time.monotonic() < deadline:
        guard.wakeup.wait(1.0)


def _write(folder, member):
    """nodes/rank_<n>.json."""
    own = [os.getpid(), processes.start_of(os.getpid())]
    try:
        write_json(distributed_plan.rank_file(folder, member.rank.rank),
                   dict(member.as_json(), node=member.rank.node, host=os.uname()[1], guard=own))
    except OSError:
        pass  # a full disk
