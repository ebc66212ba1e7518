"""Clean-up: what is not needed any more goes from a target, a little at a time.

Run folders go once everything of them was collected, blobs and environments once nobody has used them for long; where
there is more of all than is to be kept the oldest go earlier. All of it is done in turns of a few milliseconds, whatever
number of runs and files there is.
"""

import sys
import time

from . import config
from .errors import AgentError
from .layout import all_runs
from .locks import try_lock, unlock
from .record import now_ms
from .removal import set_apart
from .run_folder import RunFolder
from .unused_blobs import UnusedBlobs, hour_of
from .unused_environments import UnusedEnvironment, UnusedEnvironments, UnusedImage

#: Seconds after the start of a `serve`, and between two clean-ups.
_FIRST, _INTERVAL = 60.0, 3600.0

#: Seconds for which host.clean waits for another clean-up that is under way.
_PATIENCE = 60.0

_DAY = 86400000


class CleanUp(object):
    """Cleans up below `root`; `line` is the host's queue."""

    def __init__(self, root, line):
        self._root = root
        self._line = line

    def hourly(self):
        """A generator (turns) that cleans up for ever."""
        yield _FIRST
        while True:
            try:
                yield from self._clean_alone(0)
            except OSError as error:
                print("the clean-up was cut short: %s" % error, file=sys.stderr)
            yield _INTERVAL

    def now(self):
        """A generator (turns) that cleans up and returns what went: host.clean's result."""
        gone = yield from self._clean_alone(_PATIENCE)
        if gone is None:
            raise AgentError("conflict", "Another clean-up of this host is under way.", "Try again later.")
        return gone

    def _clean_alone(self, patience):
        """One clean-up; None when another one (perhaps of another server's agent) is at it for too long."""
        deadline = time.monotonic() + patience
        while True:
            lock = try_lock(self._root + "/queue/clean-up.lock")
            if lock is not None:
                break
            if time.monotonic() >= deadline:
                return None
            yield 0.2
        try:
            return (yield from self._clean())
        finally:
            unlock(lock)

    def _clean(self):
        days, limit = config.keep(self._root)
        now = now_ms()
        gone = {"runs": 0, "blobs": 0, "environments": 0, "bytes": 0}
        runs, total, waiting, wanted = yield from self._look_at_runs()
        environments = UnusedEnvironments(self._root, gone)
        yield from environments.look(wanted)
        runs.extend(environments.unused)
        total += environments.bytes
        runs.sort(key=lambda run: -run.collected)
        while runs and runs[-1].collected <= now - days * _DAY:
            total -= yield from self._remove(runs.pop(), gone)
        # What was asked for within a day may belong to a run that is just being submitted.
        blobs = UnusedBlobs(self._root, now - _DAY, gone)
        yield from blobs.use(waiting)
        yield from blobs.remove_older(now - days * _DAY)
        yield from self._make_room(runs, blobs, total + blobs.bytes - limit, gone)
        return gone

    def _look_at_runs(self):
        """`(runs that may go, bytes of all, what attempts wait for: (manifest, blob folders), and the environments that
        they wait for)`."""
        found, total, waiting, environments = [], 0, set(), []
        for name in list(all_runs(self._root)):
            yield
            run = RunFolder(self._root, name)
            waiting.update(run.waiting)
            environments.extend(run.environments)
            size, whole = yield from run.measure()
            total += size
            if run.collected is not None and whole:
                found.append(run)
        return found, total, waiting, environments

    def _make_room(self, runs, blobs, excess, gone):
        """Removes `excess` bytes, if there are so many to remove: what was not used for longest, by the hour, runs (and
        environments, which are among them) before blobs. `runs` has the oldest at its end."""
        last = None
        hours = set(blobs.hours).union(hour_of(run.collected) for run in runs)
        for hour in sorted(hours):
            while excess > 0 and runs and hour_of(runs[-1].collected) <= hour:
                excess -= yield from self._remove(runs.pop(), gone)
            if excess <= 0:
                break
            last = hour
            excess -= blobs.hours.get(hour, 0)
        if last is not None:
            yield from blobs.remove_up_to(last, max(0, -excess))

    def _remove(self, run, gone):
        """A generator (turns) that removes a run's folder unless something has changed since it was looked at; returns
        the bytes that went."""
        yield
        if isinstance(run, (UnusedEnvironment, UnusedImage)):
            return (yield from run.remove(gone))
        try:
            # Under the queue's lock no attempt is added, and nothing said to be only here after all.
            with self._line.locked():
                again = RunFolder(self._root, run.name)
                if again.collected is None or again.stamp != run.stamp:
                    return 0
                removing = set_apart(self._root, run.folder)
        except OSError as error:
            print("%s cannot be removed: %s" % (run.folder, error), file=sys.stderr)
            return 0
        yield from removing
        gone["runs"] += 1
        gone["bytes"] += run.size
        return run.size
