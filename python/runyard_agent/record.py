"""What a run says about itself: status.json (replaced as a whole) and events.jsonl (one line a change).

Only one process writes them at a time: the supervisor, or `serve` while it holds the attempt's lock. A full
disk delays what is written, it never corrupts it: what could not be written is kept and tried again.
"""

import errno
import json
import os
import time

from .atomic import read_object, write_bytes, write_json
from .lines import LineFile

#: With Requeued only the attempt has ended.
TERMINAL = frozenset(["Completed", "Failed", "Canceled", "Requeued"])
_STATES = TERMINAL.union(["Queued", "Preparing", "Starting", "Running", "CancelRequested", "Finalizing"])

#: A write that fails so does not succeed later by itself.
_IN_THE_WAY = frozenset([errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOTEMPTY, errno.EEXIST])

#: Bytes set aside at the start so that the end can be told on a full disk.
_RESERVE = 32768


def now_ms():
    """Epoch milliseconds."""
    return int(time.time() * 1000)


def read_status(attempt):
    """The status of an attempt, None when it has none that makes sense (a script may have written over it)."""
    status = read_object(attempt.status)
    if status is None or not isinstance(status.get("state"), str) or status["state"] not in _STATES:
        return None
    if not isinstance(status.get("heartbeat"), int):
        status["heartbeat"] = 0
    supervisor = status.get("supervisor")
    if not (isinstance(supervisor, dict) and isinstance(supervisor.get("pid"), int) and supervisor["pid"] > 0):
        status["supervisor"] = None
    return status


def state_of(attempt):
    """The state of an attempt, None when its status makes no sense."""
    return (read_status(attempt) or {}).get("state")


def first_status(reason):
    """The status of an attempt that was just submitted."""
    return {"state": "Queued", "since": now_ms(), "reason": reason, "heartbeat": 0, "supervisor": None, "pid": None,
            "exit_code": None, "signal": None, "error": None, "started": None, "ended": None, "queue": None,
            "gpus": []}


def write_first(folder, reason):
    """Writes the status and the first event into the folder of a new attempt."""
    status = first_status(reason)
    write_json(folder + "/status.json", status)
    event = {"n": 1, "t": status["since"], "state": "Queued", "reason": reason}
    write_bytes(folder + "/events.jsonl", json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n")


class Record(object):
    """The status and events of one attempt, for its only writer."""

    def __init__(self, attempt):
        self._attempt = attempt
        self.status = dict(first_status("Submitted"), **(read_status(attempt) or {}))
        self._lines = []
        self._status_waits = False
        self.trouble = None  # the OSError by which writing failed last, None when all is on disk
        self._reserve = attempt.folder + "/reserve"
        self._events = LineFile(attempt.events)
        self._n = self._events.count
        self.forsaken = False

    def forsake(self):
        """Somebody else has ended the attempt: nothing is written any more."""
        self.forsaken = True
        self._lines = []
        self._status_waits = False

    @property
    def state(self):
        """The attempt's present state."""
        return self.status["state"]

    @property
    def terminal(self):
        """True when the attempt has ended."""
        return self.state in TERMINAL

    def set_aside(self):
        """Takes some room on the disk for the end of the story."""
        try:
            write_bytes(self._reserve, b"\1" * _RESERVE)
        except OSError:
            pass

    def change(self, state, reason, **members):
        """Moves to `state`: one event and a new status. An end also tells exit code, signal and error."""
        now = now_ms()
        self._n += 1
        event = {"n": self._n, "t": now, "state": state, "reason": reason}
        self.status.update(members)
        self.status.update(state=state, since=now, reason=reason)
        if state in TERMINAL:
            self.status["ended"] = now
            for name in ("exit_code", "signal", "error"):
                event[name] = self.status[name]
            if state == "Requeued":
                event["next"] = self.status.get("next")
        self._lines.append(json.dumps(event, separators=(",", ":")).encode("ascii") + b"\n")
        self._status_waits = True
        self.write()

    def beat(self, **members):
        """Counts one heartbeat."""
        self.status["heartbeat"] += 1
        self.status.update(members)
        self._status_waits = True
        self.write()

    def write(self):
        """Writes what waits; True when everything is on disk."""
        if self.forsaken or (not self._lines and not self._status_waits):
            return True
        for give_up_reserve in (False, True):
            try:
                self._write_events()
                if self._status_waits:
                    write_json(self._attempt.status, self.status)
                    self._status_waits = False
                self.trouble = None
                break
            except OSError as error:
                self.trouble = error
                if error.errno in _IN_THE_WAY:
                    return self._make_way()
                if give_up_reserve or not self.terminal or not self._drop_reserve():
                    return False
        if self.terminal:
            self._drop_reserve()
        return True

    def _write_events(self):
        while self._lines:
            self._events.append(self._lines[0])
            self._lines.pop(0)

    def _make_way(self):
        """The script has removed the run's folder, or put something else where our files are. Nobody can be told
        of a run without a folder; otherwise the status is what matters: what stands in its way is moved aside."""
        self._lines = []
        if not os.path.isdir(self._attempt.folder):
            self._status_waits = False
            return True
        try:
            if os.path.isdir(self._attempt.status):
                os.rename(self._attempt.status, "%s.aside-%d" % (self._attempt.status, now_ms()))
            write_json(self._attempt.status, self.status)
            self._status_waits = False
        except OSError as error:
            self.trouble = error
        return not self._status_waits

    def _drop_reserve(self):
        try:
            os.unlink(self._reserve)
            return True
        except OSError:
            return False
