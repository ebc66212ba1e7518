"""A copy of a growing file, from its first byte; it goes on though the file is moved away or removed."""

import os

from .atomic import write_all
from .errors import is_full

_PART = 1 << 18


class LogCopy(object):
    """`copy` brings what is new. On a full disk it is tried again with the next call."""

    def __init__(self, source, target):
        self._offset = 0
        self._target = None
        self._source = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        # A file of its own even where one was before: readers of that one see that it is another.
        temporary = "%s.%d.tmp" % (target, os.getpid())
        try:
            self._target = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            os.rename(temporary, target)
        except OSError:
            self.close()
            raise

    def copy(self):
        """Brings what is new; True when there was something."""
        before = self._offset
        while True:
            data = os.pread(self._source, _PART, self._offset)
            if not data:
                return self._offset > before
            try:
                os.ftruncate(self._target, self._offset)  # a part of what was tried before
                os.lseek(self._target, self._offset, os.SEEK_SET)
                write_all(self._target, data)
            except OSError as error:
                if not is_full(error):
                    raise
                return False
            self._offset += len(data)

    def close(self):
        """Lets go of both files."""
        for fd in (self._source, self._target):
            if fd is not None:
                os.close(fd)
        self._source = self._target = None
