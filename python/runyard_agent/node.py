"""`node`: the supervisor of one node's part of a run that has several processes."""

import os
import signal
import sys
import time

from . import distributed_plan, ranks
from .atomic import read_object, write_json
from .errors import AgentError
from .node_guard import Guard
from .shared_files import SharedFiles

#: Seconds between two looks for what other nodes say.
_LOOK = 2.0

#: Variables of the step that count more than those of the run: what Slurm has given to this node.
_OF_STEP = ("CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL",
            "ZE_AFFINITY_MASK")


def around(plan):
    """What the ranks of this node start from: the run's variables; in a container those that it has."""
    if plan["variables"] is None:
        return dict(os.environ)
    found = dict(plan["variables"])
    if "SLURM_JOB_ID" in os.environ:
        found.update((name, value) for name, value in os.environ.items()
                     if name.startswith(("SLURM_", "SLURMD_")) or name in _OF_STEP)
    return found


def complete(plan, node):
    """Fills in the address and port of rank 0 where the supervisor has left that to its node."""
    if plan["address"] is None:
        plan["address"] = "127.0.0.1"
    if plan["port"] is None and node == 0:
        plan["port"] = ranks.free_ports(1)[0]
    return plan


class Node(object):
    """One node's ranks, from their start to the end of the last of their processes."""

    def __init__(self, plan, number):
        self.plan = complete(plan, number)
        self.number = number
        self.guard = Guard(plan)
        self.failed = None  # the Member that ends the run
        self.error = None  # the AgentError that does
        self.told = False
        self._folder = plan["folder"]
        self._shared = SharedFiles(self._folder)
        self._cluster = None
        self._mine = None  # this node's addresses, while there are others to tell them to
        self._next_look = 0.0

    def run(self):
        """All of it; gives the exit code."""
        try:
            if self.plan["kind"] == "tensorflow":
                self._cluster = self._addresses()
            self.start()
            self.write()
            while not self.is_over():
                self.guard.wakeup.wait(self.pause)
                for member in self.guard.look():
                    if not member.good and self.failed is None:
                        self.failed = member
                        distributed_plan.tell_end(self._folder, member.why())
        except AgentError as error:
            self.error = error
            distributed_plan.tell_end(self._folder, {
                "rank": None, "node": self.number, "host": os.uname()[1],
                "error": {"code": error.code, "message": error.in_full()}})
        self.write()
        self.end()
        self.write()
        return self.exit_code()

    # Parts

    #: Seconds between two looks; the end of a process and a signal wake.
    pause = 0.5

    def start(self):
        """Starts the ranks."""
        variables = around(self.plan)
        for rank in ranks.of_node(self.plan, self.number):
            own = dict(variables, **ranks.slurm_variables(self.plan, rank, variables))
            own.update(ranks.variables_of(self.plan, rank, self._cluster))
            self.guard.start(rank, self.plan["command"], own)

    def is_over(self):
        """Whether it is time to end what is left: all have ended, one has failed, or it was asked for."""
        if self.failed is not None:
            return True
        waiting = [member for member in self.guard.members if member.ended is None]
        if not waiting:
            return True
        if self.guard.told_to_end:
            self.told = True
            return True
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + (_LOOK if self.plan["nodes"] > 1 else 0.5)
        self._shared.refresh(self._folder + "/nodes")
        if distributed_plan.is_end_told(self._folder):
            self.told = True
            return True
        return (all(ranks.is_server(self.plan, member.rank.rank) for member in waiting)
                and self._workers_have_ended())

    def end(self):
        """Ends what is left."""
        self.guard.end(self.plan["grace"])

    def exit_code(self):
        """As that of the rank that failed first; told to end, this process ends as one that was told."""
        if self.failed is not None:
            return self.failed.shell_code
        if self.error is not None:
            return 1
        if self.told:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        return 0

    def write(self):
        """nodes/<k>.json."""
        found = {"node": self.number, "host": os.uname()[1],
                 "ranks": [member.as_json() for member in self.guard.members],
                 "failed": self.failed.rank.rank if self.failed is not None else None}
        if self._mine is not None:
            found["addresses"] = self._mine
        try:
            write_json(distributed_plan.node_file(self._folder, self.number), found)
        except OSError:
            pass  # a full disk, which ends no run by itself

    def _workers_have_ended(self):
        """Parameter servers wait for ever: they are done once no worker is left, on any node."""
        for node in range(self.plan["nodes"]):
            if node == self.number:
                continue
            workers = [rank.rank for rank in ranks.of_node(self.plan, node)
                       if not ranks.is_server(self.plan, rank.rank)]
            told = (read_object(distributed_plan.node_file(self._folder, node)) or {}).get("ranks") or []
            ended = [each["rank"] for each in told if each.get("ended") is not None]
            if not set(workers).issubset(ended):
                return False
        return True

    def _addresses(self):
        """The addresses of all ranks, which every node has to know before it starts its own."""
        mine = ranks.of_node(self.plan, self.number)
        here = "127.0.0.1" if self.plan["nodes"] == 1 else ranks.own_address(os.environ.get("SLURMD_NODENAME"))
        own = ["%s:%d" % (here, port) for port in ranks.free_ports(len(mine))]
        if self.plan["nodes"] == 1:
            return own
        self._mine = own
        self.write()
        found = {self.number: own}
        deadline = time.monotonic() + distributed_plan.PATIENCE
        while len(found) < self.plan["nodes"]:
            self._shared.refresh(self._folder + "/nodes")
            for node in range(self.plan["nodes"]):
                told = None
                if node not in found:
                    told = (read_object(distributed_plan.node_file(self._folder, node)) or {}).get("addresses")
                if told:
                    found[node] = told
            if self.guard.told_to_end or time.monotonic() > deadline:
                missing = [node for node in range(self.plan["nodes"]) if node not in found]
                if missing:
                    raise AgentError("prepare", "Node %d has not said under which addresses its processes listen."
                                     % missing[0], "Check that all nodes of the job run, and see the run's folder.")
            self.guard.wakeup.wait(0.25)
        return [address for node in sorted(found) for address in found[node]]


def main(path, number, program):
    """Guards one node. `number` is the node's (None: Slurm says it), `program` takes the place of the command's
    first word (None: it stays). Gives the exit code."""
    try:
        plan = distributed_plan.read(path)
    except AgentError as error:
        print("Runyard: " + error.in_full(), file=sys.stderr)
        return 1
    if program is not None:
        plan["command"][0] = program
    if number is None:
        number = int(os.environ.get("SLURM_NODEID", "0"))
    if plan["kind"] == "mpi":
        from .node_mpi import MpiNode
        return MpiNode(plan, number, path).run()
    if plan["nodes"] == 1:
        distributed_plan.forget(path)  # it holds the run's variables, and nobody else needs it
    return Node(plan, number).run()
