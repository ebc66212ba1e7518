"""log.txt of a build: everything that the build says, but no password of an address."""

import os
import re
from collections import deque

from .atomic import write_all
from .errors import is_full

#: Lines kept in memory, by which an error is explained.
_KEPT = 400

#: A line is not waited for beyond this.
_LONGEST = 1 << 16

#: Colours, which some programs use wherever they write to.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

#: A password may hold an @ itself.
_CREDENTIALS = re.compile(r"(\w://)[^/\s]+@")


def masked(text):
    """`text` without the credentials of addresses."""
    return _CREDENTIALS.sub(r"\1***@", text)


class BuildLog(object):
    """Takes the output of the build's commands, whole lines at a time. `full` is True once the disk took no more."""

    def __init__(self, path):
        self.full = False
        self.lines = deque(maxlen=_KEPT)  # of the command that runs
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._rest = b""

    def say(self, text):
        """Writes a line of the build's own."""
        self._write(masked(text) + "\n")

    def take(self, data, see):
        """Takes output of a command; `see` is called with each line and says whether it is left out."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _LONGEST:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._line(line, see)

    def end(self, see):
        """What has no newline at the end of a command gets one."""
        if self._rest:
            self._line(self._rest, see)
            self._rest = b""

    def _line(self, data, see):
        line = masked(_COLOURS.sub("", data.decode("utf-8", "replace")))
        if see is not None and see(line):
            return
        # Of what was written over on a terminal the last counts.
        self.lines.append(line.rstrip("\r").rpartition("\r")[2])
        self._write(line + "\n")

    def _write(self, text):
        try:
            write_all(self._fd, text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            if not is_full(error):
                raise
            self.full = True
