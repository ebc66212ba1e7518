"""Runs a small program of the host (nvidia-smi, ps, docker) and gives its output, without `subprocess`,
which would cost each supervisor 2.5 MB."""

import errno
import os
import select
import signal
import time

from . import prctl
from .signals import restore

#: pid -> the tools of this process that have not ended. A supervisor takes them from its run's processes.
living = {}

#: Seconds that a tool has to end after SIGTERM.
_GRACE = 2.0


def find(name, path=None):
    """The full path of a program on PATH (the agent's own, or `path`), or None."""
    for folder in (os.environ.get("PATH", os.defpath) if path is None else path).split(os.pathsep):
        found = os.path.join(folder, name)
        if os.access(found, os.X_OK) and os.path.isfile(found):
            return found
    return None


def reaped(pid, status):
    """Whoever waits for all children of this process says here which one has ended, and how. True for a tool."""
    tool = living.pop(pid, None)
    if tool is not None:
        tool.status = status
    return tool is not None


class Tool(object):
    """A program under way. Call `poll` now and then; `result` is its output (text), or None when it failed.

    With `errors` its stderr is kept too (`errors`), with `output` (a descriptor) both go there. `code` is the exit
    code in the manner of a shell, None when it was ended after its time. With `bound` it does not outlive the
    process that started it.
    """

    def __init__(self, argv, seconds, variables=None, limit=1 << 20, errors=False, output=None, bound=False):
        self.result = None
        self.output = ""  # as far as it came, whatever the exit code
        self.errors = ""
        self.code = None
        self.status = None  # as `wait` gives it
        self.done = False
        self._limit = limit
        self._deadline = time.monotonic() + seconds
        self._parts = {}  # descriptor -> what came from it
        read_end, write_end = os.pipe()
        error_end = None
        self.fd = read_end
        if errors:
            self._errors, error_end = os.pipe()
        prctl.load()
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                null = os.open(os.devnull, os.O_RDWR)
                out = write_end if output is None else output
                err = error_end if errors else null if output is None else output
                out, err = os.dup(out), os.dup(err)  # none is written over before it is copied
                for source, target in ((null, 0), (out, 1), (err, 2)):
                    os.dup2(source, target)
                restore()
                if bound:
                    prctl.die_with_parent()
                    if os.getppid() != parent:
                        os._exit(127)
                os.execvpe(argv[0], argv, os.environ if variables is None else variables)
            finally:
                os._exit(127)
        living[self.pid] = self
        os.close(write_end)
        self._parts[read_end] = []
        if errors:
            os.close(error_end)
            self._parts[self._errors] = []
        self._open = list(self._parts)
        for fd in self._open:
            os.set_blocking(fd, False)

    def poll(self):
        """Takes what is there; True once the program has ended (or was ended after its time)."""
        if self.done:
            return True
        # Its end counts, not that of its output: what it has started may hold the pipes for ever, and with `output`
        # they say nothing.
        ended = self._has_ended()
        for fd in list(self._open):
            self._take(fd)
        if self._limit < 0 or (not ended and time.monotonic() >= self._deadline):
            self._finish(True)
        elif ended:
            self._finish(False)
        return self.done

    @property
    def speaks(self):
        """False once its output has come to an end."""
        return self.fd in self._open

    def close(self):
        """Ends the program if it is still under way: SIGTERM, and SIGKILL when that does not help."""
        if self.done:
            return
        deadline = time.monotonic() + _GRACE
        self._signal(signal.SIGTERM)
        while not self._has_ended() and time.monotonic() < deadline:
            time.sleep(0.005)
        self._finish(True)

    def _take(self, fd):
        while True:
            try:
                part = os.read(fd, 65536)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EINTR):
                    return
                part = b""
            if not part:
                self._open.remove(fd)
                return
            self._parts[fd].append(part)
            self._limit -= len(part)
            if self._limit < 0:
                return

    def _has_ended(self):
        if self.status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    reaped(pid, status)
            except OSError:
                self.status = 0  # somebody has reaped it who did not tell
                living.pop(self.pid, None)
        return self.status is not None

    def _signal(self, number):
        try:
            os.kill(self.pid, number)
        except OSError:
            pass

    def _finish(self, kill):
        for fd in self._parts:
            os.close(fd)
        self._open = []
        self.done = True
        ended = self._has_ended()
        if kill and not ended:
            self._signal(signal.SIGKILL)
        while not self._has_ended():
            try:
                reaped(*os.waitpid(self.pid, 0))
            except OSError:
                pass
        if kill and not ended:
            return
        texts = [b"".join(parts).decode("utf-8", "replace") for parts in self._parts.values()]
        self.output = texts[0]
        self.errors = texts[1] if len(texts) > 1 else ""
        self.code = 128 + os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else os.WEXITSTATUS(self.status)
        if not kill and self.code == 0:
            self.result = self.output


def output_of(argv, seconds, variables=None):
    """The output of a program, waiting for it at most `seconds`; None when it fails, is missing or takes longer."""
    if find(argv[0]) is None:
        return None
    tool = Tool(argv, seconds, variables)
    while not tool.poll():
        if tool.speaks:
            select.select([tool.fd], [], [], 0.2)
        else:
            time.sleep(0.002)  # it has said everything, and ends
    return tool.result
