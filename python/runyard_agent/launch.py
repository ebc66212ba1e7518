"""Starting supervisors: detached from the terminal, the session and every descriptor of whoever starts them."""

import os
import sys
import time

from .signals import restore
from .waiting_line import WaitingLine

#: A supervisor that cannot even start is not tried for ever.
_TRIES = 5

_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "LD_LIBRARY_PATH",
         "DYLD_LIBRARY_PATH")


def own_launcher():
    """[interpreter, agent's main file] of this very agent."""
    return [sys.executable, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "__main__.py")]


def start_supervisor(attempt, launcher, lock_fd, detached=True):
    """Starts the supervisor of an attempt, which inherits the attempt's lock. Gives its pid when not `detached`.

    A detached one belongs to init at once; one that is not stays a child of the caller (a supervisor, whose
    orphans come back to it and who must know them from its run's processes).
    """
    if not all(os.path.exists(path) for path in launcher):
        launcher = own_launcher()
    arguments = [launcher[0], "-I", "-S", "-X", "utf8", launcher[1], "supervise", "--root", attempt.root,
                 "--run", attempt.run, "--attempt", str(attempt.number), "--lock", "3"]
    variables = {name: os.environ[name] for name in _KEPT if name in os.environ}
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if detached and os.fork():
                os._exit(0)
            _become(arguments, variables, attempt.supervisor_log, lock_fd)
        finally:
            os._exit(127)
    if detached:
        os.waitpid(pid, 0)
    return pid


def _become(arguments, variables, log, lock_fd):
    try:
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        out = os.open(os.devnull, os.O_WRONLY)
    null = os.open(os.devnull, os.O_RDONLY)
    keep = os.dup(lock_fd)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    if keep != 3:
        os.dup2(keep, 3)
    else:
        os.set_inheritable(3, True)
    close_above(3)
    os.chdir("/")
    restore()
    os.execve(arguments[0], arguments, variables)


def close_above(last):
    """Closes every descriptor above `last`."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            numbers = [int(name) for name in os.listdir(folder)]
        except (OSError, ValueError):
            continue
        for number in numbers:
            if number > last:
                try:
                    os.close(number)
                except OSError:
                    pass
        return
    os.closerange(last + 1, 4096)


class Kicker(object):
    """Keeps the queue moving: sees to it that the first in line have supervisors that wait."""

    def __init__(self, root):
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
                pid = start_supervisor(attempt, ticket["launcher"], lock_fd, detached)
                if not detached:
                    started.append(pid)
            finally:
                os.close(lock_fd)
        if len(self._tries) > 1000:
            self._tries.clear()
        return started
