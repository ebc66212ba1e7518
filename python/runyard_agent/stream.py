"""Following one file while a script writes, rotates or truncates it."""

import os
import stat

from .digest import small_sha256
from .frames import PAYLOAD_LIMIT
from .text import fs

#: Bytes of a file's start by which its life is known.
HEAD = 64

#: The usual size of a data frame; a longer record takes up to PAYLOAD_LIMIT.
CHUNK = 1 << 18

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW


class Stream(object):
    """One file on its way to the server: `check` sees whether there is more, `read` takes the next bytes."""

    def __init__(self, name, path, cursor=None):
        self.name = name
        self.path = fs(path)
        self._lines = name.endswith(".jsonl")
        self._cursor = cursor
        self.generation = None
        self.offset = 0
        self._identity = None
        self._head = b""
        self._again = 0
        self._stalled = -1  # the size at which no complete line was there

    def check(self, rest=False):
        """True when there are bytes to send. `rest`: also those after the last newline."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        if not stat.S_ISREG(found.st_mode):
            return False
        if self._identity != (found.st_dev, found.st_ino) or found.st_size < self.offset:
            return True
        if rest:
            return found.st_size > self.offset
        return found.st_size > self.offset and found.st_size != self._stalled

    def read(self, limit, rest=False):
        """The next bytes as `(offset, data)`, at most `limit`; None when there are none to send now.

        A record of a `.jsonl` file is never cut unless it is longer than a payload. `generation` is that of the
        bytes given.
        """
        try:
            fd = os.open(self.path, _FLAGS)
        except OSError:
            return None
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                return None
            self._recognise(fd, found)
            if found.st_size <= self.offset:
                return None
            return self._take(fd, min(limit, PAYLOAD_LIMIT), found.st_size, rest)
        except OSError:
            return None
        finally:
            os.close(fd)

    def _take(self, fd, limit, size, rest):
        data = os.pread(fd, min(limit, CHUNK), self.offset)
        if self._lines:
            end = data.rfind(b"\n") + 1
            if not end and len(data) == CHUNK < limit:
                # A long record: the longest frame, or what there is of it.
                data = os.pread(fd, limit, self.offset)
                end = data.rfind(b"\n") + 1
            if end:
                data = data[:end]
            elif len(data) < PAYLOAD_LIMIT and not (rest and self.offset + len(data) >= size):
                if self.offset + len(data) >= size:
                    self._stalled = size
                return None
        if not data:
            return None
        offset = self.offset
        self.offset += len(data)
        self._stalled = -1
        return offset, data

    def _recognise(self, fd, found):
        """Sets `generation`, and `offset` back to 0 when this is not the file that was read before."""
        head = os.pread(fd, HEAD, 0)
        identity = (found.st_dev, found.st_ino)
        if self._cursor is not None:
            self._resume(self._cursor, identity, head, found.st_size)
            self._cursor = None
        elif identity != self._identity:
            self._start(identity, head)
        elif found.st_size < self.offset or not head.startswith(self._head):
            self._again += 1
            self._start(identity, head)
        elif len(head) > len(self._head):
            self._head = head

    def _start(self, identity, head):
        if identity != self._identity:
            self._again = 0
        self._identity = identity
        self._head = head
        self.offset = 0
        self._stalled = -1
        self.generation = base_generation(identity, head) + ("+%d" % self._again if self._again else "")

    def _resume(self, cursor, identity, head, size):
        """Goes on where the server's copy ends, if this is still the same life of the file."""
        generation, offset = cursor
        base, _, again = generation.partition("+")
        again = int(again) if again.isdigit() else 0
        if not is_life_of(base, identity, head):
            # In the same place, so that its name may come out the same: told apart by a number.
            same_place = base.startswith("%d-%d-" % identity)
            self._start(identity, head)
            if same_place:
                self._again = again + 1
                self._start(identity, head)
        elif size < offset:
            self._identity = identity
            self._again = again + 1
            self._start(identity, head)
        else:
            self._identity, self._head, self._again = identity, head, again
            self.generation, self.offset = generation, offset

    def end(self):
        """`{size, generation}` for the frame `end`."""
        return {"size": self.offset, "generation": self.generation}


def base_generation(identity, head):
    """The name of a file's life: device, inode, and a hash of its first bytes as they were first seen."""
    return "%d-%d-%s" % (identity[0], identity[1], small_sha256(head)[:16] if head else "empty")


def is_life_of(base, identity, head):
    """True when `base` may name the life of the file that now starts with `head`. It was hashed when the file
    was perhaps shorter, so every shorter start is tried."""
    return any(base == base_generation(identity, head[:length]) for length in range(len(head), -1, -1))
