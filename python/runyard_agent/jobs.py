"""Long work in small steps, so that one request never holds up the others.

A job is a generator: each `next` does a few milliseconds of work at most. Yielding a number means "not before so
many seconds"; its return value goes to `done`.
"""

import time
from collections import deque

#: The longest that jobs may take between two turns of the event loop, seconds.
SLICE = 0.005


class Jobs(object):
    """Runs generators by turns."""

    def __init__(self):
        self._ready = deque()
        self._sleeping = []

    def add(self, generator, done=None, failed=None):
        """Starts a job; `done(result)` or `failed(exception)` is called at its end."""
        self._ready.append((generator, done, failed))

    def run(self):
        """Works for one slice of time."""
        now = time.monotonic()
        if self._sleeping:
            awake = [item for item in self._sleeping if item[0] <= now]
            if awake:
                self._sleeping = [item for item in self._sleeping if item[0] > now]
                self._ready.extend(job for _, job in awake)
        end = now + SLICE
        while self._ready:
            job = self._ready.popleft()
            generator, done, failed = job
            try:
                pause = next(generator)
            except StopIteration as stop:
                if done is not None:
                    done(stop.value)
            except Exception as error:
                if failed is None:
                    # One job's trouble is not the end of the channel and of everybody's runs.
                    import traceback  # late: it costs memory
                    traceback.print_exception(type(error), error, error.__traceback__)
                else:
                    failed(error)
            else:
                if pause:
                    self._sleeping.append((time.monotonic() + pause, job))
                else:
                    self._ready.append(job)
            if time.monotonic() >= end:
                return

    def due(self, now):
        """Seconds until a job wants to run: 0 at once, None when there is none."""
        if self._ready:
            return 0.0
        if self._sleeping:
            return max(0.0, min(item[0] for item in self._sleeping) - now)
        return None
