"""Why a run failed, in a sentence, with the last lines of its log."""

import os
import signal

from .host import disk_free
from .text import fs

#: The protocol's limits of error.tail.
TAIL_LINES = 40
TAIL_BYTES = 8192

_FULL = "No space left on device"


def tail_of(log):
    """The last lines of a log as text."""
    try:
        fd = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        size = os.fstat(fd).st_size
        data = os.pread(fd, TAIL_BYTES, max(0, size - TAIL_BYTES))
    finally:
        os.close(fd)
    if size > TAIL_BYTES and b"\n" in data[:-1]:
        data = data[data.index(b"\n") + 1:]
    lines = data.decode("utf-8", "replace").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    text = "\n".join(lines[-TAIL_LINES:])
    # A replaced byte takes three, so it is cut once more.
    return text.encode("utf-8")[-TAIL_BYTES:].decode("utf-8", "ignore")


def error(code, message, log):
    """The `error` member of a status."""
    return {"code": code, "message": message, "tail": tail_of(log)}


def of_exit(exit_code, folder, log, who="The script"):
    """The error of a command (`who`, for people) that ended with `exit_code` other than 0."""
    tail = tail_of(log)
    detail = last_complaint(tail)
    message = "%s failed with exit code %d%s" % (who, exit_code, ": " + detail if detail else ".")
    code = "exit"
    if _FULL in tail or _is_full(folder):
        code = "no_space"
        message = "The disk of the host is full (%s). %s" % (folder, message)
    return {"code": code, "message": message, "tail": tail}


def of_signal(number, out_of_memory, folder, log, who="The script"):
    """The error of a command (`who`, for people) that a signal ended which was not ours."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = "signal %d" % number
    if out_of_memory:
        whom = who[:1].lower() + who[1:]
        return error("out_of_memory", "The host ran out of memory and its kernel killed %s." % whom, log)
    if number == getattr(signal, "SIGXFSZ", -1) or (number == signal.SIGBUS and _is_full(folder)):
        return error("no_space", "%s was ended by %s: it may write no more to the disk." % (who, name), log)
    hint = " Another person or the system's memory guard may have done it." if number == signal.SIGKILL else ""
    return error("signal", "%s was ended by %s (signal %d).%s" % (who, name, number, hint), log)


def last_complaint(tail):
    """What a log's end says went wrong: the last line of a Python traceback ("ValueError: bad lr"), or a last
    line that speaks of an error; None when there is none."""
    lines = tail.split("\n")
    for index in range(len(lines) - 1, -1, -1):
        if lines[index].startswith("Traceback (most recent call last"):
            for line in lines[index + 1:]:
                if line.strip() and not line[0].isspace():
                    return _short(line)
            break
    last = lines[-1].strip() if lines else ""
    lower = last.lower()
    if "error" in lower or "exception" in lower or "not found" in lower or _FULL in last:
        return _short(last)
    return None


def _short(line):
    line = line.strip()
    return line if len(line) <= 500 else line[:497] + "..."


def _is_full(folder):
    try:
        return disk_free(fs(folder)) < 65536
    except OSError:
        return False


class MemoryKills(object):
    """Counts the kernel's kills for want of memory: in the cgroup of this process, else on the host."""

    def __init__(self):
        self._before = _oom_kills()

    def any(self):
        """True when there was one since this object was made."""
        return any(now > before for now, before in zip(_oom_kills(), self._before))


def _oom_kills():
    """Counters: the cgroup's, the host's."""
    found = [0, 0]
    try:
        with open("/proc/self/cgroup") as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                if controllers == "":
                    found[0] += _counter("/sys/fs/cgroup%s/memory.events" % path.rstrip("/"))
                elif controllers == "memory":
                    found[0] += _counter("/sys/fs/cgroup/memory%s/memory.oom_control" % path.rstrip("/"))
    except (OSError, ValueError):
        pass
    found[1] = _counter("/proc/vmstat")
    return found


def _counter(path):
    try:
        with open(path) as file:
            for line in file:
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0
