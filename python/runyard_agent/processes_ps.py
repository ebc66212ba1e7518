"""Processes by `ps`, for macOS (and any other Unix without /proc)."""

import os

from .process import Process
from .text import fs
from .tool import output_of

_COLUMNS = ["-o", "pid=", "-o", "ppid=", "-o", "pgid=", "-o", "sess=", "-o", "stat=", "-o", "rss=", "-o", "time=",
            "-o", "lstart=", "-o", "comm="]


def look(pid):
    """The Process with this pid, None when there is none."""
    return _parse(output_of(["ps", "-p", str(pid)] + _COLUMNS, seconds=10)).get(pid)


def everyone():
    """pid -> Process for all processes that can be seen."""
    return _parse(output_of(["ps", "-ax"] + _COLUMNS, seconds=10))


def descendants(pid, leave_out=()):
    """pid -> Process for all that descend from `pid` (itself not), without the branches below `leave_out`."""
    from .processes import closure
    table = everyone()
    for other in leave_out:
        table.pop(other, None)
    found = closure([pid], table)
    found.pop(pid, None)
    return found


def marked(mark):
    """pid -> Process for all whose environment carries the mark."""
    wanted = (b"RUNYARD_MARK=" + fs(mark)).decode("utf-8", "replace")
    pids = []
    for line in (output_of(["ps", "-axwwE", "-o", "pid=", "-o", "command="], seconds=10) or "").splitlines():
        words = line.split()
        if wanted in words and words[0].isdigit() and int(words[0]) != os.getpid():
            pids.append(int(words[0]))
    table = everyone() if pids else {}
    return {pid: table[pid] for pid in pids if pid in table and not table[pid].dead}


def _parse(text):
    found = {}
    for line in (text or "").splitlines():
        words = line.split(None, 12)
        if len(words) < 12 or not words[0].isdigit():
            continue
        if words[1] == str(os.getpid()) and words[-1].endswith("ps"):
            continue  # the very `ps` that looks
        # lstart is five words: "Thu Nov 20 10:00:00 2025". A session that `ps` cannot tell is 0 or "-".
        session = int(words[3]) if words[3].isdigit() and words[3] != "0" else int(words[2])
        found[int(words[0])] = Process(int(words[0]), int(words[1]), int(words[2]), session, words[4][:1],
                                       " ".join(words[7:12]), _hundredths(words[6]), int(words[5]) * 1024,
                                       words[12] if len(words) > 12 else "?")
    return found


def _hundredths(text):
    """CPU time from ps ("[dd-]hh:mm:ss" or "m:ss.cc") in hundredths of a second."""
    days, _, rest = text.rpartition("-")
    seconds = 0.0
    for part in rest.replace(",", ".").split(":"):
        seconds = seconds * 60 + float(part)
    return int((seconds + (int(days) if days else 0) * 86400) * 100)
