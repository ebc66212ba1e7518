"""Attempts of Slurm as `serve` looks after them: jobs that ended without a word, and those that Slurm has requeued.

Whether a supervisor lives is Slurm's to say; what it has written may be seen here only a while later.
"""

import sys
import time

from . import failure, slurm, slurm_attempt, slurm_tickets
from .atomic import read_object, write_json
from .locks import Held
from .record import TERMINAL, Record, read_status, state_of
from .shared_files import SharedFiles
from .slurm_tool import slurm_tool

#: Seconds between two looks.
_INTERVAL = 0.5

#: Seconds for which a job is over before it counts that its supervisor has not said how: on a local file system, and on
#: one that shows what other hosts write only after a while.
_PATIENCE, _PATIENCE_SHARED = 4.0, 75.0

#: Seconds between two questions about jobs that Slurm does not list any more.
_ASK_AGAIN = 5.0

#: Seconds after a cancel, by which a supervisor that has not ended by itself is ended by Slurm.
_CANCEL = 45.0


class SlurmRecovery(object):
    """`living` are the attempts that have not ended; `queue` is the SlurmQueue."""

    def __init__(self, root, queue):
        self._root = root
        self.queue = queue
        self.living = {}  # (run, attempt) -> Attempt
        self._over = {}  # (run, attempt) -> monotonic time since when its job is over
        self._shared = SharedFiles(root)
        self._ask_at = 0.0
        self._canceled = {}

    def needed(self):
        """Whether any attempt has a job that Slurm is to be asked about."""
        return any(slurm_attempt.job_of(attempt) is not None for attempt in self.living.values())

    def canceled(self, attempt):
        """Somebody has asked for its end; Slurm sees to it that it comes."""
        self._canceled.setdefault(attempt.key, time.monotonic() + _CANCEL)

    def watch(self):
        """A generator (turns) that looks after them for ever."""
        while True:
            for key, attempt in list(self.living.items()):
                try:
                    yield from self._look(key, attempt)
                except OSError as error:
                    # stdout is the channel's.
                    print("%s cannot be looked after: %s" % (attempt.mark, error), file=sys.stderr)
                yield
            slurm_tickets.kick(self._root)
            yield _INTERVAL

    def _look(self, key, attempt):
        self._shared.refresh_file(attempt.status)
        if not attempt.exists():
            self._forget(key)
            return
        status = read_status(attempt) or {}
        state = status.get("state")
        job = self.queue.job(attempt)
        if state in TERMINAL:
            if state != "Requeued" and job is not None and job.state in ("RUNNING", "SUSPENDED"):
                return  # its supervisor may live still, and this be the word of its script
            self._forget(key)
            if state == "Requeued":
                self._follow(attempt)
            return
        known = slurm_attempt.job_of(attempt)
        if known is None:
            return
        began = state not in ("Queued", None)
        if key in self._canceled and time.monotonic() >= self._canceled[key] and job and job.state not in slurm.ENDED:
            self._canceled[key] = time.monotonic() + _CANCEL
            yield from _run(["scancel", str(known[0])])
        if job is not None and job.state in slurm.WAITING and job.state != "CONFIGURING":
            if began:
                if key not in self._over:
                    self.queue.soon()
                yield from self._wait_for_word(key, attempt, job, "requeued")
            else:
                self._over.pop(key, None)
            return
        if job is not None and job.state not in slurm.ENDED:
            self._over.pop(key, None)
            return
        if job is not None:
            yield from self._wait_for_word(key, attempt, job, "ended")
        elif self.queue.asked:
            yield from self._look_for(key, attempt, known[0])

    def _wait_for_word(self, key, attempt, job, how):
        """The supervisor may have said how it ended, and it is not seen here yet."""
        since = self._over.setdefault(key, time.monotonic())
        never_began = state_of(attempt) == "Queued" and job.nodes is None
        patience = 0 if never_began else _PATIENCE_SHARED if self._shared.delays else _PATIENCE
        # What Slurm was asked before may be older than what the supervisor has written.
        if self.queue.asked < since + patience:
            if time.monotonic() >= since + patience:
                self.queue.soon()
            return
        self._shared.refresh(attempt.folder)
        self._shared.refresh_file(attempt.status)
        yield
        if state_of(attempt) in TERMINAL:
            return
        self._over.pop(key, None)
        if how == "requeued":
            self._requeue(attempt)
        else:
            # Another server may look after the same root.
            with Held(self._root + "/slurm/ends.lock"):
                if state_of(attempt) not in TERMINAL:
                    self._end(attempt, job)

    def _requeue(self, attempt):
        number, restart = slurm_attempt.job_of(attempt)
        reason = "Slurm has the job in its queue again: a node failed, or was taken, or somebody asked for it"
        following = slurm_attempt.next_attempt(attempt, number, restart + 1, reason)
        slurm_attempt.give_up(attempt, following)
        self._follow(attempt)

    def _follow(self, attempt):
        """The attempt that goes on is looked after too."""
        following = type(attempt)(attempt.root, attempt.run, attempt.number + 1)
        self._shared.refresh(attempt.folder.rpartition("/")[0])
        if following.exists() and state_of(following) not in TERMINAL:
            self.living[following.key] = following
            if attempt.key in self._canceled:
                self._canceled[following.key] = self._canceled.pop(attempt.key)
            self.queue.soon()

    def _look_for(self, key, attempt, number):
        """Slurm does not list the job: it forgets what has ended some minutes ago."""
        if time.monotonic() < self._ask_at:
            return
        self._ask_at = time.monotonic() + _ASK_AGAIN
        asked = self.queue.asked
        tool = yield from _run(slurm.show_job(number))
        members = slurm.read_members(tool.result or "")
        if tool.result is not None and slurm_attempt.may_be(attempt, members.get("JobName", "")):
            state = members.get("JobState", "")
            if state in slurm.ENDED:
                job = slurm.Job(number, state, members.get("Partition"), None, None, None, members.get("NodeList"),
                                members.get("Reason"))
                yield from self._wait_for_word(key, attempt, job, "ended")
        elif asked and (tool.result is not None or slurm.is_unknown_job(tool.errors)):
            job = slurm.Job(number, "", None, None, None, None, "unknown", None)
            yield from self._wait_for_word(key, attempt, job, "ended")

    def _end(self, attempt, job):
        """Says in the supervisor's place how the attempt ended."""
        record = Record(attempt)
        state, code, message = _ending(attempt, job, record.state == "Queued")
        write_json(slurm_attempt.folder_of(attempt) + "/over.json", {"state": job.state})
        slurm_attempt.remove_variables(attempt)
        error = failure.error(code, message, attempt.log) if code else None
        if error is not None and not error["tail"]:
            error["tail"] = failure.tail_of(slurm_attempt.output_of(attempt))
        record.change(state, message, supervisor=None, pid=None, queue=None, error=error)
        record.write()

    def _forget(self, key):
        self.living.pop(key, None)
        self._over.pop(key, None)
        self._canceled.pop(key, None)


