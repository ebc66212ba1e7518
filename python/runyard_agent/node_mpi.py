"""The node program of a run whose ranks MPI starts: by mpirun, or by srun on several nodes of Slurm."""

import os
import re
import signal
import sys
import time

from . import distributed_plan, distributed_steps, mpi_launcher, node, processes, ranks
from .atomic import read_object, write_json
from .errors import from_os_error
from .failure import tail_of
from .launch import own_launcher

#: Seconds between two looks for what ranks on this node say.
_LOOK = 0.1

#: Seconds beyond the grace for which ranks are waited for.
_PATIENCE = 1.0

_ABORT = re.compile(r"MPI_ABORT was invoked on rank (\d+)")


class MpiNode(node.Node):
    """Keeps the launcher, and the ranks by what `agent rank` says of them."""

    pause = _LOOK

    def __init__(self, plan, number, path):
        node.Node.__init__(self, plan, number)
        self._path = path
        self._launcher = None  # its pid
        self._name = "mpirun"

    def start(self):
        """Starts mpirun, which starts `agent rank` so often."""
        plan = self.plan
        try:
            write_json(self._path, plan)  # with the port
        except OSError as error:
            raise from_os_error(error, "starting the processes")
        variables = mpi_launcher.variables_for(node.around(plan), plan)
        python, main_file = own_launcher()
        words = [python, "-I", "-S", "-X", "utf8", main_file, "rank", "--file", self._path,
                 "--program", plan["command"][0]]
        argv = mpi_launcher.argv(plan, variables)
        self._name = os.path.basename(argv[0])
        self._launcher = self.guard.start_other(argv + words, variables, plan["log"])

    def is_over(self):
        """Whether the launcher has ended, a rank has failed, or an end was asked for."""
        if self.guard.status_of(self._launcher) is not None:
            self._heed_launcher()
            return True
        if self.guard.told_to_end:
            self.told = True
            return True
        # On several nodes a launcher hears of a failure before this file is seen.
        return self.plan["nodes"] == 1 and distributed_plan.is_end_told(self._folder)

    def _heed_launcher(self):
        """The launcher has ended by itself: when it has failed and no rank says that it has, it says why in the log."""
        code = self._launcher_code()
        if code == 0 or distributed_plan.is_end_told(self._folder):
            return
        found = _ABORT.search(tail_of(self.plan["log"]))
        number = int(found.group(1)) if found else None
        if number is None or number >= self.plan["processes"]:
            number = None
        distributed_plan.tell_end(self._folder, {
            "rank": number, "node": None if number is None else ranks.Rank(self.plan, number).node,
            "host": self._said(number).get("host"), "launcher": self._name, "exit_code": code, "signal": None,
            "out_of_memory": False})

    def _launcher_code(self):
        status = self.guard.status_of(self._launcher)
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def end(self):
        """Ranks first, so that each has its grace: a launcher would give them a second."""
        grace = self.plan["grace"]
        if self._launcher is None or self.guard.status_of(self._launcher) is not None:
            return self.guard.end(grace)
        if self.plan["nodes"] > 1:
            distributed_steps.ask_to_end(self.guard.wakeup.wait)
        self.guard.end(0 if self._end_ranks(grace) else grace)

    def _end_ranks(self, grace):
        """Asks each `agent rank` of this node to end its rank, and waits for the ranks of all nodes; False where there
        is none."""
        asked = set()
        deadline = time.monotonic() + grace + _PATIENCE
        while self.guard.status_of(self._launcher) is None and time.monotonic() < deadline:
            waiting = False
            self._shared.refresh(self._folder + "/nodes")
            for number in range(self.plan["processes"]):
                said = self._said(number)
                pid, start = said.get("guard") or (None, None)
                if pid is not None and said.get("ended") is None:
                    waiting = True
                    if number not in asked:
                        asked.add(number)
                        if said.get("host") == os.uname()[1]:
                            processes.send(pid, start, signal.SIGURG)
            if not waiting:
                break
            self.guard.wakeup.wait(0.05)
            self.guard.look()
        return bool(asked)

    def _said(self, number):
        """What a rank says of itself."""
        return {} if number is None else read_object(distributed_plan.rank_file(self._folder, number)) or {}

    def exit_code(self):
        """As that of the rank that failed first, or of the launcher."""
        why = distributed_plan.end_told(self._folder)
        if why is not None and not self.told:
            return 128 + why["signal"] if why.get("signal") else why.get("exit_code") or 1
        return node.Node.exit_code(self)

    def write(self):
        """nodes/<k>.json, with the ranks of all nodes as far as they have said something here."""
        why = distributed_plan.end_told(self._folder) or {}
        said = [self._said(rank) for rank in range(self.plan["processes"])]
        members = ("rank", "pid", "exit_code", "signal", "started", "ended")
        found = {"node": self.number, "host": os.uname()[1], "failed": why.get("rank"),
                 "ranks": [{name: each.get(name) for name in members} for each in said if each]}
        try:
            write_json(distributed_plan.node_file(self._folder, self.number), found)
        except OSError as error:
            print("Runyard: %s" % error, file=sys.stderr)
