"""Runs a small program of the host (nvidia-smi, ps, sysctl) and gives its output, without `subprocess`,
which would cost each supervisor 2.5 MB."""

import errno
import os
import select
import signal
import time

from .signals import restore


def find(name):
    """The full path of a program on PATH, or None."""
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    return None


class Tool(object):
    """A program under way. Call `poll` now and then; `result` is its output (text), or None when it failed."""

    def __init__(self, argv, seconds, variables=None, limit=1 << 20):
        self.result = None
        self.done = False
        self._limit = limit
        self._parts = []
        self._deadline = time.monotonic() + seconds
        read_end, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                null = os.open(os.devnull, os.O_RDWR)
                os.dup2(null, 0)
                os.dup2(write_end, 1)
                os.dup2(null, 2)
                restore()
                os.execvpe(argv[0], argv, os.environ if variables is None else variables)
            finally:
                os._exit(127)
        os.close(write_end)
        os.set_blocking(read_end, False)
        self.fd = read_end

    def poll(self):
        """Takes what is there; True once the program has ended (or was ended after its time)."""
        if self.done:
            return True
        while True:
            try:
                part = os.read(self.fd, 65536)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EINTR):
                    part = b""
                elif time.monotonic() < self._deadline:
                    return False
                else:
                    self._finish(True)
                    return True
            if not part:
                self._finish(False)
                return True
            self._parts.append(part)
            self._limit -= len(part)
            if self._limit < 0:
                self._finish(True)
                return True

    def _finish(self, kill):
        os.close(self.fd)
        self.done = True
        code = 0
        try:
            if kill:
                os.kill(self.pid, signal.SIGKILL)
            code = os.waitpid(self.pid, 0)[1]
        except OSError:
            pass  # the supervisor's own loop has reaped it already
        if not kill and code == 0:
            self.result = b"".join(self._parts).decode("utf-8", "replace")


def output_of(argv, seconds, variables=None):
    """The output of a program, waiting for it at most `seconds`; None when it fails, is missing or takes longer."""
    if find(argv[0]) is None:
        return None
    tool = Tool(argv, seconds, variables)
    while not tool.poll():
        select.select([tool.fd], [], [], 0.2)
    return tool.result