def _ending(attempt, job, never_began):
    """(state of the run, error code or None, sentence) of a job that ended without its supervisor's word."""
    canceled = read_object(attempt.cancel)
    name = "The job %d" % job.number
    if job.reason == "DependencyNeverSatisfied":
        return "Failed", "dependency", name + " was never started: a job it depends on did not end as asked " \
            "(DependencyNeverSatisfied)."
    if canceled is not None and job.state in ("CANCELLED", ""):
        return "Canceled", None, str(canceled.get("reason") or "Canceled")
    if job.state == "CANCELLED":
        return "Canceled", None, name + " was canceled in Slurm (scancel)"
    if job.state in ("TIMEOUT", "DEADLINE"):
        return "Failed", "time_limit", "The time limit of the job was reached."
    if job.state == "OUT_OF_MEMORY" or _used_too_much(attempt):
        return "Failed", "out_of_memory", "The job used more memory than Slurm gave it."
    if job.state in ("NODE_FAIL", "BOOT_FAIL"):
        return "Failed", "node_failure", "A node of the job has failed (%s)." % job.state
    if job.state in ("PREEMPTED", "REVOKED"):
        return "Failed", "preempted", "Slurm has ended the job for one of a higher priority (%s)." % job.state
    if never_began and not job.state:
        return "Failed", "slurm", "Slurm does not know the job %d any more, which had not begun; it may have lost what it " \
            "knew. Submit the run again." % job.number
    if never_began and ((read_object(attempt.spec) or {}).get("slurm") or {}).get("setup"):
        return "Failed", "slurm", "%s ended before its supervisor began (%s). Do its set-up lines work on the nodes, and " \
            "does every node see %s?" % (name, ", ".join(word for word in (job.state, job.reason) if word), attempt.root)
    if never_began:
        where = " on %s" % job.nodes if job.nodes else ""
        return "Failed", "slurm", "%s ended%s before its supervisor began (%s). Does every node see %s?" % (
            name, where, ", ".join(word for word in (job.state, job.reason) if word), attempt.root)
    if not job.state:
        return "Failed", "supervisor_lost", "Slurm does not know the job %d any more, and its supervisor has not said " \
            "how it ended." % job.number
    return "Failed", "supervisor_lost", "The job's supervisor was killed; Slurm says: %s." % ", ".join(
        word for word in (job.state, job.reason) if word)


def _used_too_much(attempt):
    """Where Slurm counts memory without cgroups it says so in the job's output only."""
    said = failure.tail_of(slurm_attempt.output_of(attempt)).lower()
    return "exceeded memory limit" in said or "exceeded job memory limit" in said or "oom-kill" in said \
        or "oom_kill" in said


def _run(argv):
    tool = slurm_tool(argv, 30)
    while not tool.poll():
        yield 0.02
    return tool
