"""One command of a build: its output goes through a pipe into the build's log."""

import os
import select
import time

from . import prctl, processes
from .host import LINUX
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


def end_build(build, grace=GRACE):
    """A generator (turns) that ends every process of a build: SIGTERM, the grace, SIGKILL."""
    deadline = time.monotonic() + grace
    asked = set()
    while time.monotonic() < deadline + 15.0:
        found = dict(processes.marked(build.mark), **_inside(build))
        if not found:
            return
        if time.monotonic() >= deadline:
            processes.end_signal(found, hard=True)
        else:
            processes.end_signal({pid: one for pid, one in found.items() if pid not in asked}, hard=False)
            asked.update(found)
        yield 0.02


def end_inside(build, patience=GRACE):
    """A generator (turns) that ends what runs in the containers of a build, until its client has ended by itself."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        found = _inside(build)
        processes.end_signal(found, hard=True)
        if not found and not processes.marked(build.mark):
            return
        yield 0.02
        if not found and time.monotonic() > deadline - patience + 0.5:
            return  # no step is under way that could fail


def _inside(build):
    """pid -> Process of a build's steps in containers without an engine (podman's): they have neither its mark nor
    its parent, but files of its temporary folder are mounted in them."""
    if not LINUX:
        return {}
    wanted = fs(build.temporary.partition("/environments/")[2]) + b"/"
    found = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open("/proc/%s/mountinfo" % name, "rb") as file:
                data = file.read()
        except OSError:
            continue
        if b"/environments/" + wanted in data and fs(os.path.realpath(build.root)) + b"/environments/" + wanted in data:
            process = processes.look(int(name))
            if process is not None and not process.dead:
                found[process.pid] = process
    return found
