"""The host's processes: who lives, who descends from whom, who carries a run's mark.

A process is named by its pid and its start, since pids are used again.
"""

import os
import signal

from .host import LINUX

if LINUX:
    from .processes_linux import descendants, everyone, look, marked
else:
    from .processes_ps import descendants, everyone, look, marked

__all__ = ["descendants", "everyone", "look", "marked", "start_of", "is_alive", "send", "closure", "signal_all",
           "end_signal"]


def start_of(pid):
    """The start of a process in the host's own unit, None when there is no such process."""
    process = look(pid)
    return process.start if process else None


def is_alive(pid, start):
    """True while the process that had this pid and start lives (a zombie does not)."""
    process = look(pid)
    return process is not None and process.start == start and not process.dead


def send(pid, start, number):
    """Signals a process unless its pid has passed to another one."""
    process = look(pid)
    if process is not None and process.start == start:
        try:
            os.kill(pid, number)
        except OSError:
            pass


def closure(seeds, table, sessions=()):
    """Everyone in `table` (pid -> Process) who descends from a seed, or is in a seed's own session or group
    where that is one of `sessions`. Gives pid -> Process; zombies are left out."""
    children = {}
    for process in table.values():
        children.setdefault(process.parent, []).append(process.pid)
    found = {}
    waiting = [pid for pid in seeds if pid in table]
    sessions = set(sessions)
    confirmed = set()
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        process = found[pid] = table[pid]
        waiting.extend(children.get(pid, ()))
        # A session cannot pass to others while one of its members lives, so its other members are ours as well.
        for kind, value in (("session", process.session), ("group", process.group)):
            if value in sessions and (kind, value) not in confirmed:
                confirmed.add((kind, value))
                waiting.extend(p.pid for p in table.values() if getattr(p, kind) == value)
    return {pid: process for pid, process in found.items() if not process.dead}


def signal_all(found, number):
    """Signals every Process of a dictionary; those that are gone are passed over."""
    for process in found.values():
        try:
            os.kill(process.pid, number)
        except OSError:
            pass


def end_signal(found, hard):
    """SIGTERM (and a wake-up for the stopped ones) or, `hard`, SIGKILL to every Process of a dictionary."""
    if hard:
        # Stopped first, so that none forks while the others die.
        signal_all(found, signal.SIGSTOP)
        signal_all(found, signal.SIGKILL)
    else:
        signal_all(found, signal.SIGTERM)
        signal_all(found, signal.SIGCONT)
