"""A run's folder as the clean-up sees it: whether it may go, since when, and how much it takes."""

import os

from . import checks, spec_environment
from .atomic import read_object, write_json
from .errors import AgentError
from .layout import attempts_of
from .locks import is_held
from .record import TERMINAL, state_of

#: Bytes of a collected.json beyond which something is only here for sure, without a look into it.
_SHORT = 4096

_LIVES = object()

#: Entries looked at between two turns of the event loop.
_ENTRIES = 200


class RunFolder(object):
    """One run. `collected` is when the last of its attempts was (epoch ms), None when it must stay; `waiting` says
    what its living attempts are made from: (manifest, blob folders); `environments` what they have to find built:
    (environment, file of the variables)."""

    def __init__(self, root, name):
        self.name = name
        self.folder = "%s/runs/%s" % (root, name)
        self.size = 0
        self.waiting = []
        self.environments = []
        self.stamp = []
        times = []
        for attempt in sorted(attempts_of(root, name), key=lambda attempt: attempt.number):
            self.stamp.append([attempt.number, _stamp(attempt.status), _stamp(attempt.collected)])
            times.append(self._look(attempt))
        self.ended = bool(times) and all(time is not _LIVES for time in times) and not self._is_growing()
        self.collected = max(times) if self.ended and None not in times else None

    def _is_growing(self):
        """True while an attempt is being submitted."""
        try:
            return any(name.startswith(".new-") for name in os.listdir(self.folder + "/attempts"))
        except OSError:
            return False

    def _look(self, attempt):
        """When an attempt was collected, None when it was not or keeps something; _LIVES while it does."""
        if state_of(attempt) not in TERMINAL or is_held(attempt.lock):
            self._note_blobs(attempt)
            return _LIVES
        try:
            if os.stat(attempt.collected).st_size > _SHORT:
                return None
        except OSError:
            return None
        said = read_object(attempt.collected) or {}
        time = said.get("time")
        if said.get("only_here") != [] or not _is_number(time):
            return None
        return time

    def _note_blobs(self, attempt):
        spec = read_object(attempt.spec) or {}
        folders = (read_object(attempt.launch) or {}).get("blobs")
        if not isinstance(folders, list) or not all(isinstance(folder, str) for folder in folders):
            folders = [attempt.root + "/blobs"]
        try:
            self.waiting.append((checks.blob_hash(spec.get("manifest")), tuple(folders)))
            wanted = spec_environment.check(spec.get("environment"))
        except AgentError:
            return  # a script wrote over it, and so has its working copy
        self.waiting.extend((context, tuple(folders)) for context in spec_environment.contexts(wanted))
        if wanted is not None and (wanted["recipe"] is not None or wanted["container"] is not None):
            self.environments.append((wanted, attempt.environment))

    def measure(self):
        """A generator (turns) that returns `(bytes on disk, whether every folder could be looked into)`. What could
        not was not collected either. Once the run has ended this is remembered in size.json."""
        path = self.folder + "/size.json"
        known = (read_object(path) or {}) if self.ended else {}
        if known.get("stamp") == self.stamp and _is_number(known.get("bytes")):
            self.size = known["bytes"]
            return self.size, known.get("whole") is True
        self.size, whole = yield from size_of(self.folder)
        if self.ended:
            try:
                write_json(path, {"stamp": self.stamp, "bytes": self.size, "whole": whole})
            except OSError:
                pass  # a full disk, or the run has just gone: measured again the next time
        return self.size, whole


def _is_number(value):
    """Whether a file that a script could have written over holds a time or a size here."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


def _stamp(path):
    """What changes whenever a file is replaced."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_ino, found.st_mtime_ns, found.st_size]


def size_of(folder):
    """A generator (turns) that returns `(bytes on disk, whether every folder could be looked into)` of a folder."""
    size, whole, count = 0, True, 0
    waiting = [folder.encode("utf-8", "surrogateescape")]
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except FileNotFoundError:
            continue
        except OSError:
            whole = False  # not permitted, or deeper than a path can say
            continue
        try:
            for entry in entries:
                count += 1
                if count % _ENTRIES == 0:
                    yield
                try:
                    size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                except FileNotFoundError:
                    continue
                except OSError:
                    whole = False
        finally:
            entries.close()
    return size, whole
