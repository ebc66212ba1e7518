"""The journal of this process: lines are buffered, written twice a second, and never lost by a fork or an exit.

One file a process. A fork's child drops what it inherited (its parent writes that) and opens its own file with
its first line. Logging never waits for a full disk and never raises because of one.
"""

import os
import sys
import threading
import time
from collections import deque

#: Seconds between two writes.
INTERVAL = 0.5

#: Lines that may wait before the caller writes them itself, so that the buffer stays small.
MANY = 20000

#: Bytes that are kept while the disk is full; beyond that the oldest lines are dropped and counted.
KEPT = 64 << 20

try:
    from _json import encode_basestring_ascii as quote
except ImportError:
    from json.encoder import py_encode_basestring_ascii as quote


class Journal(object):
    """Buffer and file of one process. `put((epoch seconds, name, float, step))` adds a metric, `put((epoch seconds,
    None, '"tags":{...}', None))` any other members as JSON text."""

    def __init__(self, folder):
        self._folder = folder
        self._pid = os.getpid()
        self._successors = {}
        self.waiting = deque()
        self._lock = threading.RLock()
        self._writing = False
        self._deferred = None
        self._names = {}
        self._n = 0
        self._pending = bytearray()
        self._newline_first = False
        self._fd = -1
        self._identity = None
        self._dropped = 0
        self._warned = None
        self.put = self._put_first

    def _put_first(self, item):
        """The first line starts what writes: the thread, and the hooks for every way in which a process ends."""
        if self._passed_on(item):
            return
        from . import endings
        self.waiting.append(item)
        with self._lock:
            if self.put != self._put_first:
                return
            if not endings.install(self):
                self.write_directly()
                return
            try:
                threading.Thread(target=self._write_now_and_then, name="runyard", daemon=True).start()
                self.put = self.waiting.append if endings.FORK_IS_TOLD else self._put_checked
            except RuntimeError:
                # The interpreter is on its way out and starts no more threads.
                self.write_directly()

    def _put_checked(self, item):
        """Python 3.6 does not tell of a fork."""
        if not self._passed_on(item):
            self.waiting.append(item)

    def _put_directly(self, item):
        if not self._passed_on(item):
            self.waiting.append(item)
            self.flush()

    def _passed_on(self, item):
        """True in a fork's child of which nothing has told: the item went to the child's own journal. Comes before
        any lock, since one that another thread held at the fork stays locked in the child for good."""
        if self.is_own():
            return False
        from . import _follow
        _follow(self).put(item)
        return True

    def is_own(self):
        """False in a fork's child, for the journal of its parent."""
        return self._pid == os.getpid()

    def successor(self):
        """The journal of a fork's child: with locks, a file and a buffer of its own. The same one for all of the
        child's threads, whoever asks first."""
        fresh = Journal(self._folder)
        found = self._successors.setdefault(os.getpid(), fresh)
        if found is fresh:
            self._forget()
        return found

    def write_directly(self):
        """From now on each line is written at once: the process ends and nobody comes later."""
        self.put = self._put_directly
        self.flush()

    def _write_now_and_then(self):
        while self.is_own():
            time.sleep(INTERVAL)
            self.flush()

    def flush(self):
        """Writes everything that was put so far; what a full disk does not take stays for the next time."""
        if not self.is_own() or not self._lock.acquire(timeout=10):
            return
        try:
            if self._writing:
                return  # called from a signal handler in the middle of a write
            self._writing = True
            try:
                self._write()
            finally:
                self._writing = False
        finally:
            self._lock.release()
        deferred, self._deferred = self._deferred, None
        if deferred is not None:
            deferred()

    def defer(self, action):
        """True when a write of this very thread is under way; `action` is then called after it."""
        if self._writing and self.is_own() and self._lock._is_owned():
            self._deferred = action
            return True
        return False

    def _forget(self):
        """Closes the descriptor that a fork's child has inherited."""
        if self._fd >= 0:
            try:
                os.close(self._fd)
            except OSError:
                pass

    # Writing

    def _write(self):
        while self.waiting or self._pending:
            error = None
            try:
                self._open()
            except OSError as problem:
                error = problem
            # In pieces, so that the text of a large buffer is never in memory twice.
            self._pending += self._text(min(len(self.waiting), MANY)).encode("ascii")
            if error is None:
                error = self._append()
            if error is not None:
                self._keep(error)
                if not self.waiting:
                    return

    def _text(self, count):
        take = self.waiting.popleft
        names = self._names
        parts = []
        n = self._n
        for _ in range(count):
            when, name, value, step = take()
            n += 1
            if name is None:
                parts.append('{"n":%d,"t":%d,%s}\n' % (n, when * 1000, value))
                continue
            try:
                key = names[name]
            except KeyError:
                key = names[name] = quote(name)
            value = repr(value)
            if value[-1] in "nf":  # nan, inf
                value = NON_FINITE[value]
            if step is None:
                parts.append('{"n":%d,"t":%d,"m":{%s:%s}}\n' % (n, when * 1000, key, value))
            else:
                parts.append('{"n":%d,"t":%d,"m":{%s:%s},"s":%d}\n' % (n, when * 1000, key, value, step))
        self._n = n
        return "".join(parts)

    def _append(self):
        """Writes what is pending as far as the system takes it; gives the OSError that stopped it, or None."""
        try:
            if self._newline_first:
                # Lines were dropped, perhaps behind a half one: at worst that half is lost, never two joined.
                os.write(self._fd, b"\n")
                self._newline_first = False
            while self._pending:
                # After a short write the next one goes on at the very byte: the file has no other writer.
                del self._pending[:os.write(self._fd, self._pending)]
        except OSError as error:
            return error
        return None

    def _open(self):
        if self._fd >= 0:
            try:
                found = os.fstat(self._fd)
                if (found.st_dev, found.st_ino) == self._identity:
                    return
            except OSError:
                pass
            # Somebody closed all descriptors (a daemon does) and the number may mean another file by now.
            self._fd = -1
            if not self._pending:
                self._n = 0
            self._newline_first = False
        host = "".join(c if c.isalnum() and ord(c) < 128 or c in "._" else "_" for c in os.uname().nodename)[:64]
        name = "%s-%d-%s.jsonl" % (host or "host", self._pid, "".join("%02x" % b for b in bytearray(os.urandom(4))))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0)
        fd = os.open(os.path.join(self._folder, name), flags, 0o644)
        found = os.fstat(fd)
        self._fd, self._identity = fd, (found.st_dev, found.st_ino)

    def _keep(self, error):
        """Bounds what waits for room, and says so now and then."""
        if len(self._pending) > KEPT:
            cut = self._pending.find(b"\n", len(self._pending) - KEPT) + 1
            self._dropped += self._pending.count(b"\n", 0, cut)
            del self._pending[:cut]
            self._newline_first = True
        now = time.monotonic()
        if self._warned is None or now - self._warned > 60.0:
            self._warned = now
            lost = " %d lines are lost." % self._dropped if self._dropped else ""
            warn("the journal in %s cannot be written (%s); trying again.%s"
                 % (self._folder, error.strerror or error, lost))


NON_FINITE = {"nan": '"NaN"', "inf": '"Infinity"', "-inf": '"-Infinity"'}


def warn(sentence):
    """Says something on stderr; never raises. The process's own stderr is written past its buffer: a fork during
    this write would leave the buffer's lock locked in the child, which then never ends."""
    line = "runyard: %s\n" % sentence
    try:
        stream = sys.stderr
        if stream is sys.__stderr__:
            os.write(stream.fileno(), line.encode(stream.encoding or "ascii", "backslashreplace"))
        else:
            stream.write(line)
            stream.flush()
    except Exception:
        pass
