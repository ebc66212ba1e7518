"""Whether a process outlives the session here: one is started as supervisors are, and looked for by a later session."""

import os
import signal
import sys
import time

from . import checks, processes, systemd
from .config import detach_way
from .detached import start
from .errors import AgentError

#: Seconds until the process must have said that it is there; longer than systemd's own patience.
_PATIENCE = 30.0

#: As a supervisor it does not mind a lost terminal; everything else ends it.
_SLEEPER = ("import os, signal, time\n"
            "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
            "os.write(1, b'%d\\n' % os.getpid())\n"
            "null = os.open(os.devnull, os.O_RDWR)\n"
            "os.dup2(null, 1)\n"
            "os.dup2(null, 2)\n"
            "time.sleep(120)  # Runyard: is it still here in another session?\n")


def release(params):
    """A generator (turns) that starts the process and returns host.canary's result."""
    way = detach_way(params.get("detach"))
    works = yield from systemd.ask()
    linger = yield from systemd.ask_linger()
    pid = yield from _start(way)
    began = processes.start_of(pid)
    if began is None:
        raise AgentError("internal", "The host ended a detached process at once.")
    return {"pid": pid, "start": began, "systemd": works, "linger": linger}


def _start(way):
    """A generator (turns) that returns the pid of a process that is there, and where it is to be."""
    read_end, write_end = os.pipe()
    try:
        try:
            start([sys.executable, "-I", "-S", "-c", _SLEEPER], write_end,
                  scope="Runyard: does it outlive the session?" if way == "systemd" else None)
        finally:
            os.close(write_end)
        os.set_blocking(read_end, False)
        deadline = time.monotonic() + _PATIENCE
        told = b""
        while time.monotonic() < deadline:
            try:
                part = os.read(read_end, 4096)
            except BlockingIOError:
                yield 0.01
                continue
            if not part:
                break
            told += part
            for line in told.split(b"\n")[:-1]:
                if line.isdigit():
                    return int(line)
    finally:
        os.close(read_end)
    raise AgentError("internal", "A detached process could not be started. %s" % told.decode("utf-8", "replace").strip())


def look(params):
    """host.canary.check's result: whether the process is still there. It is ended."""
    pid = checks.number(params.get("pid"), "pid", 2, 1 << 31)
    began = params.get("start")
    if isinstance(began, bool) or not isinstance(began, (int, str)):
        raise AgentError("bad_request", "start must be what host.canary said, not %s." % checks.shown(began))
    alive = processes.is_alive(pid, began)
    if alive:
        processes.send(pid, began, signal.SIGKILL)
    return {"alive": alive}
