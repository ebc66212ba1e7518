"""`dispatch`: brings attempts from their folders to Slurm, one a root, as long as there are any.

On the login node, where there is a network: builds or finds each one's environment, then gives the job to sbatch. It
may be killed at any moment; the next one goes on, and asks Slurm for the job by its name before it submits it again.
"""

import os
import sys
import time

from . import slurm_tickets
from .bringing import Bringing
from .locks import take_inherited, try_lock, unlock

#: Seconds between two turns, between two looks for tickets, and without any before it ends.
_TURN, _LOOK, _IDLE = 0.05, 0.2, 3.0


class Dispatcher(object):
    """Looks after all tickets of one root."""

    def __init__(self, root):
        self.root = root
        self.kill_wait = None
        self.partitions = {}
        self.partitions_until = 0.0
        self.sending = False  # one sbatch at a time, in order of submission
        self._under_way = {}  # path of a ticket -> generator

    def run(self):
        """Until nobody has waited for a while."""
        idle_since = time.monotonic()
        next_look = 0.0
        while True:
            now = time.monotonic()
            if now >= next_look:
                next_look = now + _LOOK
                self._take_up()
            for path, work in list(self._under_way.items()):
                self._turn(path, work)
            if self._under_way:
                idle_since = now
            elif now - idle_since > _IDLE:
                return
            time.sleep(_TURN if self._under_way else _LOOK)

    def _take_up(self):
        for path, attempt in slurm_tickets.waiting(self.root):
            if path in self._under_way:
                continue
            if not attempt.exists():
                # Its submission was cut off; one that is being made has a process that lives.
                if _is_orphan(path):
                    slurm_tickets.remove(path)
                continue
            lock = try_lock(attempt.lock)
            if lock is not None:
                self._under_way[path] = self._bring(path, attempt, lock)

    def _turn(self, path, work):
        try:
            next(work)
        except StopIteration:
            del self._under_way[path]
        except Exception:
            # One attempt's trouble is not that of all others; it is taken up again.
            import traceback
            traceback.print_exc()
            del self._under_way[path]

    def _bring(self, path, attempt, lock):
        """A generator (turns): one attempt from its ticket to its job."""
        bringing = Bringing(self, attempt)
        try:
            yield from bringing.run()
            slurm_tickets.remove(path)
        finally:
            bringing.close()
            unlock(lock)


def _is_orphan(path):
    """Whether whoever has made a ticket is gone."""
    from .processes import look
    pid = os.path.basename(path)[:-5].rpartition("-")[2]
    return not pid.isdigit() or look(int(pid)) is None


def main(root, lock_fd):
    """Dispatches until nobody waits; `lock_fd` is the inherited lock. Gives the exit code."""
    if not take_inherited(lock_fd):
        print("another dispatcher is at it", file=sys.stderr)
        return 1
    Dispatcher(root).run()
    return 0
