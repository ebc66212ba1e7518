"""Appending whole lines to a file of which this process is the only writer, also when the disk fills."""

import errno
import os

from .atomic import read_bytes


class LineFile(object):
    """A `.jsonl` file: a line is there as a whole or not at all."""

    def __init__(self, path):
        self._path = path
        try:
            data = read_bytes(path)
        except OSError:
            data = b""
        # A kill in the middle of a write leaves a half line; it was never sent, so it may go.
        self._size = data.rfind(b"\n") + 1
        self.count = data.count(b"\n", 0, self._size)
        if self._size != len(data):
            os.truncate(path, self._size)

    def append(self, line):
        """Writes one line (its newline included). OSError leaves the file as it was."""
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                done = 0
                while done < len(line):
                    # After a short write the next one makes the system name its reason.
                    written = os.pwrite(fd, line[done:], self._size + done)
                    if not written:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
                    done += written
            except OSError:
                os.ftruncate(fd, self._size)
                raise
        finally:
            os.close(fd)
        self._size += len(line)
        self.count += 1
