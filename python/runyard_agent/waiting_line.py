"""The host's queue: tickets in order of submission, and the slots and GPUs that running attempts hold.

`queue/tickets/<seq>.json` waits, `queue/slots/<seq>.json` runs; a rename makes the one of the other, so a kill
at any moment leaves exactly one of both. A slot counts only while its attempt's supervisor holds its lock.
All changes happen under `queue/lock`.
"""

import os
import time

from . import config, gpus, waiting_for
from .atomic import read_json, read_object, write_json
from .host import cpu_count
from .layout import Attempt
from .locks import Held, is_held, try_lock

#: How many supervisors wait at a time; those behind them are tickets only.
WAITERS = 2


class WaitingLine(object):
    """The queue of the host below `root`."""

    def __init__(self, root):
        self._root = root
        self._tickets = root + "/queue/tickets"
        self._slots = root + "/queue/slots"
        self._config = root + "/queue/config.json"
        # Many watches ask for their places: the line is read again only when it may have changed.
        self._seen_stamp = None
        self._seen_until = 0.0
        self._seen = {}
        self._seen_slots = self._seen_gpus = 0
        self._seen_tickets = {}
        self._seen_first = self._seen_missing = None

    def locked(self):
        """A context that keeps every other process from changing the queue; held for milliseconds only."""
        return Held(self._root + "/queue/lock")

    def slots(self):
        """How many slots the host has: as configured, else one for each GPU, else half of the CPUs (at least 2)."""
        return config.slots(self._root) or len(gpus.listed(self._root)) or max(2, cpu_count() // 2)

    def configure(self, members):
        """Takes over what `config.check` gave."""
        with self.locked():
            config.change(self._root, members)

    def add(self, run, number, slots, gpu_count, launcher):
        """Adds a ticket (call under `locked`) and gives its sequence number."""
        names = _names(self._tickets) + _names(self._slots)
        last = max([int(name[:-5]) for name in names] or [0])
        seq = max(last + 1, int(time.time() * 1000))
        write_json(self.ticket_path(seq), {"run": run, "attempt": number, "slots": slots, "gpus": gpu_count,
                                           "launcher": launcher})
        return seq

    def ticket_path(self, seq):
        """The file of a waiting ticket."""
        return "%s/%016d.json" % (self._tickets, seq)

    def slot_path(self, seq):
        """The file of a ticket that holds its slots."""
        return "%s/%016d.json" % (self._slots, seq)

    def holds_ticket(self, seq, run, number):
        """True while the attempt waits in line."""
        ticket = read_object(self.ticket_path(seq)) if isinstance(seq, int) else None
        return bool(ticket) and ticket.get("run") == run and ticket.get("attempt") == number

    def withdraw(self, seq):
        """Takes a ticket or its slots out of the queue; nothing happens when it is not there."""
        if not isinstance(seq, int):
            return
        for path in (self.ticket_path(seq), self.slot_path(seq)):
            try:
                os.unlink(path)
            except OSError:
                pass

    def stamp(self):
        """A value that changes whenever a ticket or a slot comes or goes (nearly always; look again each second)."""
        try:
            found = [os.stat(self._tickets).st_mtime_ns, os.stat(self._slots).st_mtime_ns]
        except OSError:
            return None
        try:
            kept = os.stat(self._config)
            return found + [kept.st_mtime_ns, kept.st_ino]
        except OSError:
            return found

    def place(self, seq):
        """What a status says of a waiting ticket: `queue` (position (from 1), ahead, slots) and `reason`, unless it is
        about to start. None when it does not wait."""
        self._look()
        index = self._seen.get("%016d.json" % seq)
        if index is None:
            return None
        found = {"queue": {"position": index + 1, "ahead": index, "slots": self._seen_slots}}
        ticket = self._ticket("%016d.json" % seq)
        if ticket is not None and self._seen_first is not None:
            reason = waiting_for.sentence(ticket, index, self._seen_slots, self._seen_gpus, self._seen_first,
                                          self._seen_missing)
            if reason is not None:
                found["reason"] = reason
        return found

    def _look(self):
        """Reads the line again when it may have changed."""
        stamp = self.stamp()
        now = time.monotonic()
        if stamp == self._seen_stamp and now <= self._seen_until:
            return
        self._seen_stamp, self._seen_until = stamp, now + 1.0
        names = _names(self._tickets)
        self._seen = {name: index for index, name in enumerate(names)}
        self._seen_slots = self.slots()
        self._seen_gpus = len(gpus.listed(self._root))
        self._seen_tickets = {name: ticket for name, ticket in self._seen_tickets.items() if name in self._seen}
        self._seen_first = self._ticket(names[0]) if names else None
        self._seen_missing = None
        if self._seen_first is not None:
            running = [ticket for _, ticket in self._running() if ticket is not None]
            self._seen_missing = waiting_for.shortage(self._seen_first, self._seen_slots, running, self._seen_gpus)

    def _ticket(self, name):
        """A waiting ticket, None when it has just gone; what it asks for does not change."""
        if name not in self._seen_tickets:
            ticket = read_object(self._tickets + "/" + name)
            if ticket is None or not isinstance(ticket.get("slots"), int) or not isinstance(ticket.get("gpus"), int):
                return None
            self._seen_tickets[name] = {"slots": ticket["slots"], "gpus": ticket["gpus"]}
        return self._seen_tickets[name]

    def counts(self):
        """(running, queued) on this host."""
        with self.locked():
            return len(self._live_slots()), len(_names(self._tickets))

    def acquire(self, seq):
        """Takes slots and GPUs for the first in line: the list of leased GPU indices, or None while it must wait.

        The caller holds the attempt's supervisor lock. OSError when the disk is full.
        """
        own = "%016d.json" % seq
        with self.locked():
            names = _names(self._tickets)
            if not names or names[0] != own:
                return None
            ticket = read_json(self.ticket_path(seq))
            if not isinstance(ticket, dict):
                return None
            running = self._live_slots()
            slots = self.slots()
            used = sum(other["slots"] for other in running)
            if used + min(ticket["slots"], slots) > slots:
                return None
            leased = []
            if ticket["gpus"]:
                taken = set(index for other in running for index in other.get("leased", ()))
                free = [gpu["index"] for gpu in gpus.listed(self._root) if gpu["index"] not in taken]
                if len(free) < ticket["gpus"]:
                    return None
                leased = free[:ticket["gpus"]]
                ticket["leased"] = leased
                write_json(self.ticket_path(seq), ticket)
            os.rename(self.ticket_path(seq), self.slot_path(seq))
            return leased

    def waiters_to_start(self):
        """`[(Attempt, seq, ticket, lock descriptor)]`: the first in line that no supervisor waits for.

        Each lock is held by the caller, who starts a supervisor with it and then closes its own descriptor.
        """
        found = []
        with self.locked():
            self._live_slots()
            waiting = 0
            for name in _names(self._tickets):
                if waiting == WAITERS:
                    break
                path = "%s/%s" % (self._tickets, name)
                ticket = read_json(path)
                try:
                    attempt = Attempt(self._root, ticket["run"], ticket["attempt"])
                    known = attempt.exists()
                except (TypeError, KeyError):
                    known = False
                if not known:
                    # Its submission was cut off, or the run is gone.
                    os.unlink(path)
                    continue
                waiting += 1
                fd = try_lock(attempt.lock)
                if fd is not None:
                    found.append((attempt, int(name[:-5]), ticket, fd))
        return found

    def _live_slots(self):
        """The tickets that hold slots; those whose supervisor is gone are cleared away (call under `locked`)."""
        found = []
        for path, ticket in self._running():
            if ticket is not None:
                found.append(ticket)
                continue
            try:
                os.unlink(path)
            except OSError:
                pass
        return found

    def _running(self):
        """`(path, ticket)` of all slots, with None where no supervisor holds it any more."""
        for name in _names(self._slots):
            path = "%s/%s" % (self._slots, name)
            ticket = read_json(path)
            try:
                alive = is_held(Attempt(self._root, ticket["run"], ticket["attempt"]).lock)
            except (TypeError, KeyError):
                alive = False
            yield path, ticket if alive else None


def _names(folder):
    return sorted(name for name in os.listdir(folder) if name.endswith(".json") and name[:-5].isdigit())
