"""Environments that were built here and are not needed any more, as the clean-up sees them."""

import os

from . import apptainer, build_remains, environment_store
from .atomic import read_object
from .environment_plan import plan_of
from .environment_store import builds_of, latest_ready
from .errors import AgentError


class UnusedEnvironments(object):
    """`unused` are the builds that may go, each with `collected` (its last use, epoch ms) and `size`; `bytes` is what
    all builds take that are left after `look`."""

    def __init__(self, root, gone):
        self._root = root
        self._gone = gone
        self.unused = []
        self.bytes = 0

    def look(self, waiting):
        """A generator (turns) that removes what is superseded, or was left by a killed builder, and finds what is not
        in use. `waiting` are (environment, file of the variables) of attempts that still wait for theirs."""
        needed = yield from self._needed(waiting)
        for key in environment_store.all_keys(self._root):
            yield
            for build in builds_of(self._root, key):
                yield from build_remains.take_away(build, ("dead", "failed"))
            for size in (yield from build_remains.superseded(self._root, key)):
                self._gone["environments"] += 1
                self._gone["bytes"] += size
            for build in builds_of(self._root, key):
                if build.state() == "ready":
                    self.bytes += build_remains.size_of(build)
            build = latest_ready(self._root, key)
            if build is not None and key not in needed and not build.is_used():
                self.unused.append(UnusedEnvironment(build))
        for name in _names(apptainer.folder_of(self._root)):
            if name.endswith(".sif"):
                image = UnusedImage("%s/%s" % (apptainer.folder_of(self._root), name))
                self.bytes += image.size
                if name.partition("-")[0] not in needed:
                    self.unused.append(image)

    def _needed(self, waiting):
        keys = set()
        for environment, path in waiting:
            yield
            if environment["recipe"] is None:
                keys.add(apptainer.key_of(environment["container"]["image"]))
                continue
            variables = read_object(path)
            if variables is None:
                continue  # its command runs: it holds what it uses
            try:
                keys.add((yield from plan_of(self._root, environment, variables)).key)
            except (AgentError, OSError):
                pass  # it will say so itself
        return keys


class UnusedEnvironment(object):
    """One that may go."""

    def __init__(self, build):
        self._build = build
        self.size = build_remains.size_of(build)
        self.collected = _used(build)

    def remove(self, gone):
        """A generator (turns) that removes it unless somebody has come to use it; returns the bytes that went."""
        if _used(self._build) != self.collected:
            return 0
        if not (yield from build_remains.take_away(self._build, ("ready",))):
            return 0
        gone["environments"] += 1
        gone["bytes"] += self.size
        return self.size


class UnusedImage(object):
    """An image that was converted here, and may go. Its last use is the time of the file."""

    def __init__(self, path):
        self._path = path
        self._used, self.size = self._look()
        self.collected = self._used

    def _look(self):
        try:
            found = os.stat(self._path)
        except OSError:
            return 0, 0
        return found.st_mtime_ns // 1000000, found.st_blocks * 512

    def remove(self, gone):
        """A generator (turns) that removes it unless somebody has come to use it; returns the bytes that went."""
        yield
        if self._look()[0] != self._used or self._used == 0:
            return 0
        for path in (self._path, self._path[:-4] + ".log"):
            try:
                os.unlink(path)
            except OSError:
                pass
        gone["environments"] += 1
        gone["bytes"] += self.size
        return self.size


def _names(folder):
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _used(build):
    try:
        return os.stat(build.interest).st_mtime_ns // 1000000
    except OSError:
        return 0
