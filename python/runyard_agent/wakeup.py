"""Signals as events: a supervisor sleeps until one comes or its time is over."""

import os
import select
import signal
import time

#: Seconds between looks for a cancel when no signal asked for one.
_LOOK = 0.5


class Wakeup(object):
    """SIGCHLD wakes, SIGUSR1 says that cancel.json is there, SIGUSR2 cancels without it (full disk), SIGTERM and
    SIGINT ask to end, SIGHUP (a lost terminal) is nothing."""

    def __init__(self):
        self.told_to_end = False
        self.told_to_cancel = False
        self._look = True
        self._next_look = 0.0
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGUSR1, self._asked)
        signal.signal(signal.SIGUSR2, self._cancel)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def wait(self, seconds):
        """Sleeps at most so long."""
        select.select([self._read], [], [], seconds)
        try:
            while len(os.read(self._read, 4096)) == 4096:
                pass
        except BlockingIOError:
            pass

    def is_time_to_look(self):
        """True when a cancel was announced, and now and then."""
        now = time.monotonic()
        if self._look or now >= self._next_look:
            self._look = False
            self._next_look = now + _LOOK
            return True
        return False

    def _asked(self, *_):
        self._look = True

    def _cancel(self, *_):
        self.told_to_cancel = True

    def _end(self, *_):
        self.told_to_end = True
