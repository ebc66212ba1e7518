"""Processes by /proc."""

import os

from .process import Process
from .text import fs

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK") or 100


def look(pid):
    """The Process with this pid, None when there is none."""
    try:
        fd = os.open("/proc/%d/stat" % pid, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = os.read(fd, 4096)
    except OSError:
        return None
    finally:
        os.close(fd)
    # The name may hold spaces and parentheses; what follows the last one is fixed.
    end = data.rfind(b")")
    fields = data[end + 2:].split()
    if len(fields) < 22:
        return None
    ticks = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    name = data[data.find(b"(") + 1:end].decode("utf-8", "replace")
    return Process(pid, int(fields[1]), int(fields[2]), int(fields[3]), fields[0].decode("ascii"),
                   int(fields[19]), ticks * 100 // _TICK, int(fields[21]) * _PAGE, name)


def everyone():
    """pid -> Process for all processes that can be seen."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            process = look(int(name))
            if process is not None:
                found[process.pid] = process
    return found


def descendants(pid, leave_out=()):
    """pid -> Process for all that descend from `pid` (itself not), without the branches below `leave_out`."""
    found = {}
    waiting = [pid]
    while waiting:
        children = _children(waiting.pop())
        if children is None:
            return _descendants_by_parent(pid, leave_out)
        for child in children:
            if child not in found and child not in leave_out:
                process = look(child)
                if process is not None:
                    found[child] = process
                    waiting.append(child)
    return found


def _children(pid):
    """Pids of the direct children; None where the kernel was built without that list."""
    found = []
    folder = "/proc/%d/task" % pid
    try:
        threads = os.listdir(folder)
    except OSError:
        return found
    for thread in threads:
        try:
            fd = os.open("%s/%s/children" % (folder, thread), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            if not os.path.exists("/proc/self/task/%d/children" % os.getpid()):
                return None
            continue
        try:
            parts = []
            while True:
                part = os.read(fd, 65536)
                if not part:
                    break
                parts.append(part)
        except OSError:
            continue
        finally:
            os.close(fd)
        found.extend(int(word) for word in b"".join(parts).split())
    return found


def _descendants_by_parent(pid, leave_out):
    from .processes import closure
    table = everyone()
    for other in leave_out:
        table.pop(other, None)
    found = closure([pid], table)
    found.pop(pid, None)
    return found


def marked(mark):
    """pid -> Process for all whose first environment carries the mark (those of other users cannot be read)."""
    wanted = b"RUNYARD_MARK=" + fs(mark)
    found = {}
    me = os.getpid()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == me:
            continue
        try:
            fd = os.open("/proc/%s/environ" % name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            parts = []
            while True:
                part = os.read(fd, 1 << 17)
                if not part:
                    break
                parts.append(part)
        except OSError:
            continue
        finally:
            os.close(fd)
        data = b"".join(parts)
        if wanted in data and wanted in data.split(b"\0"):
            process = look(int(name))
            if process is not None and not process.dead:
                found[process.pid] = process
    return found
