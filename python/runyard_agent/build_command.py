"""One command of a build: its output goes through a pipe into the build's log."""

import os
import select
import time

from . import prctl, processes
from .signals import restore
from .text import fs

#: Seconds that a build's processes have after SIGTERM, and that output may come after the command has ended.
GRACE = 5.0
_DRAIN = 1.0


class Command(object):
    """A command under way; `step` takes what it says and gives its exit status once it has ended."""

    def __init__(self, argv, folder, variables, take):
        self._take = take
        self._ended = None
        words = [fs(word) for word in argv]
        environment = {fs(name): fs(value) for name, value in variables.items()}
        read_end, write_end = os.pipe()
        prctl.load()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                null = os.open(os.devnull, os.O_RDONLY)
                for source, target in ((null, 0), (write_end, 1), (write_end, 2)):
                    os.dup2(source, target)
                restore()
                prctl.die_with_parent()
                if os.getppid() != parent:
                    os._exit(127)
                os.chdir(fs(folder))
                os.execvpe(words[0], words, environment)
            except OSError as error:
                os.write(2, b"%s could not be started: %s\n" % (words[0], os.strerror(error.errno).encode()))
            finally:
                os._exit(127)
        os.close(write_end)
        os.set_blocking(read_end, False)
        self._fd = read_end

    def step(self, seconds):
        """Waits at most so long for something to happen; the exit code (of a signal 128 more) at the end, else None."""
        if self._fd is not None:
            select.select([self._fd], [], [], seconds)
            self._read()
        else:
            time.sleep(min(seconds, 0.02))
        self.reap()
        if self._ended is None:
            return None
        status, since = self._ended
        if self._fd is not None and time.monotonic() < since + _DRAIN:
            return None
        self.close()
        return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def reap(self):
        """Takes the ends of this process's children, of orphans too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if pid == self.pid:
                self._ended = (status, time.monotonic())

    def _read(self):
        while True:
            try:
                data = os.read(self._fd, 65536)
            except BlockingIOError:
                return
            if not data:
                self.close()
                return
            self._take(data)

    def close(self):
        """Lets go of its output."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def end_marked(mark, grace=GRACE):
    """A generator (turns) that ends every process that carries a build's mark: SIGTERM, the grace, SIGKILL."""
    deadline = time.monotonic() + grace
    asked = set()
    while time.monotonic() < deadline + 15.0:
        found = processes.marked(mark)
        if not found:
            return
        if time.monotonic() >= deadline:
            processes.end_signal(found, hard=True)
        else:
            processes.end_signal({pid: one for pid, one in found.items() if pid not in asked}, hard=False)
            asked.update(found)
        yield 0.02
