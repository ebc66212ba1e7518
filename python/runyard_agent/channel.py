"""The channel's two ends without blocking: frames in from stdin, frames out to stdout."""

import errno
import os
from collections import deque

from .frames import Decoder, encode

_READ = 1 << 18

#: A reply with more payload bytes than this takes turns with the data of the watches.
_SMALL = 1 << 14

#: Data bytes that may wait for the other side to read; more would only cost memory.
ROOM = 1 << 19


class Channel(object):
    """Frames over two descriptors. Small control frames overtake all others, so a reply never waits behind a log;
    large replies and data frames take turns, so that neither a log nor a fetched file waits for the other's end.
    Data frames keep their order."""

    def __init__(self, read_fd, write_fd):
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.ended = False  # the other side is gone
        self._decoder = Decoder()
        self._current = deque()
        self._control = deque()
        self._bulk = deque()
        self._data = deque()
        self._bulk_is_next = False
        self._waiting = 0
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)

    def receive(self):
        """Reads once; frames can then be taken from `next`."""
        try:
            data = os.read(self.read_fd, _READ)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EINTR):
                return
            data = b""
        if data:
            self._decoder.feed(data)
        else:
            self.ended = True

    def next(self):
        """The next complete frame `(header, payload)` or None. ProtocolError as the decoder says."""
        return self._decoder.next()

    def send(self, header, payload=b""):
        """Queues a reply or a notification."""
        (self._control if len(payload) <= _SMALL else self._bulk).append(encode(header, payload))

    def send_data(self, header, payload):
        """Queues a data frame, or what must not overtake one."""
        buffers = encode(header, payload)
        self._waiting += sum(len(buffer) for buffer in buffers)
        self._data.append(buffers)

    @property
    def has_room(self):
        """True while more data frames may be queued."""
        return self._waiting < ROOM

    @property
    def wants_to_write(self):
        """True while anything waits to go out."""
        return bool(self._current or self._control or self._bulk or self._data)

    def write_text(self, text):
        """Queues bytes that are no frame (the sync marker)."""
        self._current.append(memoryview(text))

    def flush(self):
        """Writes what the other side takes now."""
        while not self.ended:
            if not self._current and not self._take():
                return
            try:
                written = os.writev(self.write_fd, list(self._current))
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                if error.errno != errno.EAGAIN:
                    self.ended = True
                return
            while written:
                if written >= len(self._current[0]):
                    written -= len(self._current.popleft())
                else:
                    self._current[0] = self._current[0][written:]
                    written = 0

    def _take(self):
        if self._control:
            # Many small ones in one call of the system.
            while self._control and len(self._current) < 64:
                self._current.extend(memoryview(buffer) for buffer in self._control.popleft())
        elif self._bulk and (self._bulk_is_next or not self._data):
            self._bulk_is_next = False
            self._current.extend(memoryview(buffer) for buffer in self._bulk.popleft())
        elif self._data:
            self._bulk_is_next = True
            buffers = self._data.popleft()
            self._waiting -= sum(len(buffer) for buffer in buffers)
            self._current.extend(memoryview(buffer) for buffer in buffers)
        return bool(self._current)
