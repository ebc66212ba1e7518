"""Blobs that nobody has used for a while. A blob's time says when it was used last (see `blobs.use`)."""

import os
import re
import time

from . import blobs
from .record import now_ms

#: Blobs looked at, and perhaps removed, between two turns of the event loop.
_ENTRIES = 50

_HASH = re.compile(b'"hash":"([0-9a-f]{64})"')
_CHUNK = 1 << 17
_HOUR = 3600000


def hour_of(milliseconds):
    """The hour to which a time belongs; what was used last is known no better."""
    return int(milliseconds // _HOUR)


class UnusedBlobs(object):
    """The blobs of a root. Those used after `newest` (epoch ms) stay in any case; `gone` counts what goes.

    `bytes` is what all of them take after `remove_older`, `hours` what those take that may go, by the hour of their
    last use: with a million blobs no list of them is made.
    """

    def __init__(self, root, newest, gone):
        self._folder = root + "/blobs"
        self._newest = newest
        self._gone = gone
        self.bytes = 0
        self.hours = {}
        try:
            os.makedirs(self._folder + "/tmp", mode=0o700, exist_ok=True)
        except OSError:
            pass  # a full disk

    def use(self, waiting):
        """A generator (turns): the blobs of attempts that still wait for them are in use, as if asked for now.
        OSError when that cannot be noted: then none may be removed."""
        for manifest, folders in waiting:
            path = blobs.find(folders, manifest)
            if path is None:
                continue
            self._note(manifest)
            with open(path, "rb") as file:
                rest = b""
                while True:
                    data = file.read(_CHUNK)
                    if not data:
                        break
                    data = rest + data
                    for count, found in enumerate(_HASH.finditer(data)):
                        self._note(found.group(1).decode("ascii"))
                        if count % _ENTRIES == 0:
                            yield
                    rest = data[-80:]
                    yield

    def _note(self, hash):
        path = self._path(hash)
        try:
            if os.stat(path).st_mtime < time.time() - blobs.NOTED:
                os.utime(path)
        except FileNotFoundError:
            pass

    def _path(self, hash):
        return "%s/%s/%s" % (self._folder, hash[:2], hash[2:])

    def remove_older(self, oldest):
        """A generator (turns) that removes those that were used last before `oldest`, and counts the others."""
        oldest = min(oldest, self._newest)
        for hash, used, size in self._all():
            if hash is None:
                yield
            elif used > oldest or not self._remove(hash, oldest, size):
                self.bytes += size
                if used <= self._newest:
                    self.hours[hour_of(used)] = self.hours.get(hour_of(used), 0) + size

    def remove_up_to(self, hour, spare):
        """A generator (turns) that removes those used last in this hour or before it; of those of this very hour
        `spare` bytes may stay."""
        left = self.hours.get(hour, 0) - spare
        for hash, used, size in self._all():
            if hash is None:
                yield
            elif used <= self._newest and (hour_of(used) < hour or (hour_of(used) == hour and left > 0)):
                if self._remove(hash, self._newest, size) and hour_of(used) == hour:
                    left -= size

    def _all(self):
        """(hash, last use, bytes) of all, with Nones where it is somebody else's turn."""
        count = 0
        for start in os.listdir(self._folder):
            if len(start) != 2:
                continue
            try:
                entries = os.scandir(self._folder + "/" + start)
            except OSError:
                continue
            with entries:
                for entry in entries:
                    count += 1
                    if count % _ENTRIES == 0:
                        yield None, 0, 0
                    if len(entry.name) != 62:
                        continue
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    yield start + entry.name, found.st_mtime_ns // 1000000, found.st_blocks * 512

    def _remove(self, hash, oldest, size):
        """Removes a blob; False when it was used just now, or cannot be removed. It goes aside first: whoever looks
        for it meanwhile finds none and sends it, or has noted the use before, which is then seen."""
        path = self._path(hash)
        aside = "%s/tmp/%s.clean.%d" % (self._folder, hash, os.getpid())
        try:
            try:
                os.rename(path, aside)
            except FileNotFoundError:
                raise
            except OSError:
                aside = path  # a full disk may have no room for another name
            if os.stat(aside).st_mtime_ns // 1000000 > oldest:
                os.rename(aside, path)
                return False
            os.unlink(aside)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        self._gone["blobs"] += 1
        self._gone["bytes"] += size
        return True
