"""The processes of one run while its supervisor lives: all that descend from it or carry its mark."""

import os

from . import processes
from .atomic import write_json
from .host import LINUX, boot_id
from .tool import living, reaped


class Tree(object):
    """Everything that the run's command started, and that is to be gone at its end."""

    def __init__(self, attempt):
        self._attempt = attempt
        self._seen = {}
        self._written = None
        self._reaped_ticks = 0
        self.command = None  # the command's pid
        self.exit_status = None  # what `wait` said of the command, once it ended
        self.others = set()  # children that do not belong to the run: supervisors that this one started

    def reap(self):
        """Takes the ends of all children that have ended; True when the command is among them."""
        ended = False
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            if reaped(pid, status):
                continue
            if pid in self.others:
                self.others.discard(pid)
                continue
            self._reaped_ticks += int((usage.ru_utime + usage.ru_stime) * 100)
            if pid == self.command:
                self.exit_status = status
                ended = True

    def look(self):
        """pid -> Process for the living ones, by descent (and by session where there is no subreaper)."""
        if LINUX:
            found = processes.descendants(os.getpid(), self.others.union(living))
        else:
            table = processes.everyone()
            for pid in self.others.union(living):
                table.pop(pid, None)
            seeds = [os.getpid()] + [pid for pid, start in self._seen.items()
                                     if pid in table and table[pid].start == start]
            found = processes.closure(seeds, table, [self.command] if self.command else [])
            found.pop(os.getpid(), None)
        return {pid: process for pid, process in found.items() if not process.dead}

    def look_everywhere(self):
        """As `look`, and all that carry the run's mark, wherever they hang."""
        found = self.look()
        for pid, process in processes.marked(self._attempt.mark).items():
            if pid not in self.others and pid not in living:
                found[pid] = process
        return found

    def remember(self, found):
        """Keeps the names of the seen processes in tree.json, for whoever cleans up if this supervisor is killed."""
        self._seen = {pid: process.start for pid, process in found.items()}
        seen = sorted(self._seen.items())
        if seen == self._written:
            return
        try:
            write_json(self._attempt.tree, {"boot": boot_id(), "command": self.command, "processes": seen})
            self._written = seen
        except OSError:
            pass  # the disk is full: tried again with the next change

    def ticks(self, found):
        """CPU time of the run so far, in hundredths of a second."""
        return self._reaped_ticks + sum(process.ticks for process in found.values())
