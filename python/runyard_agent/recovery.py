"""Attempts whose supervisor is gone: what is left of their processes is ended, and the run says what happened."""

import os
import sys
import time

from . import container, failure, processes
from .atomic import read_object
from .container_sweep import ContainerSweep
from .errors import AgentError
from .host import boot_id
from .layout import all_attempts
from .locks import is_held, try_lock
from .record import TERMINAL, Record, state_of
from .slurm_attempt import is_job

#: Seconds between two looks at the living attempts.
INTERVAL = 1.0

#: Seconds after SIGKILL after which what remains is named instead of waited for.
_PATIENCE = 20.0


class Recovery(object):
    """Knows the attempts that have not ended and looks after those that nobody guards."""

    def __init__(self, root, line, kicker, slurm):
        self._root = root
        self._line = line
        self._kicker = kicker
        self._slurm = slurm  # looks after those that are jobs
        self.living = {}  # (run, attempt) -> Attempt
        self._busy = set()
        self.containers = ContainerSweep(root)

    def find(self):
        """A generator (turns) that finds the attempts that have not ended, and the containers that are left."""
        for count, attempt in enumerate(all_attempts(self._root)):
            if count % 20 == 0:
                yield
            if state_of(attempt) not in TERMINAL:
                self.add(attempt)
            elif not is_job(attempt):  # the container of a job is on its node: nobody reaches it from here
                self.containers.add(attempt)

    def add(self, attempt):
        """An attempt that has not ended."""
        living = self._slurm.living if is_job(attempt) else self.living
        living[attempt.key] = attempt

    def watch(self, jobs):
        """A generator that looks after them for ever."""
        jobs.add(self.containers.watch())
        while True:
            for key, attempt in list(self.living.items()):
                if key not in self._busy and not is_held(attempt.lock):
                    try:
                        self._look(attempt, jobs)
                    except OSError as error:
                        print("%s cannot be looked after: %s" % (attempt.mark, error), file=sys.stderr)
                yield
            yield INTERVAL

    def _look(self, attempt, jobs):
        if not attempt.exists() or state_of(attempt) in TERMINAL:
            self.living.pop(attempt.key, None)
            self.containers.add(attempt)
            return
        hopeless = attempt.key in self._kicker.hopeless
        if self._in_line(attempt) and not hopeless:
            return  # nobody has to guard it yet; the kicker starts its supervisor
        lock = try_lock(attempt.lock)
        if lock is None:
            return
        self._busy.add(attempt.key)

        def done(_):
            self._busy.discard(attempt.key)
            os.close(lock)

        # Read again under the lock: its supervisor may have ended well a moment ago.
        if state_of(attempt) in TERMINAL:
            done(None)
            return
        jobs.add(self._mourn(attempt, hopeless), done, done)

    def _in_line(self, attempt):
        launch = read_object(attempt.launch) or {}
        return self._line.holds_ticket(launch.get("ticket"), attempt.run, attempt.number)

    def _mourn(self, attempt, hopeless):
        """Ends what is left, then writes Failed. Holds the attempt's lock meanwhile."""
        record = Record(attempt)
        supervisor = record.status.get("supervisor") or {}
        if supervisor and supervisor.get("boot") not in (None, boot_id()):
            code, message = "host_restarted", "The host was restarted while the run was %s." % record.state.lower()
            rest = ""
        else:
            rest = yield from _end_container(attempt)
            rest += yield from end_leftovers(attempt)
            if hopeless:
                code = "prepare"
                message = "The run's supervisor could not be started; see supervisor.log in %s." % attempt.folder
            else:
                code, message = "supervisor_lost", "The run's supervisor was killed; what it had started was ended."
        error = failure.error(code, message + rest, attempt.log)
        launch = read_object(attempt.launch) or {}
        self._line.withdraw(launch.get("ticket"))
        for path in (attempt.environment, attempt.container_script, attempt.container_began,
                     attempt.folder + "/distributed.json"):
            try:
                os.unlink(path)
            except OSError:
                pass
        for name in os.listdir(attempt.folder):
            if name.endswith(".tmp"):
                os.unlink(attempt.folder + "/" + name)  # half written when the kill came
        record.change("Failed", message + rest, supervisor=None, pid=None, queue=None, error=error)
        while not record.write():
            yield 1.0
        self.living.pop(attempt.key, None)
        self.containers.add(attempt)


def _end_container(attempt):
    """A generator (turns) that ends the container of an attempt whose supervisor is gone. Returns a sentence about
    what is left of it."""
    found = container.kept(attempt)
    if found is None:
        return ""
    grace = _grace(attempt)
    try:
        yield from found.look()
    except AgentError:
        pass  # ended without it where it can be
    # The one that is just being made is not there yet: the sweep looks for it again.
    return (yield from container.put_away(found, grace, forget=found.identity is not None))


def _grace(attempt):
    grace = (read_object(attempt.spec) or {}).get("grace_seconds")
    return min(grace, 40.0) if isinstance(grace, (int, float)) else 10.0


def end_leftovers(attempt):
    """A generator (turns) that ends every process of an attempt whose supervisor is gone: SIGTERM, the grace,
    SIGKILL. Returns a sentence about what could not be ended, empty when all is gone."""
    deadline = time.monotonic() + _grace(attempt)
    asked = set()
    pause = 0.01
    while True:
        found = leftovers(attempt)
        if not found:
            return ""
        now = time.monotonic()
        if now > deadline + _PATIENCE:
            return " Still there, and not to be ended by any signal: process %s." % ", ".join(
                "%d (%s)" % (pid, process.name) for pid, process in sorted(found.items())[:10])
        if now >= deadline:
            processes.end_signal(found, hard=True)
        else:
            processes.end_signal({pid: p for pid, p in found.items() if pid not in asked}, hard=False)
            asked.update(found)
        yield pause
        pause = min(0.2, pause * 1.5)


def leftovers(attempt):
    """pid -> Process for everything that an attempt without a supervisor still runs: what carries its mark, what
    its supervisor had seen (by pid and start), their descendants, and their sessions."""
    kept = read_object(attempt.tree) or {}
    seen = kept.get("processes") if kept.get("boot") == boot_id() else None
    seen = [pair for pair in seen if _is_process(pair)] if isinstance(seen, list) else []
    table = processes.everyone()
    seeds = [pid for pid, start in seen if pid in table and table[pid].start == start]
    seeds.extend(processes.marked(attempt.mark))
    return processes.closure(seeds, table, [pid for pid, _ in seen])


def _is_process(pair):
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], int)
