"""Containers that are left over: each stands in a container.json whose attempt has ended. They are tried again, for
ever, since an engine may be away for days. Where there is none, no engine is asked."""

import os
import time

from . import checks, container
from .atomic import read_object
from .errors import AgentError
from .layout import Attempt
from .locks import is_held

#: Seconds between two tries, the first and the longest; and after which a container that was on its way when its
#: supervisor was killed is either there or will never be.
_FIRST, _LONGEST = 2.0, 30.0
_APPEARS = 10.0


class ContainerSweep(object):
    """Removes what is left. `add` what may be, `watch` is a job."""

    def __init__(self, root):
        self._folder = root + "/environments/containers"
        self._root = root
        self._left = {}  # path of container.json -> [attempt, when to try, pause, since when there is none]

    def add(self, attempt, path=None):
        """An attempt that has ended."""
        path = path or attempt.container
        if path not in self._left and os.path.exists(path):
            self._left[path] = [attempt, 0.0, _FIRST, None]

    def find_apart(self):
        """Adds those of runs that were deleted (see removal)."""
        try:
            names = os.listdir(self._folder)
        except OSError:
            return
        for name in names:
            path = self._folder + "/" + name
            found = read_object(path) or {}
            try:
                attempt = Attempt(self._root, checks.run_id(found.get("run")),
                                  checks.attempt_number(found.get("attempt")))
            except AgentError:
                continue
            self.add(attempt, path)

    def watch(self):
        """A generator (turns) that looks after them for ever."""
        while True:
            self.find_apart()
            for path, entry in list(self._left.items()):
                if not os.path.exists(path):
                    del self._left[path]
                elif time.monotonic() >= entry[1] and not is_held(entry[0].lock):
                    yield from self._try(path, entry)
                yield
            yield 1.0

    def _try(self, path, entry):
        attempt, _, pause, absent = entry
        found = container.kept(attempt, path)
        if found is None:
            os.unlink(path)  # half of one, or a script's own
            return
        found.in_doubt = found.identity is None
        try:
            there = yield from found.look()
            if there is None and found.in_doubt:
                entry[3] = absent = absent or time.monotonic()
                found.in_doubt = time.monotonic() < absent + _APPEARS
            else:
                found.in_doubt = False
            yield from found.remove()
        except (AgentError, OSError):
            pass  # the engine is away
        entry[1] = time.monotonic() + pause
        entry[2] = min(_LONGEST, pause * 2) if not found.in_doubt else pause
