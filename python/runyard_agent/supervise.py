"""`supervise`: the guardian of one attempt, from its place in the queue to the end of its last process."""

import os
import sys
import time

from . import failure, prctl
from .atomic import read_json, read_object
from .errors import AgentError, from_os_error, is_full
from .host import boot_id
from .launch import Kicker
from .layout import Attempt
from .locks import take_inherited
from .monitor import Monitor
from .packages import Packages
from .preparation import prepare
from .processes import start_of
from .record import Record, now_ms
from .tree import Tree
from .tree_end import end_tree
from .waiting_line import WaitingLine
from .wakeup import Wakeup

#: Seconds between heartbeats, looks at the process tree, and kicks of the queue.
BEAT = 5.0
LOOK = 0.5
KICK = 2.0
#: Cancel must be over within 60 s, so no grace is longer.
LONGEST_GRACE = 40.0

#: The end waits so long for the list of packages (seconds).
PACKAGES = 5.0


class Stop(Exception):
    """The attempt is to end now: `kind` is cancel or shutdown."""

    def __init__(self, kind, reason):
        Exception.__init__(self, reason)
        self.kind = kind
        self.reason = reason


class Supervisor(object):
    """One attempt's guardian; `run` does everything and returns when the attempt has ended."""

    def __init__(self, attempt):
        self.attempt = attempt
        self.spec = read_json(attempt.spec)
        self.launch = read_object(attempt.launch) or {}
        self.record = Record(attempt)
        self.line = WaitingLine(attempt.root)
        self.kicker = Kicker(attempt.root)
        self.tree = Tree(attempt)
        self.wakeup = Wakeup()
        self.monitor = None
        self.container = None  # the ContainerRun, where the command runs in one
        self.inside = None  # the SifRun, where it runs in an image without an engine
        self.several = None  # the Several, where the command runs in several processes
        self.waiting = None  # for its environment; held until the end, as what is in use
        self.packages = None
        self.started = None
        self.memory_kills = None
        self.subreaper = False
        self.next_beat = self.next_look = self.next_kick = 0.0

    def run(self):
        """The whole life of the attempt."""
        self.record.beat(supervisor={"pid": os.getpid(), "start": start_of(os.getpid()), "boot": boot_id()})
        self.next_beat = time.monotonic() + BEAT
        try:
            gpus = self._wait_turn()
            # With the place in line taken, the next one may come and wait.
            self._kick()
            prepare(self, gpus)
            self._watch_container() if self.container is not None else self._watch()
        except Stop as stop:
            self._end_stopped(stop)
        except AgentError as error:
            self._end_tree(0)
            self._seal("Failed", error.message, error=self._error(error))
        except Exception as problem:
            print_traceback()
            self._end_tree(0)
            message = "The supervisor failed: %s: %s." % (type(problem).__name__, problem)
            self._seal("Failed", message, error=failure.error("prepare", message, self.attempt.log))
        self._leave()

    # Stages

    def _wait_turn(self):
        """Waits for slots and GPUs; gives the leased GPUs."""
        seq = self.launch.get("ticket")
        stamp = None
        looked = 0.0
        while True:
            self.heed()
            now = time.monotonic()
            fresh = self.line.stamp()
            if fresh != stamp or now - looked > 1.0:
                stamp, looked = fresh, now
                try:
                    leased = self.line.acquire(seq)
                except OSError as error:
                    if not is_full(error):
                        raise from_os_error(error, "taking a place in the queue")
                    leased = None
                if leased is not None:
                    return leased
                if not self.line.holds_ticket(seq, self.attempt.run, self.attempt.number):
                    raise AgentError("prepare", "The attempt has lost its place in the queue.", "Submit it again.")
                continue
            self.wakeup.wait(0.05)

    def has_begun(self, pid):
        """The command runs now."""
        self.started = time.monotonic()
        self.record.change("Running", "The command runs", pid=pid, started=now_ms())
        _remove(self.attempt.environment)

    def list_packages(self, facts, argv, variables):
        """Says what the environment is, and begins to list the packages that the command can import, beside it."""
        self.packages = Packages(self.attempt, facts, argv, variables)

    def _watch(self):
        """Until the command ends, or its time is over."""
        self.monitor = Monitor(self.attempt, self.spec["monitor_seconds"])
        limit = self.spec["max_seconds"]
        while self.tree.exit_status is None:
            now = time.monotonic()
            if limit is not None and now - self.started >= limit:
                return self._end_late(limit)
            if now >= self.next_look:
                self.next_look = now + LOOK
                self._look()
            due = min(self.next_look, self.started + limit if limit is not None else self.next_look)
            self.turn(max(0.0, due - time.monotonic()))
        self._end_by_itself()

    def _watch_container(self):
        """Until the container ends, or its time is over."""
        ending = self.container.watch()
        if ending is None:
            return self._end_late(self.spec["max_seconds"])
        error = ending.error
        self.record.change("Finalizing", ending.how, exit_code=ending.exit_code, signal=ending.signal)
        rest = self._end_tree(0)
        self._seal("Failed" if error else "Completed", (error["message"] if error else ending.how) + rest, error=error)

    def _look(self):
        """One look at the process tree, for the record and for the system metrics."""
        self.monitor.probe.poll()
        found = self.tree.look()
        self.tree.remember(found)
        if time.monotonic() >= self.monitor.next:
            self.monitor.measure(found, self.tree.ticks(found))

    # Endings

    def _end_by_itself(self):
        status = self.tree.exit_status
        if os.WIFSIGNALED(status):
            number, code = os.WTERMSIG(status), None
            error = failure.of_signal(number, self.memory_kills.any(), self.attempt.folder, self.attempt.log)
        else:
            number, code = None, os.WEXITSTATUS(status)
            error = None
            if code:
                error = failure.of_exit(code, self.attempt.folder, self.attempt.log)
                if code == 137 and self.memory_kills.any():
                    error = failure.of_signal(9, True, self.attempt.folder, self.attempt.log)
        how = "The command " + ("was ended by signal %d" % number if number else "ended with exit code %d" % code)
        for each in (self.inside, self.several):
            if error is not None and each is not None:  # its own end says little: it has not begun, a rank has failed
                code, number, error, how = each.failure(self._rest) or (code, number, error, how)
        self.record.change("Finalizing", how, exit_code=code, signal=number)
        rest = self._end_tree(self.spec["grace_seconds"])
        self._seal("Failed" if error else "Completed", (error["message"] if error else how) + rest, error=error)

    def _end_late(self, limit):
        message = "The time limit of %g s was reached." % limit
        self.record.change("Finalizing", message)
        rest = self._end_tree(self.spec["grace_seconds"])
        self._take_exit_status()
        self._seal("Failed", message + rest, error=failure.error("time_limit", message + rest, self.attempt.log))

    def _end_stopped(self, stop):
        grace = self.spec["grace_seconds"]
        if stop.kind == "cancel":
            if self.tree.command is not None or self.container is not None:
                self.record.change("CancelRequested", stop.reason)
            rest = self._end_tree(grace)
            self._take_exit_status()
            self._seal("Canceled", stop.reason + rest)
        else:
            rest = self._end_tree(min(grace, 5))
            self._take_exit_status()
            self._seal("Failed", stop.reason + rest, error=failure.error("signal", stop.reason, self.attempt.log))

    def _take_exit_status(self):
        if self.container is not None:
            self.record.status["exit_code"], self.record.status["signal"] = self.container.exit_status()
        status = self.tree.exit_status
        if status is not None and os.WIFSIGNALED(status):
            self.record.status["signal"] = os.WTERMSIG(status)
        elif status is not None:
            self.record.status["exit_code"] = os.WEXITSTATUS(status)

    def _end_tree(self, grace):
        """Ends every process of the run: SIGTERM, the grace (seconds), SIGKILL. Gives a sentence about what could
        not be ended, empty when all is gone."""
        if self.container is not None:
            return self.container.end(min(float(grace), LONGEST_GRACE))
        if self.tree.command is None:
            return ""
        grace = min(float(grace), LONGEST_GRACE)
        if self.several is not None:
            grace = self.several.ask(self.tree, grace, self._rest)
        return end_tree(self.tree, grace, self._rest, self.inside.helpers() if self.inside is not None else ())

    def _rest(self, pause):
        """Sleeps so long at most while the end is under way."""
        self.wakeup.wait(pause)
        self._housekeeping()

    def _seal(self, state, reason, **members):
        """Writes the end; on a full disk it waits for room, without holding others up."""
        self._let_go(0 if state == "Canceled" else PACKAGES)
        _remove(self.attempt.environment)
        if self.several is not None:
            self.several.forget()
        self.record.change(state, reason, supervisor=None, pid=None, queue=None, **members)
        self.line.withdraw(self.launch.get("ticket"))
        while not self.record.write():
            self._kick()
            self.wakeup.wait(1.0)
        _remove(self.attempt.tree)
        _remove(self.attempt.folder + "/reserve")

    def _let_go(self, patience):
        """Of the environment; the list of its packages is waited for a little (seconds)."""
        deadline = time.monotonic() + patience
        try:
            while self.packages is not None and not self.packages.poll() and time.monotonic() < deadline:
                self.wakeup.wait(0.02)
                self.tree.reap()
                self._housekeeping()
            for each in (self.packages, self.waiting):
                if each is not None:
                    each.close()
        except Exception:
            print_traceback()  # the run's end is told in any case
        self.packages = self.waiting = None

    def _leave(self):
        """Lets the next in line go on."""
        if self.subreaper:
            # What is started now shall belong to init, not to a process that ends.
            prctl.become_subreaper(False)
            self.subreaper = False
        self._kick()

    # While anything is under way

    def drive(self, generator):
        """Runs a generator (turns) to its end; gives what it returns. Stop ends it too."""
        try:
            while True:
                try:
                    pause = next(generator)
                except StopIteration as stop:
                    return stop.value
                self.turn(pause or 0.005)
        finally:
            generator.close()

    def finish(self, generator):
        """As `drive`, for what belongs to the end: nobody stops it any more."""
        while True:
            try:
                pause = next(generator)
            except StopIteration as stop:
                return stop.value
            self.wakeup.wait(pause or 0.005)
            self.tree.reap()
            self._housekeeping()

    def turn(self, pause):
        """Sleeps so long at most; heeds what came meanwhile. Raises Stop."""
        self.wakeup.wait(pause)
        self.heed()
        if self.packages is not None:
            self.packages.poll()

    def heed(self):
        """Between two steps: heartbeat, what signals and cancel.json ask for. Raises Stop."""
        self.tree.reap()
        self._housekeeping()
        if self.wakeup.told_to_end:
            raise self.told_to_end()
        if self.wakeup.told_to_cancel:
            raise Stop("cancel", "Canceled")
        if self.wakeup.is_time_to_look() and os.path.exists(self.attempt.cancel):
            asked = read_object(self.attempt.cancel) or {}
            raise Stop("cancel", str(asked.get("reason") or "Canceled"))

    def told_to_end(self):
        """The Stop that SIGTERM means."""
        return Stop("shutdown", "The supervisor was told to end (SIGTERM), as by a shutdown of the host.")

    def _housekeeping(self):
        now = time.monotonic()
        if now >= self.next_beat:
            self.next_beat = now + BEAT
            self.record.beat()
        elif now >= self.next_kick:
            self.record.write()
        if now >= self.next_kick:
            self.next_kick = now + KICK
            self._kick()

    def _kick(self):
        try:
            self.tree.others.update(self.kicker.kick(detached=not self.subreaper))
        except OSError:
            print_traceback()

    def _error(self, error):
        code = error.code if error.code in ("not_found", "no_space", "prepare", "environment", "engine") else "prepare"
        if code == "not_found" and self.record.state == "Preparing" and "content of" in error.message:
            code = "prepare"
        found = failure.error(code, error.in_full(), self.attempt.log)
        if getattr(error, "tail", None):
            found["tail"] = error.tail  # of another log, as that of a build
        return found


def print_traceback():
    """Writes the present exception to the supervisor's log."""
    import traceback  # late: it costs a supervisor 2 MB and 10 ms
    traceback.print_exc()


def _remove(path):
    try:
        os.unlink(path)
    except OSError:
        pass


def main(root, run, number, lock_fd):
    """Guards attempt `number` of `run`; `lock_fd` is the inherited lock of the attempt. Gives the exit code."""
    attempt = Attempt(root, run, number)
    if not take_inherited(lock_fd):
        print("another supervisor guards %s" % attempt.mark, file=sys.stderr)
        return 1
    supervisor = Supervisor(attempt)
    if not supervisor.record.terminal:
        supervisor.run()
    return 0
