"""Ranks as children of this process, with everything that they start: started, looked after, and ended together."""

import os
import select
import signal
import sys

from . import command, prctl, processes
from .failure import MemoryKills
from .host import LINUX
from .ranks import log_of
from .record import now_ms
from .tool import living, reaped
from .tree import Tree
from .tree_end import end_tree
from .wakeup import Wakeup


class Member(object):
    """One rank as a process."""

    def __init__(self, rank, pid):
        self.rank = rank
        self.pid = pid
        self.started = now_ms()
        self.ended = self.exit_code = self.signal = None
        self.out_of_memory = False

    def take(self, status, memory_kills):
        """What `wait` has said of its end."""
        self.ended = now_ms()
        if os.WIFSIGNALED(status):
            self.signal = os.WTERMSIG(status)
        else:
            self.exit_code = os.WEXITSTATUS(status)
        self.out_of_memory = (self.signal == signal.SIGKILL or self.exit_code == 137) and memory_kills.any()

    @property
    def good(self):
        """True once it has ended as it should."""
        return self.exit_code == 0

    @property
    def shell_code(self):
        """Its end as an exit code."""
        return 128 + self.signal if self.signal else self.exit_code

    def as_json(self):
        """For nodes/<k>.json."""
        return {"rank": self.rank.rank, "pid": self.pid, "exit_code": self.exit_code, "signal": self.signal,
                "started": self.started, "ended": self.ended}

    def why(self):
        """For end.json: this rank has failed."""
        return {"rank": self.rank.rank, "node": self.rank.node, "host": os.uname()[1], "exit_code": self.exit_code,
                "signal": self.signal, "out_of_memory": self.out_of_memory}


class Guard(object):
    """The ranks of this node. Everything that they leave behind becomes a child of this process (Linux)."""

    def __init__(self, plan):
        self.plan = plan
        self.wakeup = Wakeup()
        self._asked = False
        signal.signal(signal.SIGURG, self._ask)
        self.tree = _GuardedTree()
        self.members = []
        self._memory_kills = MemoryKills()
        prctl.become_subreaper()

    @property
    def told_to_end(self):
        """Whether somebody has asked for the end of the ranks: by SIGTERM, or through Slurm by SIGURG."""
        return self._asked or self.wakeup.told_to_end

    def _in_job(self):
        return self.plan["variables"] is not None and self.plan["kind"] != "mpi" and "SLURM_JOB_ID" in os.environ

    def _ask(self, *_):
        self._asked = True

    def start(self, rank, argv, variables):
        """Starts a Rank. AgentError not_found when there is no such program."""
        log = log_of(self.plan["log"], rank.rank)
        pid = self.start_other(argv, variables, log)
        member = Member(rank, pid)
        self.members.append(member)
        return member

    def start_other(self, argv, variables, log):
        """Starts something else, as what starts ranks; gives its pid."""
        pid = command.start({"command": argv, "shell": None}, variables, self.plan["code"], log)
        self.tree.add(pid)
        return pid

    def look(self):
        """Takes the ends of processes; gives the Members that have ended since, in the order in which that was seen."""
        self.tree.reap()
        found = []
        for pid in list(self.tree.order):
            for member in self.members:
                if member.pid == pid and member.ended is None:
                    member.take(self.tree.started[pid], self._memory_kills)
                    found.append(member)
        del self.tree.order[:]
        return found

    def status_of(self, pid):
        """What `wait` has said of a process that was started here, None while it lives."""
        return self.tree.started[pid]

    def end(self, grace):
        """Ends all of them: SIGTERM, the grace (seconds), SIGKILL."""
        # Slurm sends SIGTERM to everything in a job: a handler that saves a model shall not be called twice.
        asked = self.tree.look() if self.wakeup.told_to_end and not self._asked and self._in_job() else ()
        rest = end_tree(self.tree, grace, self.wakeup.wait, asked)
        self.look()
        if rest:
            print("Runyard:" + rest, file=sys.stderr)


class _GuardedTree(Tree):
    """Of this process alone: others of the same run may live on this host, and write down what they have seen."""

    def __init__(self):
        Tree.__init__(self, None)
        self.started = {}  # pid -> what `wait` said, None before
        self.order = []  # pids in the order of their ends
        # One failure makes others: where the system says in which order (Linux, Python 3.9), it is known even if this
        # process comes late. `wait` gives the ends in any order.
        self._queue = select.epoll() if hasattr(select, "epoll") and hasattr(os, "pidfd_open") else None
        self._handles = {}

    def add(self, pid):
        """A child whose end is of interest."""
        self.started[pid] = None
        if self._queue is not None:
            try:
                handle = os.pidfd_open(pid)
                self._queue.register(handle, select.EPOLLIN)
                self._handles[handle] = pid
            except OSError:
                pass  # an older kernel, or too many files

    def reap(self):
        first = self._ended()
        found = []
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if not reaped(pid, status) and pid in self.started:
                self.started[pid] = status
                found.append(pid)
        found.sort(key=lambda pid: first.index(pid) if pid in first else len(first))
        self.order += found
        return False

    def _ended(self):
        """Pids in the order of their ends, as far as it is known."""
        if not self._handles:
            return []
        found = []
        for handle, _ in self._queue.poll(0, len(self._handles)):
            found.append(self._handles.pop(handle))
            self._queue.unregister(handle)
            os.close(handle)
        return found

    def look(self):
        if LINUX:
            return Tree.look(self)
        table = processes.everyone()
        for pid in living:
            table.pop(pid, None)
        seeds = [os.getpid()] + [pid for pid, start in self._seen.items() if pid in table and table[pid].start == start]
        found = processes.closure(seeds, table, list(self.started))
        found.pop(os.getpid(), None)
        return {pid: process for pid, process in found.items() if not process.dead}

    def look_everywhere(self):
        return self.look()

    def remember(self, found):
        self._seen = {pid: process.start for pid, process in found.items()}
