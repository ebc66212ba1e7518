"""Starting supervisors, and keeping those coming who are first in the queue."""

import os
import sys
import time

from . import config
from .detached import start
from .waiting_line import WaitingLine

#: A supervisor that cannot even start is not tried for ever.
_TRIES = 5

#: What fails so often through systemd is started without it.
_SYSTEMD_TRIES = 2


def own_launcher():
    """[interpreter, agent's main file] of this very agent."""
    return [sys.executable, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "__main__.py")]


def start_supervisor(attempt, launcher, lock_fd, detached=True, systemd=False):
    """Starts the supervisor of an attempt, which inherits the attempt's lock. Gives its pid when not `detached`."""
    if not all(os.path.exists(path) for path in launcher):
        launcher = own_launcher()
    arguments = [launcher[0], "-I", "-S", "-X", "utf8", launcher[1], "supervise", "--root", attempt.root,
                 "--run", attempt.run, "--attempt", str(attempt.number), "--lock", "3"]
    return start(arguments, attempt.supervisor_log, lock_fd, detached,
                 "Runyard: supervisor of %s" % attempt.mark if systemd else None)


class Kicker(object):
    """Keeps the queue moving: sees to it that the first in line have supervisors that wait."""

    def __init__(self, root):
        self._root = root
        self._line = WaitingLine(root)
        self._tries = {}
        self.hopeless = set()  # (run, attempt) whose supervisor did not come up

    def kick(self, detached=True):
        """Starts what is missing; gives the pids of supervisors started as children (not `detached`)."""
        started = []
        for attempt, seq, ticket, lock_fd in self._line.waiters_to_start():
            try:
                tries, last = self._tries.get(seq, (0, 0.0))
                if tries >= _TRIES:
                    self.hopeless.add(attempt.key)
                    continue
                if tries and time.monotonic() < last + 0.5 * tries:
                    continue
                self._tries[seq] = (tries + 1, time.monotonic())
                systemd = tries < _SYSTEMD_TRIES and config.detach(self._root) == "systemd"
                pid = start_supervisor(attempt, ticket["launcher"], lock_fd, detached, systemd)
                if not detached:
                    started.append(pid)
            finally:
                os.close(lock_fd)
        if len(self._tries) > 1000:
            self._tries.clear()
        return started
