"""A run of several processes, as its supervisor sees it: what it starts instead of the command, how it asks for the
end, and which process has failed."""

import os
import signal
import time

from . import distributed_plan, distributed_steps, failure, ranks
from .atomic import write_json
from .errors import from_os_error
from .launch import own_launcher
from .shared_files import SharedFiles

#: Seconds beyond the grace for which the node programs are waited for.
_PATIENCE = 5.0

#: Seconds within which a file of another node is seen where a file system delays that (see shared_files).
_DELAY = 20.0

#: As in supervise.
_LONGEST_GRACE = 40.0


class Several(object):
    """The processes of one run. On several nodes this process is on the first one, in a job of Slurm that has them
    all."""

    def __init__(self, attempt, spec):
        self._attempt = attempt
        self._spec = spec
        self._hosts = []  # of several nodes
        self.nodes = (spec.get("resources") or {}).get("nodes", 1)
        self.path = attempt.folder + "/distributed.json"
        self.who = "The script"  # what has failed, for people
        self.by_file = False  # the node program does not get the signals that are sent to what was started

    def write(self, argv, variables):
        """Makes the plan: `argv` is the command, `variables` are its variables (None: those that the node program
        has). AgentError when it cannot be written."""
        spec = self._spec
        own = spec["variables"]
        plan = {name: spec["distributed"].get(name) for name in
                ("kind", "processes", "parameter_servers", "backend", "log_ranks")}
        plan.update(
            nodes=self.nodes, command=argv, variables=variables, code=self._attempt.code, log=self._attempt.log,
            folder=self._attempt.folder, mark=self._attempt.mark, hosts=self._hosts,
            grace=min(float(spec["grace_seconds"]), _LONGEST_GRACE),
            launcher=(spec.get("slurm") or {}).get("mpi_launcher"),
            address=own.get("MASTER_ADDR"), port=own.get("MASTER_PORT"))
        if self.nodes > 1:
            # All others have to know at once.
            plan["hosts"] = self._hosts = distributed_steps.job_hosts(self.nodes)
            plan["address"] = plan["address"] or ranks.own_address(self._hosts[0])
            plan["port"] = plan["port"] or ranks.free_ports(1)[0]
        try:
            os.makedirs(self._attempt.folder + "/nodes", mode=0o700, exist_ok=True)
            write_json(self.path, plan)
        except OSError as error:
            raise from_os_error(error, "starting the processes")

    def argv(self):
        """What is started instead of the command: the node program, by srun where there are several nodes. MPI's own
        launcher goes to the other nodes by itself."""
        words = node_argv(self.path, own_launcher())
        if self.nodes == 1 or self._spec["distributed"]["kind"] == "mpi":
            return words + ["--node", "0"]
        return distributed_steps.srun_argv(self.nodes, distributed_steps.binds()) + words

    def variables(self):
        """Those of the node program: it gives the run's own to the ranks only, so that none of them is its trouble."""
        return dict(os.environ, RUNYARD_MARK=self._attempt.mark)

    def forget(self):
        """The run has ended: what holds its variables goes."""
        distributed_plan.forget(self.path)

    # The end

    def ask(self, tree, grace, rest):
        """Asks the node programs to end their ranks, each of which is told once, and waits for the end of what the
        supervisor has started; `rest(seconds)` sleeps. Gives the seconds of the grace that are left."""
        deadline = time.monotonic() + grace
        if grace <= 0 or tree.exit_status is not None:
            return grace
        if self.nodes > 1 and self._spec["distributed"]["kind"] != "mpi":
            # srun would end all ranks at once.
            distributed_plan.tell_end(self._attempt.folder, {"rank": None, "told": True})
            distributed_steps.ask_to_end(rest)
        elif self.by_file:
            distributed_plan.tell_end(self._attempt.folder, {"rank": None, "told": True})
        else:
            # In a job SIGTERM would say that Slurm has told all of them.
            os.kill(tree.command, signal.SIGURG if "SLURM_JOB_ID" in os.environ else signal.SIGTERM)
        while tree.exit_status is None and time.monotonic() < deadline + _PATIENCE:
            rest(0.05)
            tree.reap()
        return max(0.0, deadline - time.monotonic())

    def failure(self, rest=time.sleep):
        """Of a run that did not end well: `(exit code, signal, error, what happened)` of the rank that has failed
        first; None when none says so. Files of other nodes may come late: they are waited for by `rest(seconds)`."""
        shared = SharedFiles(self._attempt.folder)
        deadline = time.monotonic() + (0.0 if self.nodes == 1 else _DELAY if shared.delays else 1.0)
        while True:
            shared.refresh(self._attempt.folder + "/nodes")
            why = distributed_plan.end_told(self._attempt.folder)
            if why is not None or time.monotonic() >= deadline:
                break
            rest(0.5)
        return None if why is None or why.get("told") else self._of(why)

    def _of(self, why):
        number = why.get("rank")
        log = self._attempt.log
        if isinstance(why.get("error"), dict):
            code = why["error"].get("code")
            code = code if code in ("not_found", "no_space", "prepare", "environment") else "prepare"
            return None, None, failure.error(code, str(why["error"].get("message")), log), "could not be started"
        who = str(why.get("launcher") or self.who)
        if isinstance(number, int):
            who = "Rank %d" % number
            if self.nodes > 1 and why.get("host"):
                who += " on %s" % why["host"]
            log = ranks.log_of(log, number)
        self.who = who
        killed, code = why.get("signal"), why.get("exit_code")
        if isinstance(killed, int) or (code == 137 and why.get("out_of_memory")):
            error = failure.of_signal(killed or 9, bool(why.get("out_of_memory")), self._attempt.folder, log, who)
            return (None if killed else code), killed, error, "%s was ended by signal %d" % (who, killed or 9)
        code = code if isinstance(code, int) else 1
        return code, None, failure.of_exit(code, self._attempt.folder, log, who), "%s ended with exit code %d" % (
            who, code)


def node_argv(path, launcher):
    """The words of the node program; `launcher` is [interpreter, the agent's main file]."""
    return [launcher[0], "-I", "-S", "-X", "utf8", launcher[1], "node", "--file", path]
